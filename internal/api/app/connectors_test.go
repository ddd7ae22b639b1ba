package app_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"rapport.example/internal/api/apitest"
	"rapport.example/internal/api/app"
	"rapport.example/internal/ingest"
	"rapport.example/internal/object"
	"rapport.example/internal/store"
	"rapport.example/internal/store/storetest"
	"rapport.example/internal/value"
)

// The archives in testdata/connectors hold what programs that nobody here wrote ask for. A file "stream X" is a request and how
// its answer is read; "records X" is what the stream has then. Lines of a stream:
//
//	ask METHOD PATH [BODY]   @from@ and @to@ are moments around everything; {field} and @ids@ are of the request before
//	next PARAMETER           its answer's next is sent again as that parameter, until it is empty
//	records FIELD            the list of records; without it, the answer is the record
//	show FIELD…              what is kept of a record
//	each [N FIELD]           the request that follows is asked for each record, or for N values of a field at a time, as @ids@
//	maybe FIELD              in place of records and show: a list, or a 501
type stream struct {
	name string
	asks []ask
}

type ask struct {
	method, path, body    string
	next, records, member string
	show                  []string
	group                 int  // records a request, 1 if it is asked for each one
	maybe                 bool // may be a 501
}

func parseStream(t *testing.T, f txtar.File) stream {
	t.Helper()
	s := stream{name: strings.TrimPrefix(f.Name, "stream ")}
	group, member := 1, ""
	for line := range strings.Lines(string(f.Data)) {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		if word == "ask" {
			parts := strings.SplitN(rest, " ", 3)
			s.asks = append(s.asks, ask{method: parts[0], path: parts[1], group: group, member: member})
			if len(parts) == 3 {
				s.asks[len(s.asks)-1].body = parts[2]
			}
			continue
		}
		a := &s.asks[len(s.asks)-1]
		switch word {
		case "next":
			a.next = rest
		case "records":
			a.records = rest
		case "show":
			a.show = strings.Fields(rest)
		case "maybe":
			a.records, a.maybe = rest, true
		case "each":
			if n, field, ok := strings.Cut(rest, " "); ok {
				member = field
				group, _ = strconv.Atoi(n) // 0 is found below
			}
			if group < 1 {
				t.Fatalf("%s: cannot read %q", f.Name, line)
			}
		default:
			t.Fatalf("%s: cannot read %q", f.Name, line)
		}
	}
	return s
}

// connector asks for streams; with small set, in pages of two, whatever it would ask for itself.
type connector struct {
	t     *testing.T
	s     *surface
	small bool
	from  string
	to    string
}

func (c *connector) run(s stream) string {
	var out strings.Builder
	parents := [][]value.Value{nil}
	for i, a := range s.asks {
		var found []value.Value
		for _, of := range parents {
			found = append(found, c.pages(a, of, &out)...)
		}
		if i == len(s.asks)-1 {
			break
		}
		parents = slices.Collect(slices.Chunk(found, s.asks[i+1].group))
	}
	return out.String()
}

// pages asks for all pages of a list and prints what is to be shown of its records.
func (c *connector) pages(a ask, parents []value.Value, out *strings.Builder) (all []value.Value) {
	target, body := c.fill(a, parents)
	for n, next := 0, ""; n < 1000; n++ {
		status, answer := c.send(a.method, withParam(target, a.next, next), body)
		if a.maybe && status == http.StatusNotImplemented {
			return nil
		}
		if status != http.StatusOK {
			fmt.Fprintf(out, "%d %s\n", status, answer)
			return nil
		}
		page := []value.Value{answer}
		if a.records != "" {
			v := answer.Get(a.records)
			if v == nil {
				c.t.Errorf("%s has no %s: %s", target, a.records, answer)
			}
			page = slices.Collect(v.Elements())
		}
		for _, r := range page {
			if len(a.show) > 0 {
				out.WriteString(shown(r, a.show))
			}
		}
		all = append(all, page...)
		if next = answer.Get("next").Text(); next == "" || a.next == "" {
			return all
		}
	}
	c.t.Errorf("%s has no end", target)
	return nil
}

func (c *connector) fill(a ask, parents []value.Value) (target, body string) {
	target = strings.NewReplacer("@from@", c.from, "@to@", c.to).Replace(a.path)
	if a.member != "" {
		ids := []string{}
		for _, p := range parents {
			ids = append(ids, p.Get(a.member).Text())
		}
		list, err := json.Marshal(ids)
		if err != nil {
			c.t.Fatal(err)
		}
		return target, strings.ReplaceAll(a.body, "@ids@", string(list))
	}
	if before, field, ok := strings.Cut(target, "{"); ok && len(parents) == 1 {
		name, after, _ := strings.Cut(field, "}")
		target = before + url.PathEscape(parents[0].Get(name).Text()) + after
	}
	if c.small && a.next != "" {
		target = withParam(target, "limit", "2")
	}
	return target, a.body
}

func withParam(target, name, v string) string {
	if name == "" || v == "" {
		return target
	}
	path, query, _ := strings.Cut(target, "?")
	q, err := url.ParseQuery(query)
	if err != nil {
		return target
	}
	q.Set(name, v)
	return path + "?" + q.Encode()
}

func shown(r value.Value, fields []string) string {
	parts := make([]string, len(fields))
	for i, f := range fields {
		v := r
		for part := range strings.SplitSeq(f, ".") {
			v = v.Get(part)
		}
		parts[i] = string(v)
	}
	return strings.TrimRight(strings.Join(parts, " "), " ") + "\n"
}

func (c *connector) send(method, target, body string) (int, value.Value) {
	r := httptest.NewRequestWithContext(c.t.Context(), method, target, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+apitest.AppKey)
	w := httptest.NewRecorder()
	c.s.mux.ServeHTTP(w, r)
	return w.Code, parse(c.t, strings.TrimSpace(w.Body.String()))
}

// audience is what connectors find: people in segments, one without an id, one deleted, mails that were sent, objects.
func audience(t *testing.T, w *apitest.World, s *surface) {
	t.Helper()
	w.Define(`schema: 1
workspace: acme
senders:
  - {id: hello, name: Acme, email: hello@acme.example}
segments:
  - {id: pro, name: Pro, conditions: {attribute: plan, is: pro}}
  - {id: vip, name: VIP, manual: true}
campaigns:
  - id: welcome
    name: Welcome
    state: running
    trigger: {enters_segment: pro, audience: new_only}
    frequency: once
    workflow:
      - {id: mail, email: {from: hello, to: "{{ customer.email }}", subject: "Welcome {{ customer.email }}", body: "<p>Hi</p>"}}
transactional:
  - {id: receipt, name: Receipt, from: hello, subject: Receipt, body: "<p>Thanks</p>"}
`)
	var ops []ingest.Op
	for i := range 5 {
		id := fmt.Sprintf("p%d", i)
		ops = append(ops, w.Identify(id, fmt.Sprintf(`{"email":"%s@example.com","plan":%q}`, id, []string{"pro", "free"}[i%2])), w.Event(id, "looked", `{"n":1}`),
			w.Op(ingest.Object, ingest.ObjectPayload{Object: object.Key{Type: 1, ID: "acme"}, Relations: []ingest.Relation{{By: ingest.By{ID: id}}}}))
	}
	ops = append(ops,
		w.Op(ingest.Identify, ingest.IdentifyPayload{By: ingest.By{Email: "only@example.com"}, Attributes: value.Value(`{"plan":"free"}`)}),
		w.Event("gone", "looked", `{}`), w.Op(ingest.Delete, ingest.PersonPayload{By: ingest.By{ID: "gone"}}),
		w.Op(ingest.SegmentAdd, ingest.SegmentPayload{Segment: 2, People: []ingest.By{{ID: "p0"}, {ID: "p1"}, {ID: "p3"}}}))
	w.Do(ops...)
	w.Sent(3)
	for _, id := range []string{"p1", "p3"} {
		call[app.SendAnswer](t, s, "POST", "/v1/send/email", fmt.Sprintf(`{"transactional_message_id":"receipt","identifiers":{"id":%q},"to":"%[1]s@example.com"}`, id), 200)
	}
	w.Sent(5)
}

// TestConnectors has the requests of connectors that nobody here wrote answered: their streams have what there is, and in pages of
// two they have the same.
func TestConnectors(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/connectors/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no archives: %v", err)
	}
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		t.Helper()
		w, s := live(t, db)
		audience(t, w, s)
		now := w.Now().Unix()
		c := &connector{t: t, s: s, from: strconv.FormatInt(now-30*86400, 10), to: strconv.FormatInt(now+86400, 10)}
		for _, file := range files {
			in, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			out := &txtar.Archive{Comment: in.Comment}
			for _, f := range in.Files {
				if !strings.HasPrefix(f.Name, "stream ") {
					continue
				}
				st := parseStream(t, f)
				c.small = false
				got := c.run(st)
				c.small = true
				if diff := cmp.Diff(got, c.run(st)); diff != "" {
					t.Errorf("%s %s in pages of two (-want +got):\n%s", file, f.Name, diff)
				}
				out.Files = append(out.Files, f)
				if got != "" {
					out.Files = append(out.Files, txtar.File{Name: "records " + st.name, Data: []byte(got)})
				}
			}
			if got := txtar.Format(out); *update && db.Backend() == storetest.SQLite {
				if err := os.WriteFile(file, got, 0o600); err != nil {
					t.Fatal(err)
				}
			} else if diff := cmp.Diff(string(txtar.Format(in)), string(got)); diff != "" && !*update {
				t.Errorf("%s (-want +got):\n%s", file, diff)
			}
		}
	})
}
