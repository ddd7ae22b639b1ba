package faulttest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestKillInUpload kills the server between the parts of an upload. The next one has the parts that were acknowledged, takes the rest,
// and imports the whole file.
func TestKillInUpload(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p place) {
		n := p.start(t)
		db := p.sql(t)
		const rows = 3000
		var file strings.Builder
		file.WriteString("id,fill\n")
		for i := range rows {
			fmt.Fprintf(&file, "u%d,%s\n", i, strings.Repeat("x", 990))
		}
		text := file.String()
		var i struct {
			ID, Parts, Rows int64
			State, Error    string
			Next            int64 `json:"next_part"`
			Size            int64 `json:"part_size"`
			Applied         int64 `json:"rows_imported"`
		}
		do := func(method, path, body string) {
			t.Helper()
			if err := json.Unmarshal(n.must(t, method, "/admin/v1/imports"+path, body), &i); err != nil {
				t.Fatal(err)
			}
		}
		begin := fmt.Sprintf(`{"name":"crash","type":"people","identifier":"id","data_to_process":"all","print":"p","size":%d}`, len(text))
		part := func() {
			t.Helper()
			b := text[i.Next*i.Size : min((i.Next+1)*i.Size, int64(len(text)))]
			sum := sha256.Sum256([]byte(b))
			do(http.MethodPut, fmt.Sprintf("/%d/parts/%d?sha256=%s", i.ID, i.Next, hex.EncodeToString(sum[:])), b)
		}
		do(http.MethodPost, "", begin)
		for want := int64(1); want <= 2; want++ {
			part()
			n.crash(t, p, db)
			n = p.start(t)
			do(http.MethodPost, "", begin)
			if i.ID != 1 || i.State != "preparing" || i.Next != want || i.Parts != 3 {
				t.Fatalf("after %d parts: %+v", want, i)
			}
		}
		part()
		do(http.MethodPost, "/1/finish", "")
		within(t, time.Minute, "the import is over", func() bool {
			do(http.MethodGet, "/1", "")
			return i.State == "done" || i.State == "failed"
		})
		if got := count(t, db, `SELECT COUNT(*) FROM people`); i.State != "done" || i.Applied != rows || got != rows {
			t.Errorf("in the end: %+v, %d people, want %d", i, got, rows)
		}
	})
}
