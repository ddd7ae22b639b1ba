package faulttest

import (
	"crypto/rand"
	"database/sql"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// holdPart makes every write of an export's second part hang until release is called.
func holdPart(t *testing.T, p place, db *sql.DB) (release func()) {
	t.Helper()
	return hold(t, p, db, "INSERT", "job_files", "NEW.part = 1")
}

// hold makes an INSERT or UPDATE of such rows hang until release is called. On SQLite nobody else can write meanwhile.
func hold(t *testing.T, p place, db *sql.DB, write, table, such string) (release func()) {
	t.Helper()
	exec := func(run func(text string) error, texts ...string) {
		t.Helper()
		for _, text := range texts {
			if err := run(text); err != nil {
				t.Fatalf("%s: %v", oneLine(text), err)
			}
		}
	}
	beside := func(text string) error {
		_, err := db.ExecContext(t.Context(), text)
		return err
	}
	if p.database == "" {
		exec(beside, `CREATE TRIGGER hold BEFORE `+write+` ON `+table+` WHEN `+such+` BEGIN
			SELECT (WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c); END`)
		return func() { exec(beside, `DROP TRIGGER hold`) }
	}
	c, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	holding := func(text string) error {
		_, err := c.ExecContext(t.Context(), text)
		return err
	}
	exec(holding, `SELECT pg_advisory_lock(4242)`,
		`CREATE OR REPLACE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_xact_lock(4242); RETURN NEW; END $$`,
		`CREATE TRIGGER hold BEFORE `+write+` ON `+table+` FOR EACH ROW WHEN (`+such+`) EXECUTE FUNCTION hold()`)
	return func() {
		exec(holding, `SELECT pg_advisory_unlock(4242)`, `DROP TRIGGER hold ON `+table)
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestKillInExport kills the server between the parts of an export. The next one makes it anew, with what was written since, and
// whoever had asked for it finds it under its number.
func TestKillInExport(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p place) {
		n := p.start(t)
		db := p.sql(t)
		const people = 40
		random := make([]byte, 500)
		for i := range people {
			var body strings.Builder
			for a := range 100 {
				_, _ = rand.Read(random) // never fails
				fmt.Fprintf(&body, `,"a%d":%q`, a, hex.EncodeToString(random))
			}
			n.identify(t, fmt.Sprint(i), "{"+body.String()[1:]+"}")
		}
		release := holdPart(t, p, db)
		var made struct {
			Export struct {
				ID, Total int64
				Status    string
			}
		}
		read := func(b []byte) {
			t.Helper()
			if err := json.Unmarshal(b, &made); err != nil {
				t.Fatalf("%s: %v", b, err)
			}
		}
		read(n.must(t, http.MethodPost, "/v1/exports/customers", `{"filters":{}}`))
		const parts = `SELECT COUNT(*) FROM job_files`
		within(t, time.Minute, "a part is there", func() bool { return count(t, db, parts) == 1 })
		n.kill()
		release()
		if got := count(t, db, parts); got != 1 {
			t.Errorf("%d parts after the kill, want 1", got)
		}
		n.crash(t, p, db)
		if _, err := db.ExecContext(t.Context(), `UPDATE jobs SET lease_until = 0`); err != nil { // as for partitions
			t.Fatal(err)
		}
		n = p.start(t)
		n.identify(t, "late", `{"a0":"late"}`)
		path := fmt.Sprintf("/v1/exports/%d", made.Export.ID)
		within(t, time.Minute, "the export is done", func() bool {
			read(n.must(t, http.MethodGet, path, ""))
			return made.Export.Status == "done"
		})
		var link struct{ URL string }
		if err := json.Unmarshal(n.must(t, http.MethodGet, path+"/download", ""), &link); err != nil {
			t.Fatal(err)
		}
		a, err := call(t.Context(), http.MethodGet, link.URL, "")
		if err != nil || a.status != http.StatusOK {
			t.Fatalf("GET the link: %d %v", a.status, err)
		}
		rows, err := csv.NewReader(strings.NewReader(string(a.body))).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		rows = rows[1:]
		if int64(len(rows)) != made.Export.Total || len(rows) < people || len(rows) > people+1 {
			t.Errorf("%d rows, total %d, want %d or one more", len(rows), made.Export.Total, people)
		}
		for i := range people {
			if rows[i][0] != fmt.Sprint(i) || len(rows[i]) != 106 {
				t.Errorf("row %d has %d cells and is of %s", i, len(rows[i]), rows[i][0])
			}
		}
		if got := count(t, db, `SELECT attempts FROM jobs`); got != 2 {
			t.Errorf("%d attempts, want 2", got)
		}
	})
}
