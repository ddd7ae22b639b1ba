package main

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"rapport.example/internal/api/admin"
)

// tell sends a request, with the Track key where headers bring no other, and returns what it is answered.
func (c client) tell(method, path, body string, headers ...string) (status int, answer string) {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), method, c.url+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	req.SetBasicAuth("site", "key")
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	client := http.Client{}
	res, err := client.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return res.StatusCode, string(raw)
}

func TestRejectionsCommand(t *testing.T) {
	t.Parallel()
	url, _ := serve(t, t.TempDir())
	c := client{t, url}
	c.wants([]string{"rejections"}, "nothing was rejected")
	c.tell("POST", "/api/v1/customers/cio_aaaaaaaaaaaaaaaa/events", `{"name":"bought"}`)
	c.tell("PUT", "/api/v1/customers/ada", `{"email":"nobody"}`)
	out := c.wants([]string{"rejections"}, "RECEIVED", "failed_event             -", "no person has this cio_id", "failed_attribute_change  ada", "email has a value")
	if strings.Index(out, "email has") > strings.Index(out, "no person") {
		t.Errorf("the newest is not first:\n%s", out)
	}
	c.wants([]string{"rejections", "--limit", "1"}, "email has a value", "--limit shows more")
	var list admin.RejectionsAnswer
	for args, want := range map[string]string{
		"--kind failed_event": "no person has this cio_id", "--reason EMAIL": "email has a value that cannot be one", "--since 1h --until 2100-01-01T00:00:00Z --limit 1": "email has a value that cannot be one",
	} {
		list.Rejections = nil
		if c.json(&list, append([]string{"rejections"}, strings.Fields(args)...)...); len(list.Rejections) != 1 || list.Rejections[0].Reason != want {
			t.Errorf("rejections %s = %+v, want %q", args, list, want)
		}
	}
	c.wants([]string{"rejections", "--until", "7d"}, "nothing was rejected")
	if code, _, errs := command(t, "rejections", "--since", "yesterday", "--server", url, "--admin-key", adminKey); code != exitUsage || !strings.Contains(errs, "--since") {
		t.Errorf("a wrong time: exit code %d, %q", code, errs)
	}
}

// TestKeyOutlivesRestart sends a request again to a server that was started anew.
func TestKeyOutlivesRestart(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	write := func(c client, body string) (int, string) {
		return c.tell("POST", "/api/v1/customers/ada/events", body, "Idempotency-Key", "k")
	}
	url, stop := serve(t, data)
	if status, answer := write(client{t, url}, `{"name":"bought"}`); status != http.StatusOK {
		t.Fatalf("%d %s", status, answer)
	}
	stop()
	url, _ = serve(t, data)
	c := client{t, url}
	if status, answer := write(c, `{"name":"bought"}`); status != http.StatusOK || strings.TrimSpace(answer) != "{}" {
		t.Errorf("again: %d %s", status, answer)
	}
	if status, answer := write(c, `{"name":"sold"}`); status != http.StatusUnprocessableEntity {
		t.Errorf("another body: %d %s", status, answer)
	}
	c.wants([]string{"rejections"}, "nothing was rejected") // the repeat was not even taken
}
