package track

import (
	"bytes"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"rapport.example/internal/api/apitest"
	"rapport.example/internal/api/app"
	"rapport.example/internal/event"
	"rapport.example/internal/id"
	"rapport.example/internal/ingest"
	objects "rapport.example/internal/object"
	"rapport.example/internal/person"
	"rapport.example/internal/store"
	"rapport.example/internal/value"
)

// definitions is the workspace that the archives' ops are applied to: segments 1 to 5, two of them manual, and campaign 1,
// which starts with an event and sends nothing for a year.
const definitions = `schema: 1
workspace: effects
segments:
  - id: pro
    conditions: {attribute: plan, is: pro}
  - id: signed-up
    conditions: {event: signed_up, performed: true}
  - id: team
    manual: true
  - id: vip
    manual: true
  - id: mailable
    conditions: {all: [{attribute: email, exists: true}, {attribute: id, exists: true}]}
senders:
  - id: hello
    name: Acme
    email: hello@acme.example
campaigns:
  - id: onboarding
    state: running
    trigger: {event: signed_up}
    frequency: every_time
    workflow:
      - id: later
        delay: 365d
      - id: mail
        email: {from: hello, to: "{{customer.email}}", subject: Hi, body: "<p>Hi</p>"}
`

// effects applies ops with a real engine and tells what they left in the database.
type effects struct {
	t      *testing.T
	w      *apitest.World
	names  map[int64]string // of segments
	people map[uint32]string
	last   int64             // activity told already
	told   map[string]string // of forms and deliveries
	sent   []string          // public ids of the deliveries that <sent 1> and so on stand for
}

func newEffects(t *testing.T, db *store.DB) *effects {
	t.Helper()
	e := &effects{t: t, w: apitest.New(t, db), names: map[int64]string{1: "pro", 2: "signed-up", 3: "team", 4: "vip", 5: "mailable"}, people: map[uint32]string{}, told: map[string]string{}}
	e.w.Define(definitions)
	return e
}

// most is how many people an archive may make.
const most = 24

func (e *effects) cio(ordinal int) string {
	return id.CIO(e.w.DB.Secret(), e.w.Workspace.ID, uint32(ordinal))
}

func (e *effects) object(number int) string {
	return id.Object(e.w.DB.Secret(), e.w.Workspace.ID, int64(number))
}

// in fills in what an archive cannot know or show well: <cio 2> is the second person's cio id, <object 2> the second object's, <sent 2> the id of a mail
// that was sent to somebody with the id sent-2, who comes to be where it is mentioned first, <x 1001> that many x,
// <attributes 301> that many members of an object, <nested 300> an object that deep, <byte ff> a byte.
func (e *effects) in(text []byte) []byte {
	return marks.ReplaceAllFunc(text, func(mark []byte) []byte {
		m := marks.FindSubmatch(mark)
		base := 10
		if string(m[1]) == "byte" {
			base = 16
		}
		n, err := strconv.ParseUint(string(m[2]), base, 31)
		if err != nil {
			e.t.Fatal(err)
		}
		switch string(m[1]) {
		case "cio":
			return []byte(e.cio(int(n)))
		case "object":
			return []byte(e.object(int(n)))
		case "sent":
			return []byte(e.delivery(int(n)))
		case "x":
			return bytes.Repeat([]byte("x"), int(n))
		case "attributes":
			return bytes.Trim([]byte(attributes(int(n))), "{}")
		case "nested":
			return []byte(nested(int(n)))
		default:
			return []byte{byte(n)}
		}
	})
}

var (
	marks = regexp.MustCompile(`<(cio|object|sent|x|attributes|nested|byte) ([0-9a-f]+)>`)
	runs  = regexp.MustCompile(`x{50,}|(?:\{"a":){10,}1\}+|"a0":0(?:,"a\d+":\d+)*|"a0":\{"from":null,"to":0\}(?:,"a\d+":\{"from":null,"to":\d+\})*`)
	opID  = regexp.MustCompile(`"op":"[0-9A-Z]{26}"`)
)

// delivery is the id of the nth mail that was sent.
func (e *effects) delivery(n int) string {
	for len(e.sent) < n {
		who := fmt.Sprintf("sent-%d", len(e.sent)+1)
		op := e.w.Op(ingest.Send, ingest.SendPayload{By: ingest.By{ID: who}, To: "{{customer.email}}", From: "hello@acme.example", Subject: "Hi", Body: "Hi"})
		e.w.Do(e.w.Identify(who, `{"email":"`+who+`@example.com"}`), op)
		e.sent = append(e.sent, id.Delivery(e.w.DB.Secret(), e.w.Workspace.ID, "op:"+op.ID))
		e.w.Sent(len(e.sent))
		e.of(nil) // what making it left is no effect of the archive's ops
	}
	return e.sent[n-1]
}

// out is the way back of in.
func (e *effects) out(text string) string {
	for i := 1; i <= most; i++ {
		text = strings.ReplaceAll(text, e.cio(i), fmt.Sprintf("<cio %d>", i))
		text = strings.ReplaceAll(text, e.object(i), fmt.Sprintf("<object %d>", i))
	}
	for i, public := range e.sent {
		text = strings.ReplaceAll(text, public, fmt.Sprintf("<sent %d>", i+1))
	}
	text = runs.ReplaceAllStringFunc(text, func(run string) string {
		switch run[0] {
		case 'x':
			return fmt.Sprintf("<x %d>", len(run))
		case '{':
			deep := strings.Count(run, "{")
			return fmt.Sprintf("<nested %d>", deep) + strings.Repeat("}", strings.Count(run, "}")-deep)
		default:
			return fmt.Sprintf("<attributes %d>", strings.Count(run, `"a`))
		}
	})
	return opID.ReplaceAllString(text, `"op":"…"`)
}

// of applies ops and tells what is new: activities, people that changed, and who is gone.
func (e *effects) of(ops []ingest.Op) []byte {
	e.t.Helper()
	mine := make([]ingest.Op, len(ops))
	for i, o := range ops {
		o.Workspace = e.w.Workspace.ID
		mine[i] = o
	}
	if len(mine) > 0 {
		e.w.Do(mine...)
	}
	var b bytes.Buffer
	e.activities(&b)
	for i := uint32(1); i <= most; i++ {
		d, err := e.w.DB.FindPerson(e.t.Context(), e.w.Workspace.ID, person.Identifier{Type: person.ByCIO, Value: e.cio(int(i))})
		if err != nil {
			e.t.Fatal(err)
		}
		now := ""
		if d != nil {
			now = e.person(d)
		}
		if now == "" && e.people[i] != "" {
			fmt.Fprintf(&b, "person %d is gone\n", i)
		} else if now != e.people[i] {
			b.WriteString(now)
		}
		e.people[i] = now
	}
	e.forms(&b)
	e.deliveries(&b)
	e.objects(&b)
	return []byte(e.out(b.String()))
}

// forms tells the forms that changed.
func (e *effects) forms(b *bytes.Buffer) {
	list, err := e.w.DB.Forms(e.t.Context(), e.w.Workspace.ID, "", 100)
	if err != nil {
		e.t.Fatal(err)
	}
	for _, f := range list {
		now := fmt.Sprintf("form %q: %d submissions, %d refused, fields %q\n", f.ID, f.Submissions, f.Refused, f.Fields)
		if e.told[f.ID] != now {
			b.WriteString(now)
		}
		e.told[f.ID] = now
	}
}

// objects tells the objects that changed, with their relationships, and those that are gone.
func (e *effects) objects(b *bytes.Buffer) {
	ctx, ws := e.t.Context(), e.w.Workspace.ID
	for i := 1; i <= most; i++ {
		cio := e.object(i)
		o, err := e.w.DB.FindObject(ctx, ws, objects.Key{CIO: cio})
		if err != nil {
			e.t.Fatal(err)
		}
		if o == nil {
			if e.told[cio] != "" {
				fmt.Fprintf(b, "object %d is gone\n", i)
			}
			e.told[cio] = ""
			continue
		}
		now := fmt.Sprintf("object %d of type %d %q %s\n", i, o.Type, o.ID, o.Attributes.Values())
		people, err := e.w.DB.PeopleOf(ctx, ws, o.Number, 0, 100)
		if err != nil {
			e.t.Fatal(err)
		}
		for _, r := range people {
			now += fmt.Sprintf("  of person %d %s\n", r.Person, r.Relationship.Values())
		}
		if e.told[cio] != now {
			b.WriteString(now)
		}
		e.told[cio] = now
	}
}

// deliveries tells the mails that changed: their state and metrics.
func (e *effects) deliveries(b *bytes.Buffer) {
	for i, public := range e.sent {
		d, err := e.w.DB.Delivery(e.t.Context(), e.w.Workspace.ID, public)
		if err != nil || d == nil {
			e.t.Fatalf("delivery %d: %v, %v", i+1, d, err)
		}
		now := fmt.Sprintf("delivery %d %s", i+1, d.State)
		if d.Reason != "" {
			now += fmt.Sprintf(" because %q", d.Reason)
		}
		sep := ": "
		for name := range d.Metrics.Fields() {
			now, sep = now+sep+name, ", "
		}
		if now += "\n"; e.told[public] != now {
			b.WriteString(now)
		}
		e.told[public] = now
	}
}

func (e *effects) activities(b *bytes.Buffer) {
	list, _, err := e.w.DB.Activities(e.t.Context(), e.w.Workspace.ID, app.ActivityQuery{Limit: 5000})
	if err != nil {
		e.t.Fatal(err)
	}
	for i := len(list) - 1; i >= 0; i-- {
		a := list[i]
		if a.Seq <= e.last {
			continue
		}
		e.last = a.Seq
		fmt.Fprintf(b, "activity %s", a.Type)
		if a.Name != "" {
			fmt.Fprintf(b, " %q", a.Name)
		}
		if a.Person == 0 {
			b.WriteString(" of nobody")
		} else {
			fmt.Fprintf(b, " of person %d", a.Person)
		}
		if !atStart(a.At) {
			fmt.Fprintf(b, " at %s", when(a.At))
		}
		if a.ID != "" {
			fmt.Fprintf(b, " id %s", a.ID)
		}
		if a.Anonymous != "" {
			fmt.Fprintf(b, " anonymous %q", a.Anonymous)
		}
		if a.Data != nil {
			fmt.Fprintf(b, " %s", a.Data)
		}
		if !atStart(a.Received) || a.Type == event.Rejected {
			e.t.Errorf("activity %+v", a)
		}
		b.WriteByte('\n')
	}
}

// atStart reports whether a moment is that of the requests. Where mails were sent first the workspace's clock has ticked.
func atStart(ms int64) bool {
	return start.UnixMilli() <= ms && ms < start.Add(40*time.Second).UnixMilli()
}

func when(ms int64) string { return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05Z") }

// shown is how many attributes of a person are told; of the rest only the number.
const shown = 12

func (e *effects) person(d *person.Document) string {
	var b strings.Builder
	fmt.Fprintf(&b, "person %d", d.Ordinal)
	for _, name := range []string{"id", "email"} {
		if v := d.Get(name); v != nil {
			fmt.Fprintf(&b, " %s %s", name, v)
		}
	}
	if d.Phone != "" {
		fmt.Fprintf(&b, " phone %q", d.Phone)
	}
	if d.Unsubscribed {
		b.WriteString(" unsubscribed")
	}
	if d.FirstEvent != 0 && !atStart(d.FirstEvent) {
		fmt.Fprintf(&b, " first event %s", when(d.FirstEvent))
	}
	b.WriteByte('\n')
	for i, a := range d.Attributes {
		if i == shown {
			fmt.Fprintf(&b, "  and %d more\n", len(d.Attributes)-shown)
			break
		}
		fmt.Fprintf(&b, "  %s = %s%s\n", a.Name, a.Value, at(a.At))
	}
	for _, a := range d.Anonymous {
		fmt.Fprintf(&b, "  anonymous id %q\n", a.Name)
	}
	for _, v := range d.Devices {
		fmt.Fprintf(&b, "  device %s on %s%s %s\n", value.Quote(v.Token), v.Platform, at(v.LastUsed), v.Attributes)
	}
	for _, m := range d.Segments {
		fmt.Fprintf(&b, "  in segment %s\n", e.names[m.Segment])
	}
	for _, c := range d.Entries {
		fmt.Fprintf(&b, "  started campaign %d, times: %d\n", c.Campaign, c.Times)
	}
	return b.String()
}

func at(s int64) string {
	if atStart(s * 1000) {
		return ""
	}
	return " at " + strconv.FormatInt(s, 10)
}
