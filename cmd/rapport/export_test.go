package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestExportPeople(t *testing.T) {
	t.Parallel()
	url, _ := serve(t, t.TempDir())
	c := client{t, url}
	for id, body := range map[string]string{"1": `{"email":"ada@example.com","plan":"pro","age":36}`, "2": `{"plan":"=free"}`} {
		if status, answer := c.tell("PUT", "/api/v1/customers/"+id, body); status != 200 {
			t.Fatalf("identify: %d %s", status, answer)
		}
	}
	file := filepath.Join(t.TempDir(), "people.csv")
	if err := os.WriteFile(file, []byte("older"), 0o600); err != nil {
		t.Fatal(err)
	}
	c.wants([]string{"export", "people", "--output", file}, "2 people are in "+file)
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	rows := strings.Split(strings.TrimSpace(string(raw)), "\n")
	if len(rows) != 3 || rows[0] != "id,email,cio_id,created_at,_created_in_customerio_at,unsubscribed,age,plan" || !strings.HasSuffix(rows[1]+rows[2], "pro") && !strings.HasSuffix(rows[1]+rows[2], "=free") {
		t.Errorf("the file:\n%s", raw)
	}
	left, err := filepath.Glob(file + ".*")
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	const free = `{"attribute":{"field":"plan","operator":"eq","value":"=free"}}`
	var one struct {
		ID         string
		Attributes map[string]any
	}
	if err := json.Unmarshal([]byte(c.do("export", "people", "--format", "jsonl", "--filter", free)), &one); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]any{"plan": "=free"}, one.Attributes); diff != "" || one.ID != "2" {
		t.Errorf("person %s (-want +got):\n%s", one.ID, diff)
	}
	c.wants([]string{"export", "file"}, "workspace:")

	for _, wrong := range [][]string{
		{"--filter", "{"}, {"--filter", `{"segment":{"id":9}}`}, {"--format", "xml"}, {"--output", filepath.Join(file, "x")}, {"--workspace", "none"},
	} {
		args := append([]string{"export", "people", "--server", url, "--admin-key", adminKey}, wrong...)
		if code, out, errs := command(t, args...); code == exitOK || errs == "" || out != "" {
			t.Errorf("%v: exit code %d, %q, %q", wrong, code, out, errs)
		}
	}
}

func TestProgressTo(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	p := &progress{w: &b, label: "exporting", began: time.Now().Add(-10 * time.Second), visible: true}
	p.to(0, 0, "people", 1)
	p.to(0, 10, "people", 1)
	p.to(500_000, 1_000_000, "people", 1)
	p.to(2_000_000, 1_000_000, "MB", 1e6) // rows that came since they were counted are none; still nothing breaks
	p.done()
	lines := strings.Split(b.String(), "\r")
	for i, want := range []string{"", "exporting …", "  0%  0 people/s  ? left", " 50%  ", "100%  0 MB/s  0s left", "\x1b[K"} {
		if !strings.Contains(lines[i], want) {
			t.Errorf("line %d is %q, want %q in it", i, lines[i], want)
		}
	}
}
