package admin_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rapport.example/internal/api/admin"
	"rapport.example/internal/api/apitest"
	"rapport.example/internal/imports"
	"rapport.example/internal/job"
	"rapport.example/internal/store"
	"rapport.example/internal/store/storetest"
)

// part uploads a part.
func (s *server) part(t *testing.T, path string, part []byte, sum string, status int) {
	t.Helper()
	if sum == "" {
		h := sha256.Sum256(part)
		sum = hex.EncodeToString(h[:])
	}
	w := s.request(http.MethodPut, "/admin/v1/"+path+"?sha256="+sum, string(part), "Authorization", "Bearer "+apitest.AdminKey)
	if w.Code != status {
		t.Errorf("PUT %s = %d %s, want %d", path, w.Code, w.Body, status)
	}
}

// TestImports uploads a file in parts, out of order and some twice, refuses parts that are wrong, finds the upload again, and
// lists bad rows.
func TestImports(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s := newServer(t, db, nil)
		file := []byte("id,a\n1,x\n,\n" + strings.Repeat("\n", 2*imports.PartSize) + "2,y\n")
		order := admin.ImportRequest{Name: "May", Type: imports.People, Identifier: "id", Mode: imports.All, Size: int64(len(file)), Print: "p"}
		i := call[admin.Import](s, "POST", "imports", order, 200)
		if i.ID != 1 || i.State != job.Preparing || i.Parts != 3 || i.Next != 0 || i.Part != imports.PartSize || i.Known {
			t.Fatalf("%+v", i)
		}
		first, second, third := file[:imports.PartSize], file[imports.PartSize:2*imports.PartSize], file[2*imports.PartSize:]
		s.part(t, "imports/1/parts/1", second, "", 200)
		s.part(t, "imports/1/parts/0", second, strings.Repeat("0", 64), 400)
		s.part(t, "imports/1/parts/0", first[1:], "", 400)
		s.part(t, "imports/1/parts/2", first, "", 400)
		s.part(t, "imports/1/parts/3", third, "", 400)
		s.part(t, "imports/1/parts/x", third, "", 400)
		s.part(t, "imports/2/parts/0", first, "", 404)
		s.part(t, "imports/1/parts/0", append(bytes.Clone(first), 'x'), "", 413)
		call[any](s, "POST", "imports/1/finish", nil, 409)
		s.part(t, "imports/1/parts/0", first, "", 200)
		s.part(t, "imports/1/parts/0", first, "", 200)
		if again := call[admin.Import](s, "POST", "imports", order, 200); again.ID != 1 || again.Next != 2 || !again.Known {
			t.Errorf("found again: %+v", again)
		}
		s.part(t, "imports/1/parts/2", third, "", 200)
		for range 2 {
			if i = call[admin.Import](s, "POST", "imports/1/finish", nil, 200); i.State != job.Queued {
				t.Errorf("finished: %+v", i)
			}
		}
		s.part(t, "imports/1/parts/0", first, "", 409)

		r := job.NewRunner(job.Options{
			Store: db, Owner: "a", Now: time.Now, Logger: slog.New(slog.DiscardHandler), Poll: 5 * time.Millisecond,
			Kinds: []job.Kind{imports.Job(imports.Options{
				Log: s, Requests: db, Route: func(int64) (int32, bool) { return 0, true }, Caught: func(context.Context, int64) {}, Applied: s.Applied, Now: s.Now,
				Fetch: func(context.Context, string, io.Writer) error { return errors.New("nothing is fetched") },
			})},
		})
		r.Start()
		t.Cleanup(r.Stop)
		for end := time.Now().Add(time.Minute); i.State != job.Done && time.Now().Before(end); {
			i = call[admin.Import](s, "GET", "imports/1", nil, 200)
		}
		if i.State != job.Done || i.Stage != "imported" || i.Rows != 2 || i.Bad != 1 || i.Applied != 2 || i.Sent != 2 {
			t.Errorf("at the end: %+v", i)
		}
		want := admin.BadRowsAnswer{Rows: []imports.BadRow{{Row: 2, Reason: "id is missing"}}, Total: 1}
		if diff := cmp.Diff(want, call[admin.BadRowsAnswer](s, "GET", "imports/1/bad_rows", nil, 200)); diff != "" {
			t.Errorf("bad rows (-want +got):\n%s", diff)
		}
		if n, err := db.CountPeople(t.Context(), s.Workspace.ID); n != 2 || err != nil {
			t.Errorf("%d people, %v", n, err)
		}
		order.Again = true
		if again := call[admin.Import](s, "POST", "imports", order, 200); again.ID != 2 || again.Known {
			t.Errorf("anew: %+v", again)
		}
		var all []string
		for _, i := range call[admin.ImportsAnswer](s, "GET", "imports", nil, 200).Imports {
			all = append(all, fmt.Sprint(i.ID, i.State, i.Next))
		}
		if diff := cmp.Diff([]string{"2preparing0", "1done3"}, all); diff != "" {
			t.Errorf("imports (-want +got):\n%s", diff)
		}
		if c := call[admin.Import](s, "POST", "imports/2/cancel", nil, 200); c.State != job.Failed || c.Stage != "canceled" {
			t.Errorf("canceled: %+v", c)
		}
		call[any](s, "POST", "imports/2/cancel", nil, 409)
		call[any](s, "POST", "imports/9/cancel", nil, 404)
		s.part(t, "imports/2/parts/0", first, "", 409)
		order.Find, order.Print = true, "q"
		call[any](s, "POST", "imports", order, 404)
		for _, wrong := range []admin.ImportRequest{
			{Type: imports.People, Identifier: "id", Mode: imports.All},
			{Type: "pets", Identifier: "id", Mode: imports.All, Size: 1},
			{Type: imports.People, Mode: imports.All, Size: 1},
			{Type: imports.Events, Identifier: "id", Mode: imports.OnlyNew, Size: 1},
			{Type: imports.People, Identifier: "id", Mode: imports.All, Size: imports.MaxSize + 1},
		} {
			call[any](s, "POST", "imports", wrong, 400)
		}
		for _, path := range []string{"imports/9", "imports/9/bad_rows", "imports/1?workspace=none"} {
			call[any](s, "GET", path, nil, 404)
		}
	})
}
