package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rapport.example/internal/imports"
	"rapport.example/internal/job"
)

func importFile(t *testing.T, name, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestImport imports a file, finds it again, imports it anew, and refuses what makes no sense.
func TestImport(t *testing.T) {
	t.Parallel()
	srv, _ := serve(t, t.TempDir())
	c := client{t, srv}
	file := importFile(t, "people.csv", "E-Mail,plan,notes\nada@example.com,pro,x\nnobody,,\nbob@example.com,free,y\n")
	args := []string{"import", file, "--identifier", "email", "--map", "E-Mail=email", "--map", "notes="}
	c.wants(append(args, "--dry-run"), "row 2: email is not an address\n2 rows are good, 1 bad\n")
	if people := c.do("export", "people"); strings.Contains(people, "ada") {
		t.Errorf("a dry run imports:\n%s", people)
	}
	c.wants(args, "row 2: email is not an address\n2 rows imported, 1 bad\n")
	people := c.do("export", "people")
	if rows := strings.Split(strings.TrimSpace(people), "\n"); len(rows) != 3 || !strings.HasSuffix(rows[0], ",unsubscribed,plan") || !strings.Contains(rows[1], "ada@example.com") {
		t.Errorf("people:\n%s", people)
	}
	args = append(args, "--server", srv, "--admin-key", adminKey)
	if code, out, errs := command(t, args...); code != exitOK || !strings.Contains(errs, "--again imports it anew") || !strings.Contains(out, "2 rows imported, 1 bad") {
		t.Errorf("a second time: exit code %d, %q, %q", code, out, errs)
	}
	var got importResult
	c.json(&got, args[:len(args)-4]...)
	if got.Import.ID != 1 || got.Import.State != job.Done || got.Rows != 2 || got.Bad != 1 {
		t.Errorf("%+v", got)
	}
	c.json(&got, append(args[:len(args)-4:len(args)-4], "--again")...)
	if diff := cmp.Diff([]imports.BadRow{{Row: 2, Reason: "email is not an address"}}, got.BadRows); diff != "" || got.Import.ID != 2 {
		t.Errorf("import %d, bad rows (-want +got):\n%s", got.Import.ID, diff)
	}
	// What export writes, import reads, with the types of values.
	lines := importFile(t, "people.jsonl", c.do("export", "people", "--format", "jsonl"))
	c.wants([]string{"import", lines, "--identifier", "email"}, "2 rows imported, 0 bad")

	twice := importFile(t, "twice.csv", "id,a,a\n")
	for _, wrong := range [][]string{
		{file + "x"},
		{t.TempDir()},
		{importFile(t, "empty.csv", "")},
		{twice},
		{twice, "--dry-run"},
		{file, "--type", "object"},
		{file, "--type", "event", "--only", "new"},
		{file, "--map", "none=x"},
		{file, "--workspace", "none"},
		{file, "--cancel"}, // it is over
		{lines, "--cancel"},
		{file, "--cancel", "--dry-run"},
	} {
		code, out, errs := command(t, append([]string{"import", "--server", srv, "--admin-key", adminKey}, wrong...)...)
		if code == exitOK || errs == "" || out != "" {
			t.Errorf("%v: exit code %d, %q, %q", wrong, code, out, errs)
		}
	}
}

// TestImportResumed: an upload that breaks off goes on with the part that is missing when the command is run again.
func TestImportResumed(t *testing.T) {
	t.Parallel()
	srv, _ := serve(t, t.TempDir())
	to, err := url.Parse(srv)
	if err != nil {
		t.Fatal(err)
	}
	var puts, most atomic.Int64
	most.Store(2)
	proxy := httputil.NewSingleHostReverseProxy(to)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut && puts.Add(1) > most.Load() {
			w.WriteHeader(http.StatusTeapot)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	defer front.Close()
	var text strings.Builder
	text.WriteString("id")
	for a := range 50 {
		fmt.Fprintf(&text, ",a%d", a)
	}
	const people = 85
	cell := "," + strings.Repeat("x", 900)
	for i := range people { // four parts
		fmt.Fprintf(&text, "\n%d%s", i, strings.Repeat(cell, 50))
	}
	file := importFile(t, "people.csv", text.String())
	args := []string{"import", file, "--server", front.URL, "--admin-key", adminKey}
	if code, out, _ := command(t, args...); code != exitFailed || out != "" || puts.Load() != 3 {
		t.Fatalf("broken off: exit code %d, %q, after %d parts", code, out, puts.Load())
	}
	puts.Store(0)
	most.Store(10)
	if code, out, errs := command(t, args...); code != exitOK || out != fmt.Sprintf("%d rows imported, 0 bad\n", people) || puts.Load() != 2 {
		t.Errorf("again: exit code %d, %q, %q, %d parts; want 2", code, out, errs, puts.Load())
	}
	puts.Store(0)
	most.Store(2)
	args[1] = importFile(t, "more.csv", text.String()+"\n")
	if code, _, errs := command(t, args...); code != exitFailed {
		t.Fatalf("another, broken off: exit code %d, %q", code, errs)
	}
	if code, out, errs := command(t, append(args, "--cancel")...); code != exitOK || out != "canceled; 0 rows were imported and stay\n" {
		t.Errorf("canceled: exit code %d, %q, %q", code, out, errs)
	}
}
