package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rapport.example/internal/api/admin"
	"rapport.example/internal/store"
	"rapport.example/internal/store/storetest"
)

// interrupting is standard error on which somebody looks, and presses Ctrl-C at the first sign of a build.
type interrupting struct {
	bytes.Buffer
	stop func()
}

func (w *interrupting) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte("building")) {
		w.stop()
	}
	return w.Buffer.Write(b)
}

// TestApplyWaits: with more people than are looked at within a save, apply --wait returns when the new membership answers. Whoever stops waiting,
// or has waited for long enough, is told so and stops no build.
func TestApplyWaits(t *testing.T) {
	t.Parallel()
	storetest.EachOptions(t, func(t *testing.T, o store.Options) {
		t.Helper()
		url, _ := serveOn(t, t.TempDir(), o.URL)
		c, file := client{t, url}, filepath.Join(t.TempDir(), "acme.yaml")
		if err := os.WriteFile(file, []byte("schema: 1\nworkspace: acme\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		c.wants([]string{"apply", "-f", file, "--wait"}, "the unnamed workspace got this name") // and there is nothing to wait for
		const people, batch = 10_000, 1000
		for from := 0; from < people; from += batch {
			var ops []string
			for i := from; i < from+batch; i++ {
				ops = append(ops, fmt.Sprintf(`{"type":"person","action":"identify","identifiers":{"id":"%d"},"attributes":{"seats":%d}}`, i, i))
			}
			if status, answer := c.tell("POST", "/api/v2/batch", `{"batch":[`+strings.Join(ops, ",")+`]}`); status != 200 {
				t.Fatalf("batch: %d %s", status, answer)
			}
		}
		apply := func(ctx context.Context, errs interface {
			Write(b []byte) (int, error)
			String() string
		}, least int, flags ...string,
		) (code int, said string) {
			t.Helper()
			text := fmt.Sprintf("schema: 1\nworkspace: acme\nsegments:\n  - id: teams\n    conditions: {attribute: seats, at_least: %d}\n  - id: others\n    conditions: {not: {segment: teams}}\n", least)
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			args := append([]string{"apply", "-f", file, "--wait", "--server", url, "--admin-key", adminKey}, flags...)
			var out bytes.Buffer
			code = run(ctx, args, &app{out: &out, err: errs, in: strings.NewReader("")})
			if !strings.Contains(out.String(), "workspace acme") {
				t.Errorf("apply printed %q", out.String())
			}
			return code, errs.String()
		}
		answers := func(when string, teams int64) {
			t.Helper()
			for slug, want := range map[string]int64{"teams": teams, "others": people - teams} {
				var shown admin.SegmentDetail
				c.json(&shown, "segments", "show", slug)
				var asked admin.PreviewAnswer
				c.json(&asked, "segments", "preview", "--condition", "{segment: "+slug+"}")
				if shown.State != "finished" || shown.Count != want || asked.Count != want || shown.Built == 0 {
					t.Errorf("%s: %s is %s, built %d, with %d people, and %d who are in it; want %d", when, slug, shown.State, shown.Built, shown.Count, asked.Count, want)
				}
			}
		}
		for _, least := range []int{4000, 7000} {
			code, said := apply(t.Context(), &bytes.Buffer{}, least)
			if code != exitOK || !strings.Contains(said, "building") || !strings.Contains(said, "%\n") {
				t.Errorf("apply --wait: exit code %d, %q", code, said)
			}
			answers("after apply --wait", int64(people-least))
		}

		code, said := apply(t.Context(), &bytes.Buffer{}, 100, "--timeout", "1ns")
		if code != exitFailed || said != "rapport: not everything is built within 1ns: builds go on by themselves; rapport segments list tells how far they are\n" {
			t.Errorf("apply --wait --timeout: exit code %d, %q", code, said)
		}
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		code, said = apply(ctx, &interrupting{stop: stop}, 9000)
		if code != exitFailed || !strings.HasSuffix(said, "\nrapport: stopped waiting: builds go on by themselves; rapport segments list tells how far they are\n") {
			t.Errorf("apply --wait that was interrupted: exit code %d, %q", code, said)
		}
		if code, _, errs := command(t, "segments", "show", "others", "--wait", "--timeout", "10m", "--server", url, "--admin-key", adminKey); code != exitOK {
			t.Errorf("segments show --wait: exit code %d, %q", code, errs)
		}
		answers("after the build that nobody waited for", 1000)
	})
}
