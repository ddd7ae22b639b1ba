package pagemem

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"testing"
	"unsafe"

	"modernc.org/libc"
	_ "modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"
	"pgregory.net/rapid"

	"rapport.example/internal/store/capi"
)

func registered(t testing.TB) {
	t.Helper()
	if err := Register(); err != nil {
		t.Fatal(err)
	}
}

// slots counts those that were ever in use, and of them those that are free.
func slots() (used, free int) {
	system.mu.Lock()
	defer system.mu.Unlock()
	for p := system.free; p != 0; p = *capi.At[uintptr](p) {
		free++
	}
	return system.used, free
}

// TestMemory holds SQLite's three functions to what they promise: whatever is allocated, grown, shrunk and freed in whatever order, nothing
// overlaps, everything keeps its bytes and knows its size, and pages come from slots.
func TestMemory(t *testing.T) {
	registered(t)
	rapid.Check(t, func(r *rapid.T) {
		tls := libc.NewTLS()
		defer tls.Close()
		type held struct {
			p    uintptr
			want []byte
		}
		var all []held
		fill := func(p uintptr, n int32) held {
			if p == 0 {
				t.Fatalf("no memory for %d bytes", n)
			}
			if got := lib.Xsqlite3_msize(tls, p); got < uint64(n) {
				t.Fatalf("of %d bytes SQLite knows %d", n, got)
			}
			h := held{p: p, want: rapid.SliceOfN(rapid.Byte(), 1, 8).Draw(r, "bytes")}
			h.want = bytes.Repeat(h.want, int(n)/len(h.want)+1)[:n]
			copy(unsafe.Slice(capi.At[byte](p), n), h.want)
			return h
		}
		size := rapid.OneOf(rapid.Int32Range(1, 9000), rapid.Int32Range(page-9, page+9), rapid.Int32Range(most-9, most+9))
		for range rapid.IntRange(1, 60).Draw(r, "steps") {
			i := -1
			if len(all) > 0 {
				i = rapid.IntRange(-1, len(all)-1).Draw(r, "which")
			}
			switch n := size.Draw(r, "size"); {
			case i < 0:
				all = append(all, fill(lib.Xsqlite3_malloc(tls, n), n))
			case rapid.Bool().Draw(r, "free"):
				lib.Xsqlite3_free(tls, all[i].p)
				all = append(all[:i], all[i+1:]...)
			default:
				was := all[i].want
				p := lib.Xsqlite3_realloc(tls, all[i].p, n)
				kept := min(len(was), int(n))
				if !bytes.Equal(unsafe.Slice(capi.At[byte](p), kept), was[:kept]) {
					t.Fatalf("%d bytes that became %d are not what they were", len(was), n)
				}
				all[i] = fill(p, n)
			}
			for _, h := range all {
				if !bytes.Equal(unsafe.Slice(capi.At[byte](h.p), len(h.want)), h.want) {
					t.Fatalf("%d bytes were overwritten", len(h.want))
				}
			}
		}
		for _, h := range all {
			lib.Xsqlite3_free(tls, h.p)
		}
	})
	if used, free := slots(); used == 0 || free != used {
		t.Errorf("%d slots were used, %d are free again", used, free)
	}
}

// TestPages has SQLite read a table through a small cache that somebody else's writes empty again and again: the slots of the first
// round are enough for all.
func TestPages(t *testing.T) {
	registered(t)
	path := filepath.Join(t.TempDir(), "a.db")
	open := func(pragmas string) *sql.DB {
		db, err := sql.Open("sqlite", "file:"+path+"?_pragma=journal_mode(WAL)"+pragmas)
		if err != nil {
			t.Fatal(err)
		}
		db.SetMaxOpenConns(1)
		return db
	}
	writer, reader := open(""), open("&_pragma=cache_size(300)")
	ctx := context.Background()
	exec := func(text string) {
		t.Helper()
		if _, err := writer.ExecContext(ctx, text); err != nil {
			t.Fatal(err)
		}
	}
	exec(`CREATE TABLE things (id INTEGER PRIMARY KEY, data BLOB)`)
	exec(`WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4000) INSERT INTO things SELECT i, zeroblob(1000) FROM n`)
	first := 0
	for round := range 5 {
		exec(fmt.Sprintf(`UPDATE things SET data = zeroblob(900) WHERE id = %d`, round+1))
		var n, sum int
		if err := reader.QueryRowContext(ctx, `SELECT count(*), sum(length(data)) FROM things`).Scan(&n, &sum); err != nil {
			t.Fatal(err)
		}
		if want := 4000*1000 - 100*(round+1); n != 4000 || sum != want {
			t.Fatalf("round %d: %d rows of %d bytes, want 4000 of %d", round, n, sum, want)
		}
		used, _ := slots()
		if round == 0 {
			first = used
		}
		if used > first+10 || first < 300 {
			t.Errorf("round %d: %d slots were used, in the first round %d", round, used, first)
		}
	}
	if err := writer.Close(); err != nil {
		t.Error(err)
	}
	if err := reader.Close(); err != nil {
		t.Error(err)
	}
	if used, free := slots(); free != used {
		t.Errorf("%d slots were used, %d are free again", used, free)
	}
}
