package bench

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rapport.example/cmd/rapport/internal/load"
	"rapport.example/internal/definition"
)

func TestDefinitions(t *testing.T) {
	t.Parallel()
	doc, err := definition.ParseFile("bench.yaml", []byte(definitions()))
	if err != nil {
		t.Fatal(err)
	}
	plan := definition.Diff(nil, doc, false)
	if err := definition.Check(nil, plan.Payload()); err != nil {
		t.Fatal(err)
	}
	n := map[string]int{}
	for _, d := range doc.Definitions {
		n[d.Kind]++
	}
	if n[definition.Segments] != 20 || n[definition.Campaigns] != 5 {
		t.Errorf("definitions: %v, want 20 segments and 5 campaigns", n)
	}
}

// TestRequests guards that what is sent is HTTP with a JSON body of the stated length.
func TestRequests(t *testing.T) {
	t.Parallel()
	p, tr := newPoster("127.0.0.1:1", "user:secret"), traffic{people: 10}
	one := p.post(nil, literal("/x"), func(dst []byte) []byte { return tr.body(dst, 3) })
	many := p.post(one, literal("/batch"), func(dst []byte) []byte { return batchBody(dst, 0, 500, tr.operation) })
	in := bufio.NewReader(bytes.NewReader(many))
	for _, path := range []string{"/x", "/batch"} {
		r, err := http.ReadRequest(in)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		if _, password, _ := r.BasicAuth(); r.URL.Path != path || password != "secret" || !json.Valid(body) {
			t.Errorf("request %s with body %.200s", r.URL, body)
		}
	}
}

func TestLags(t *testing.T) {
	t.Parallel()
	began := time.Unix(0, 0)
	at := func(ms int) time.Duration { return time.Duration(ms) * time.Millisecond }
	res := &load.Result{Began: began, Answered: []time.Duration{at(1), at(2), at(9)}}
	samples := []sample{{began, 0}, {began.Add(at(5)), 2}, {began.Add(at(8)), 3}}
	if d := cmp.Diff([]time.Duration{0, at(3), at(4)}, lags(res, 1, samples)); d != "" {
		t.Errorf("lags (-want +got):\n%s", d)
	}
}

func TestReport(t *testing.T) {
	t.Parallel()
	r := &Report{Database: "postgres"}
	for _, v := range []float64{0.30, 0.34, 0.36, 0.37} {
		r.add(key{"applied ÷ ceiling", 256, ""}, v)
	}
	row := r.Rows[0]
	if row.Median != 0.35 || row.Min != 0.30 || row.Max != 0.37 || row.Met == nil || !*row.Met || row.Wanted != "≥ 0.35" {
		t.Errorf("row = %+v", row)
	}
}
