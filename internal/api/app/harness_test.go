package app_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"rapport.example/internal/api"
	"rapport.example/internal/api/apitest"
	"rapport.example/internal/api/app"
	"rapport.example/internal/definition"
	"rapport.example/internal/delivery"
	"rapport.example/internal/engine"
	"rapport.example/internal/event"
	"rapport.example/internal/ingest"
	"rapport.example/internal/object"
	"rapport.example/internal/person"
	"rapport.example/internal/store"
	"rapport.example/internal/store/storetest"
	"rapport.example/internal/value"
	"rapport.example/internal/workspace"
)

var update = flag.Bool("update", false, "rewrite the archives in testdata")

var secret = []byte("a secret of 32 bytes for the test")

// memory is a log that keeps what it is given. With fail set it is down.
type memory struct {
	mu   sync.Mutex
	ops  []ingest.Op
	fail error
}

func (m *memory) Append(_ context.Context, partition int32, ops ...ingest.Op) (ingest.Position, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return ingest.Position{}, m.fail
	}
	m.ops = append(m.ops, ops...)
	return ingest.Position{Partition: partition, Seq: uint64(len(m.ops))}, nil
}

const hour = int64(3600_000)

var start = apitest.Start.UnixMilli()

func parse(tb testing.TB, text string) value.Value {
	tb.Helper()
	if text == "" {
		return nil
	}
	v, err := value.Parse([]byte(text))
	if err != nil {
		tb.Fatal(err)
	}
	return v
}

// seed fills workspace 1 with a few of everything, and workspace 2 with what must never be seen from workspace 1.
func seed(tb testing.TB, db *store.DB) {
	tb.Helper()
	ctx := tb.Context()
	must := func(err error) {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
	}
	must(db.EnsurePartitions(ctx, 1))
	for i, name := range []string{"acme", "other"} {
		w, err := db.CreateWorkspace(ctx, name, 0)
		must(err)
		_, err = db.CreateCredential(ctx, workspace.Credential{Workspace: w.ID, Kind: workspace.App, Hash: workspace.Hash([]string{"app", "other"}[i])})
		must(err)
	}
	lease, ok, err := db.Acquire(ctx, 0, "test", time.Hour, true)
	if err != nil || !ok {
		tb.Fatalf("Acquire = %v, %v", ok, err)
	}
	c := changes(tb)
	must(db.Transact(ctx, lease, func(tx engine.Tx) error { return tx.Write(ctx, c) }))
	db.Archive(ctx, delivery.Archive{Workspace: 1, Delivery: 1, Created: start, Doc: []byte(`{"from":"Acme <hello@acme.example>","reply_to":"help@acme.example","recipient":"Ada <ada@example.com>",
		"cc":"b@example.com","fake_bcc":true,"subject":"Hi","preheader_text":"first","body":"<p>Hi</p>","body_plain":"Hi","headers":[{"name":"X-One","value":"1"}]}`)})
	db.Archive(ctx, delivery.Archive{Workspace: 1, Delivery: 2, Created: start, Doc: []byte(`{"from":"hello@acme.example","recipient":"ada@example.com","subject":"Hi","body":"Hi"}`)})
	db.Archive(ctx, delivery.Archive{Workspace: 2, Delivery: 1, Created: start, Doc: []byte(`{"from":"secret"}`)})
}

func changes(tb testing.TB) *engine.Changes {
	tb.Helper()
	c := &engine.Changes{}
	def := func(ws int64, kind string, id, version int64, slug, body string, current, deleted bool) {
		c.Definitions = append(c.Definitions, definition.Row{
			Workspace: ws, Kind: kind, ID: id, Version: version, Slug: slug, Body: parse(tb, body), Gen: version, Current: current,
			Deleted: deleted, Created: start, Updated: start + version*hour,
		})
	}
	def(1, definition.Segments, 1, 1, "paying", `{"id":"paying","name":"Paying","conditions":{"all":[{"attribute":"plan","is":"pro"}]}}`, true, false)
	def(1, definition.Segments, 2, 1, "vip", `{"id":"vip","name":"VIP","description":"by hand","manual":true}`, true, false)
	def(1, definition.Segments, 3, 1, "gone", `{"id":"gone","manual":true}`, true, true)
	const mail = `"workflow":[{"id":"welcome","email":{"from":"hello","to":"{{customer.email}}","subject":"Hi","body":"<p>Hi</p>"}}],"_actions":{"welcome":7}`
	def(1, definition.Campaigns, 1, 1, "onboarding", `{"id":"onboarding","name":"Onboarding","state":"draft","trigger":{"event":"signed_up"},"frequency":"once",`+mail+`}`, false, false)
	def(1, definition.Campaigns, 1, 2, "onboarding", `{"id":"onboarding","name":"Onboarding","state":"running","trigger":{"event":"signed_up"},"filter":{"all":[{"segment":"vip"}]},"frequency":"once",`+mail+`}`, true, false)
	def(1, definition.Campaigns, 2, 1, "thanks", `{"id":"thanks","name":"Thanks","description":"to payers","state":"stopped","trigger":{"enters_segment":"paying","audience":"new_only"},"frequency":"once",`+strings.ReplaceAll(mail, "7", "8")+`}`, true, false)
	def(1, definition.Senders, 1, 1, "hello", `{"id":"hello","name":"Acme","email":"hello@acme.example"}`, true, false)
	def(1, definition.Senders, 2, 1, "help", `{"id":"help","email":"help@acme.example","reply_to":"desk@acme.example"}`, true, false)
	def(1, definition.Layouts, 1, 1, "plain", `{"id":"plain","body":"<html>{{ content }}</html>"}`, true, false)
	def(1, definition.Topics, 1, 1, "news", `{"id":"news","name":"News","description":"once a month"}`, true, false)
	def(1, definition.Topics, 2, 1, "offers", `{"id":"offers","subscribed_by_default":false}`, true, false)
	def(1, definition.Campaigns, 3, 1, "sale", `{"id":"sale","name":"Sale","state":"draft","trigger":{"broadcast":true},"workflow":[{"id":"pick","branch":[{"if":{"attribute":"plan","is":"pro"},"then":[`+
		`{"id":"offer","email":{"from":"help","to":"{{customer.email}}","subject":"Sale","preheader":"today","body":"<p>Buy</p>","layout":"plain","topic":"offers","cc":"boss@acme.example",`+
		`"headers":{"X-A":"1"},"tracked":false,"languages":{"de":{"subject":"Ausverkauf"}}}}]},{"else":[{"id":"end","exit":true}]}]}],"_actions":{"pick":9,"offer":10,"end":11}}`, true, false)
	def(1, definition.Transactionals, 1, 1, "receipt", `{"id":"receipt","name":"Your receipt","from":"hello","subject":"Receipt","body":"<p>thanks</p>",`+
		`"languages":{"de":{"subject":"Beleg","body":"<p>Danke</p>"}}}`, true, false)
	def(2, definition.Segments, 1, 1, "secret", `{"id":"secret","name":"Secret","manual":true}`, true, false)

	docs := []*person.Document{{
		Ref: person.Ref{Workspace: 1, Ordinal: 1}, CIO: "aaaaaaaaaaaaaaaa", ID: "1", Email: "Ada@Example.com", Created: start,
		Attributes: []person.Attribute{
			{Name: "plan", Value: parse(tb, `"pro"`), At: start / 1000},
			{Name: "age", Value: parse(tb, `36`), At: start/1000 + 5},
			{Name: "tags", Value: parse(tb, `["a","b"]`), At: start / 1000},
			{Name: "beta", Value: value.True, At: start / 1000},
		},
		Devices:  []person.Device{{Token: "tok", Platform: "ios", LastUsed: start / 1000, Attributes: parse(tb, `{"app":"2"}`)}},
		Segments: []person.Membership{{Segment: 1, Since: start}, {Segment: 2, Since: start}, {Segment: 3, Since: start}}, LastActivity: 5,
	}, {
		Ref: person.Ref{Workspace: 1, Ordinal: 2}, CIO: "bbbbbbbbbbbbbbbb", Email: "b/o+b%@example.com", Created: start + hour, Unsubscribed: true,
		Segments: []person.Membership{{Segment: 2, Since: start}}, LastActivity: 6,
	}, {
		Ref: person.Ref{Workspace: 2, Ordinal: 1}, CIO: "cccccccccccccccc", ID: "1", Email: "ada@example.com", Created: start, LastActivity: 1,
	}}
	c.PutPeople = docs
	for _, o := range []engine.Optout{{Workspace: 1, Person: 1}, {Workspace: 1, Person: 2}, {Workspace: 2, Person: 1}} {
		o.Channel, o.From = "sms", "+15550100007"
		c.PutOptouts = append(c.PutOptouts, o)
	}
	for _, d := range docs {
		for _, k := range d.Keys() {
			c.PutKeys = append(c.PutKeys, engine.KeyRow{Key: k, Person: d.Ordinal})
		}
	}
	act := func(ws, seq int64, who uint32, typ event.Type, name, data string, prev int64) {
		c.Activities = append(c.Activities, event.Activity{
			Workspace: ws, Seq: seq, Person: who, Type: typ, Name: name, At: start + seq*1000, Received: start + seq*1000, Data: parse(tb, data), Prev: prev,
		})
	}
	act(1, 1, 1, event.Created, "", "", 0)
	act(1, 2, 1, event.AttributeChange, "", `{"plan":{"from":null,"to":"pro"}}`, 1)
	act(1, 3, 1, event.Track, "signed_up", `{"plan":"pro"}`, 2)
	act(1, 4, 1, event.Page, "https://acme.example/", `{}`, 3)
	act(1, 5, 1, event.Message, "clicked_email", `{"delivery_id":"d1","href":"https://acme.example/x"}`, 4)
	act(1, 6, 2, event.Track, "signed_up", "", 0)
	c.Activities = append(c.Activities, event.Activity{Workspace: 1, Seq: 7, Type: event.Track, Name: "looked", At: start, Received: start, Anonymous: "anon-1"})
	act(2, 1, 1, event.Track, "secret", "", 0)

	send := func(ws, id int64, public string, who uint32, campaign, transactional int64, state delivery.State, metrics, reason string) {
		d := delivery.Delivery{
			Workspace: ws, ID: id, Public: public, Person: who, Campaign: campaign, Action: "welcome", Visit: 1, Transactional: transactional,
			Version: 1, State: state, Created: start + id*1000, Recipient: "ada@example.com", Subject: "Hi", Reason: reason, Metrics: parse(tb, metrics),
		}
		if campaign != 0 {
			d.Journey, d.ActionID = id, 7
		}
		c.NewDeliveries = append(c.NewDeliveries, d)
	}
	send(1, 1, "d1", 1, 1, 0, delivery.Sent, `{"created":1767312001,"sent":1767312002,"opened":1767312010,"clicked":1767312011}`, "")
	send(1, 2, "d2", 1, 0, 1, delivery.Bounced, `{"created":1767312002,"bounced":1767312003}`, "550 no such user")
	send(1, 3, "d3", 2, 1, 0, delivery.Suppressed, `{"created":1767312003,"suppressed":1767312003}`, "the person is unsubscribed")
	send(1, 4, "d4", 0, 1, 0, delivery.Sent, `{"created":1767312004,"sent":1767312005}`, "")
	send(1, 5, "d5", 2, 1, 0, delivery.Queued, `{"created":1767312005}`, "")
	c.NewDeliveries[0].Data = parse(tb, `{"event":{"id":"01ARZ3NDEKTSV4RRFFQ69G5FAV","name":"signed_up","timestamp":1767312000,"data":{}}}`)
	send(1, 6, "old", 1, 0, 1, delivery.Sent, `{"created":1748736000,"sent":1748736001}`, "")
	c.NewDeliveries[5].Created = 1748736000_000 // seven months before
	send(2, 1, "x1", 1, 0, 0, delivery.Sent, `{"created":1767312001}`, "")

	things(tb, c)
	piece := func(ws, segment int64, ordinals ...uint32) {
		c.Pieces = append(c.Pieces, engine.Piece{PieceKey: engine.PieceKey{Workspace: ws, Segment: segment}, Count: int64(len(ordinals)), Bits: bits(tb, ordinals...)})
	}
	piece(1, 1, 1)
	piece(1, 2, 1, 2, 9) // 9 was deleted while its piece was being written
	piece(2, 1, 1)
	return c
}

// things adds objects and relationships.
func things(tb testing.TB, c *engine.Changes) {
	tb.Helper()
	for i, o := range []object.Object{{Type: 1, ID: "acme"}, {Type: 1, ID: "beta co/ü"}, {Type: 12, ID: "go-101"}, {Type: 1, ID: "empty"}} {
		o.Workspace, o.Number, o.CIO, o.Created, o.Updated = 1, int64(i+1), fmt.Sprintf("ob%014d", i+1), start, start
		o.Attributes = object.Decode([]byte([]string{
			`{"name":["Acme",1767312000],"size":[250,1767312001],"old":[null,1767312002],"address":[{"city":"Oslo"},1767312003]}`,
			`{"name":["Beta",1767312000],"beta":[true,1767312000]}`, `{"title":["Go",1767312000]}`, `{}`,
		}[i]))
		c.PutObjects = append(c.PutObjects, o)
	}
	c.PutObjects = append(c.PutObjects, object.Object{Workspace: 2, Number: 1, Type: 1, ID: "secret", CIO: "obsecret", Attributes: object.Decode([]byte(`{"name":["Acme",1]}`))})
	for _, r := range [][2]int64{{1, 1}, {1, 2}, {1, 3}, {2, 1}} {
		c.PutRelations = append(c.PutRelations, object.Relationship{
			Workspace: 1, Person: uint32(r[0]), Object: r[1], Created: start, Attributes: object.Decode([]byte(`{"role":["admin",1767312004],"left":[null,1767312005]}`)),
		})
	}
	c.Counters = append(c.Counters, engine.Counter{Workspace: 1, Name: "objects:1", Last: 3}, engine.Counter{Workspace: 1, Name: "objects:12", Last: 1},
		engine.Counter{Workspace: 1, Name: "object_type", Last: 2}, engine.Counter{Workspace: 2, Name: "objects:3", Last: 1})
}

type surface struct {
	mux *api.Mux
	log *memory
}

func newSurface(tb testing.TB, db app.Store, keys api.KeyStore, stale bool) *surface {
	tb.Helper()
	k := api.NewKeys(api.KeyOptions{Store: keys, Log: slog.New(slog.DiscardHandler)})
	if err := k.Refresh(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	log := &memory{}
	mux, err := api.NewMux(api.Options{Keys: k, Limiter: api.NewLimiter(api.Limits{}), Now: func() time.Time { return apitest.Start }, Log: slog.New(slog.DiscardHandler)},
		app.Routes(app.Options{
			Store: db, Log: log, Secret: secret, Fresh: func(context.Context, int64) bool { return stale },
			Applied: func(context.Context, ingest.Position) error { return nil },
		}))
	if err != nil {
		tb.Fatal(err)
	}
	return &surface{mux, log}
}

func (s *surface) send(tb testing.TB, method, path, body string) *httptest.ResponseRecorder {
	tb.Helper()
	r := httptest.NewRequestWithContext(tb.Context(), method, path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer app")
	w := httptest.NewRecorder()
	s.mux.ServeHTTP(w, r)
	return w
}

// TestArchives sends the requests of each archive on every database and compares answers and ops.
func TestArchives(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no archives: %v", err)
	}
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		t.Helper()
		seed(t, db)
		for _, file := range files {
			want, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := replay(t, newSurface(t, db, db, false), want)
			if *update && db.Backend() == storetest.SQLite {
				if err := os.WriteFile(file, txtar.Format(got), 0o600); err != nil {
					t.Fatal(err)
				}
				continue
			}
			if diff := cmp.Diff(string(txtar.Format(want)), string(txtar.Format(got))); diff != "" && !*update {
				t.Errorf("%s (-want +got):\n%s", file, diff)
			}
		}
	})
}

// replay sends the requests of an archive. An Authorization is added unless the request has one. @next@ in a request
// line stands for the next member of the answer before.
func replay(t *testing.T, s *surface, in *txtar.Archive) *txtar.Archive {
	t.Helper()
	out := &txtar.Archive{Comment: in.Comment}
	next := ""
	for _, f := range in.Files {
		rest, ok := strings.CutPrefix(f.Name, "request")
		if !ok {
			continue
		}
		s.log.ops = nil
		w := httptest.NewRecorder()
		s.mux.ServeHTTP(w, request(t, bytes.ReplaceAll(f.Data, []byte("@next@"), []byte(next))))
		var answer struct{ Next string }
		_ = json.Unmarshal(w.Body.Bytes(), &answer) // many answers have none
		next = answer.Next
		out.Files = append(out.Files, f, txtar.File{Name: "response" + rest, Data: response(w)})
		for _, o := range s.log.ops {
			out.Files = append(out.Files, txtar.File{Name: "op" + rest, Data: fmt.Appendf(nil, "kind %d %s\n", o.Kind, o.Payload)})
		}
	}
	return out
}

func request(t *testing.T, text []byte) *http.Request {
	t.Helper()
	head, body, _ := bytes.Cut(text, []byte("\n\n"))
	body = bytes.TrimSuffix(body, []byte("\n"))
	lines := strings.Split(strings.TrimRight(string(head), "\n"), "\n")
	raw := lines[0] + " HTTP/1.1\r\nHost: app.test\r\nX-Request-Id: req-1\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n"
	if !strings.Contains(strings.ToLower(string(head)), "\nauthorization:") {
		raw += "Authorization: Bearer app\r\n"
	}
	for _, l := range lines[1:] {
		raw += l + "\r\n"
	}
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw + "\r\n" + string(body))))
	if err != nil {
		t.Fatal(err)
	}
	return r.WithContext(t.Context())
}

// response prints an answer, its JSON indented, with cursors and delivery ids replaced by what they stand for.
func response(w *httptest.ResponseRecorder) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%d %s\n", w.Code, http.StatusText(w.Code))
	for _, h := range []string{"X-Rapport-Stale", "Retry-After", "WWW-Authenticate"} {
		if v := w.Header().Get(h); v != "" {
			fmt.Fprintf(&b, "%s: %s\n", h, v)
		}
	}
	b.WriteByte('\n')
	body := w.Body.Bytes()
	var answer struct {
		Next     string
		Delivery string `json:"delivery_id"`
	}
	_ = json.Unmarshal(body, &answer) // what does not fit is printed as it is
	if answer.Next != "" {
		body = bytes.ReplaceAll(body, []byte(answer.Next), []byte("@next@"))
	}
	if len(answer.Delivery) == 20 {
		body = bytes.ReplaceAll(body, []byte(answer.Delivery), []byte("@delivery@"))
	}
	if json.Indent(&b, body, "", "  ") != nil {
		b.Write(body)
	}
	return append(bytes.TrimRight(b.Bytes(), "\n"), '\n')
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }
