package store

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"rapport.example/internal/store/walvfs"
)

// TestCheckpoints has the log written back beside the writer, and begin anew when the writer has written back the rest: it stays
// short, and nothing is lost on the way. The folder is reached by a link, which SQLite resolves.
func TestCheckpoints(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(t.TempDir(), dir); err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	db, err := openSQLite(t.Context(), dir, slog.New(slog.NewTextHandler(&said, nil)))
	if err != nil {
		t.Fatal(err)
	}
	db.back.much, db.back.little = 1<<20, 100<<10
	write := func(statements ...string) {
		t.Helper()
		err := db.write(t.Context(), func(c conn) error {
			for _, s := range statements {
				if err := c.script(t.Context(), s); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	length := func() int64 { return walvfs.Length(db.back.log) }
	write(`CREATE TABLE things (id INTEGER PRIMARY KEY, data BLOB)`)
	rows := 0
	add := func() {
		t.Helper()
		rows++
		write(fmt.Sprintf(`INSERT INTO things VALUES (%d, randomblob(50000))`, rows))
	}
	for round := range 3 {
		before := length()
		for length() <= db.back.much {
			add()
		}
		if before == 0 || length() > db.back.much+100<<10 {
			t.Fatalf("round %d: the log went from %d to %d bytes", round, before, length())
		}
		add() // beside the checkpoint, or after it
		db.back.runs.Wait()
		add() // and the rest is written back
		add() // at the beginning of the log
		if n := length(); n > 200<<10 {
			t.Fatalf("round %d: the log did not begin anew, it has %d bytes", round, n)
		}
	}
	if err := db.close(); err != nil {
		t.Fatal(err)
	}
	if said.Len() > 0 {
		t.Error(said.String())
	}
	db, err = openSQLite(t.Context(), dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	var n, sum int64
	var sound string
	err = db.query(t.Context(), `SELECT count(*), sum(id) FROM things WHERE length(data) = 50000`, nil, func(r row) error { return r.Scan(&n, &sum) })
	if err == nil {
		err = db.query(t.Context(), `PRAGMA integrity_check`, nil, func(r row) error { return r.Scan(&sound) })
	}
	if err != nil || n != int64(rows) || sum != n*(n+1)/2 || sound != "ok" {
		t.Errorf("%d of %d rows are there, sum of ids %d; the file is %q, %v", n, rows, sum, sound, err)
	}
	if err := db.close(); err != nil {
		t.Error(err)
	}
}
