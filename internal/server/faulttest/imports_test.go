package faulttest

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// batchRows is how many rows of a file become durable at once.
const batchRows = 500

// held tells whether a write hangs, in hold's trigger or behind it.
func held(t *testing.T, p place, db *sql.DB) bool {
	t.Helper()
	if p.database != "" {
		return count(t, db, `SELECT COUNT(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database
			WHERE d.datname = current_database() AND l.locktype = 'advisory' AND NOT l.granted`) > 0
	}
	c, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.ExecContext(t.Context(), `PRAGMA busy_timeout = 300`); err != nil {
		t.Fatal(err)
	}
	_, err = c.ExecContext(t.Context(), `BEGIN IMMEDIATE`)
	if err == nil {
		_, err = c.ExecContext(t.Context(), `ROLLBACK`)
	}
	_, again := c.ExecContext(t.Context(), `PRAGMA busy_timeout = 10000`)
	if again != nil {
		t.Fatal(again)
	}
	return err != nil
}

// TestKillInImport kills the server again and again when rows of an import are durable and the import has not noted it yet. The next
// one goes on, and every row is applied once.
func TestKillInImport(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p place) {
		const rows, people = 6000, 50
		var file strings.Builder
		file.WriteString("id,name,n\n")
		for i := range rows {
			fmt.Fprintf(&file, "p%d,row %d,%d\n", i%people, i, i)
		}
		file.WriteString(",nobody,0\n")
		fetched := make(chan struct{}, 100)
		from := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			fetched <- struct{}{}
			_, _ = w.Write([]byte(file.String())) // a client that is gone asks again
		}))
		t.Cleanup(from.Close)
		n := p.start(t)
		db := p.sql(t)
		progress := `CAST(%sprogress AS TEXT) LIKE '%%"batch":%d%s%%'`
		if p.database != "" {
			progress = `convert_from(%sprogress, 'UTF8') LIKE '%%"batch":%d%s%%'`
		}
		var made struct {
			Import struct {
				ID           int64
				State, Error string
				RowsToImport int64 `json:"rows_to_import"`
				RowsImported int64 `json:"rows_imported"`
			}
		}
		order := fmt.Sprintf(`{"import":{"name":"crash","type":"event","identifier":"id","data_file_url":%q}}`, from.URL)
		for i, batch := range []int{1, 4, 8} {
			release := hold(t, p, db, "UPDATE", "jobs", fmt.Sprintf(progress, "NEW.", batch, ","))
			if i == 0 {
				if err := json.Unmarshal(n.must(t, http.MethodPost, "/v1/imports", order), &made); err != nil {
					t.Fatal(err)
				}
			} else {
				n = p.start(t)
			}
			before := `SELECT COUNT(*) FROM jobs WHERE ` + fmt.Sprintf(progress, "", batch-1, "")
			within(t, time.Minute, "the import hangs", func() bool { return count(t, db, before) == 1 && held(t, p, db) })
			n.kill()
			release()
			n.crash(t, p, db)
			if _, err := db.ExecContext(t.Context(), `UPDATE jobs SET lease_until = 0`); err != nil { // as for partitions
				t.Fatal(err)
			}
		}
		n = p.start(t)
		within(t, time.Minute, "the import is over", func() bool {
			if err := json.Unmarshal(n.must(t, http.MethodGet, fmt.Sprintf("/v1/imports/%d", made.Import.ID), ""), &made); err != nil {
				t.Fatal(err)
			}
			return made.Import.State == "imported" || made.Import.State == "failed"
		})
		if made.Import.State != "imported" || made.Import.RowsToImport != rows || made.Import.RowsImported != rows {
			t.Errorf("in the end: %+v, want %d rows", made.Import, rows)
		}
		for query, want := range map[string]int64{
			`SELECT COUNT(*) FROM activities WHERE type = 1`:                     rows,
			`SELECT COUNT(DISTINCT name) FROM activities WHERE type = 1`:         rows,
			`SELECT COUNT(DISTINCT person) FROM activities WHERE type = 1`:       people,
			`SELECT COUNT(*) FROM people`:                                        people,
			`SELECT COUNT(*) FROM activities WHERE type = 1 AND name = 'nobody'`: 0,
			`SELECT COUNT(*) FROM request_keys`:                                  rows / batchRows,
			`SELECT attempts FROM jobs`:                                          4,
		} {
			if got := count(t, db, query); got != want {
				t.Errorf("%s = %d, want %d", query, got, want)
			}
		}
		if len(fetched) != 1 {
			t.Errorf("the file was fetched %d times, want once", len(fetched))
		}
	})
}
