package walvfs_test

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"pgregory.net/rapid"

	_ "modernc.org/sqlite"

	"rapport.example/internal/store/walvfs"
)

// open returns one connection to a file, through this package's file system or SQLite's own.
func open(t testing.TB, path, vfs string, pragmas ...string) *sql.DB {
	t.Helper()
	if err := walvfs.Register(); err != nil {
		t.Fatal(err)
	}
	dsn := "file:" + path + "?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=busy_timeout(10000)"
	for _, p := range pragmas {
		dsn += "&_pragma=" + p
	}
	if vfs != "" {
		dsn += "&vfs=" + vfs
	}
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func exec(t testing.TB, db *sql.DB, statements ...string) {
	t.Helper()
	for _, s := range statements {
		if _, err := db.ExecContext(t.Context(), s); err != nil {
			t.Fatalf("%.60s: %v", s, err)
		}
	}
}

// content is all rows, and fails the test unless the file is sound.
func content(t testing.TB, db *sql.DB) string {
	t.Helper()
	var ok, all string
	if err := db.QueryRowContext(t.Context(), `PRAGMA integrity_check`).Scan(&ok); err != nil || ok != "ok" {
		t.Fatalf("integrity_check = %q, %v", ok, err)
	}
	const sql = `SELECT COALESCE(group_concat(id || ':' || length(data) || ':' || hex(substr(data, 1, 4)), ' '), '') FROM (SELECT * FROM things ORDER BY id)`
	if err := db.QueryRowContext(t.Context(), sql).Scan(&all); err != nil {
		t.Fatal(err)
	}
	return all
}

// TestCrash holds what a crash leaves to what was committed: after any sequence of transactions, some rolled back, some
// larger than SQLite's cache, with checkpoints between and beside them, the files as they are then opened by SQLite alone have just the same
// rows, and so sees another connection while the first is open.
func TestCrash(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		dir := t.TempDir()
		path := filepath.Join(dir, "a.db")
		db := open(t, path, walvfs.Name, "cache_size(8)", "wal_autocheckpoint(40)")
		exec(t, db, `CREATE TABLE things (id INTEGER PRIMARY KEY, data BLOB)`)
		other, back := open(t, path, "", "query_only(1)"), open(t, path, "")
		for n := range rapid.IntRange(1, 8).Draw(r, "transactions") {
			exec(t, db, `BEGIN IMMEDIATE`)
			for range rapid.IntRange(1, 4).Draw(r, "statements") {
				rows, size := rapid.IntRange(1, 60).Draw(r, "rows"), rapid.IntRange(1, 9000).Draw(r, "size")
				exec(t, db, fmt.Sprintf(`WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)
					INSERT INTO things SELECT (i * 7919 + %d) %% 97, randomblob(%d) FROM n WHERE 1 ON CONFLICT DO UPDATE SET data = excluded.data`, rows, n, size))
				if rapid.IntRange(0, 3).Draw(r, "checkpoint beside") == 0 {
					exec(t, back, `PRAGMA wal_checkpoint(PASSIVE)`)
				}
			}
			exec(t, db, rapid.SampledFrom([]string{`COMMIT`, `COMMIT`, `ROLLBACK`}).Draw(r, "end"))
			if rapid.IntRange(0, 3).Draw(r, "checkpoint") == 0 {
				exec(t, db, `PRAGMA wal_checkpoint(TRUNCATE)`)
			}
			want := content(t, db)
			if got := content(t, other); got != want {
				t.Fatalf("another connection sees\n%s\nwant\n%s", got, want)
			}
			crashed := filepath.Join(dir, fmt.Sprintf("crash%d.db", n))
			for _, end := range []string{"", "-wal"} {
				b, err := os.ReadFile(path + end)
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(crashed+end, b, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if got := content(t, open(t, crashed, "")); got != want {
				t.Fatalf("after a crash there is\n%s\nwant\n%s", got, want)
			}
		}
	})
}

// TestFullDisk lets the log grow to a bound of the operating system: the commit fails as a whole, and with room again all
// goes on. The bound holds for the process, so it does not run beside other tests.
func TestFullDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	db := open(t, path, walvfs.Name)
	exec(t, db, `CREATE TABLE things (id INTEGER PRIMARY KEY, data BLOB)`, `INSERT INTO things VALUES (1, x'01020304')`)
	want := content(t, db)
	st, err := os.Stat(path + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	var was syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &was); err != nil {
		t.Fatal(err)
	}
	limit := was
	limit.Cur = uint64(st.Size()) + 50_000
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	_, full := db.ExecContext(t.Context(), `INSERT INTO things VALUES (2, randomblob(300000))`)
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &was); err != nil {
		t.Fatal(err)
	}
	if full == nil || !strings.Contains(full.Error(), "full") && !strings.Contains(full.Error(), "I/O") {
		t.Errorf("a log without room: %v, want an error of the disk", full)
	}
	if got := content(t, db); got != want {
		t.Errorf("after the failure there is %s, want %s", got, want)
	}
	exec(t, db, `INSERT INTO things VALUES (3, randomblob(300000))`)
	if got := content(t, open(t, path, "")); !strings.Contains(got, " 3:300000:") || strings.Contains(got, " 2:") {
		t.Errorf("with room again there is %s", got)
	}
}

// BenchmarkCommit commits 1,000 pages that are spread over a file of 20,000.
func BenchmarkCommit(b *testing.B) {
	for _, vfs := range []string{"", walvfs.Name} {
		b.Run("vfs="+vfs, func(b *testing.B) {
			db := open(b, filepath.Join(b.TempDir(), "a.db"), vfs, "cache_size(-131072)")
			exec(b, db, `CREATE TABLE things (id INTEGER PRIMARY KEY, data BLOB)`, `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
				INSERT INTO things SELECT i, zeroblob(3000) FROM n`)
			n := 0
			for b.Loop() {
				exec(b, db, fmt.Sprintf(`UPDATE things SET data = x'00' || zeroblob(2999) WHERE id %% 20 = %d`, n%20))
				n++
			}
		})
	}
}
