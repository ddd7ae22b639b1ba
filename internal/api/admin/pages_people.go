package admin

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"rapport.example/internal/api"
	"rapport.example/internal/api/app"
	"rapport.example/internal/definition"
	"rapport.example/internal/delivery"
	"rapport.example/internal/engine"
	"rapport.example/internal/event"
	"rapport.example/internal/fault"
	"rapport.example/internal/person"
	"rapport.example/internal/value"
)

const (
	peoplePerPage = 50
	rowsPerList   = 25
)

// peopleData is the content of the list of people.
type peopleData struct {
	People []*person.Document
	Query  string
	None   bool // the search found nobody
	Older  string
}

// people lists the newest people, or goes to the one whose id, email or cio_… was searched for.
func (p *pages) people(w http.ResponseWriter, r *http.Request, f *frame) (string, error) {
	q := r.URL.Query()
	data := peopleData{Query: strings.TrimSpace(q.Get("q"))}
	if data.Query != "" {
		d, err := p.s.find(r.Context(), f.Workspace.ID, data.Query)
		switch {
		case err == nil:
			http.Redirect(w, r, f.Person(d.CIO), http.StatusSeeOther)
			return "", nil
		case fault.Is(err, fault.NotFound), fault.Is(err, fault.Invalid):
			data.None = true
		default:
			return "", err
		}
	}
	from, err := number(q.Get("from"))
	if err != nil {
		return "", err
	}
	if data.People, err = p.s.o.Store.NewestPeople(r.Context(), f.Workspace.ID, uint32(from), peoplePerPage+1); err != nil {
		return "", err
	}
	if len(data.People) > peoplePerPage {
		data.Older = strconv.FormatUint(uint64(data.People[peoplePerPage].Ordinal), 10)
		data.People = data.People[:peoplePerPage]
	}
	f.Title, f.Section, f.Data = "People", "people", data
	return "people.html", nil
}

// Titled is how a person is called on pages.
func (frame) Titled(d *person.Document) string {
	for _, name := range [...]string{"name", "first_name"} {
		if s := d.Get(name).Text(); s != "" {
			if last := d.Get("last_name").Text(); name == "first_name" && last != "" {
				s += " " + last
			}
			return s
		}
	}
	for _, s := range [...]string{d.Email, d.ID} {
		if s != "" {
			return s
		}
	}
	return "cio_" + d.CIO
}

// personData is the content of a person's page.
type personData struct {
	Doc        *person.Document
	Attributes []attribute
	Segments   []membership
	Deliveries []deliveryRow
	Timeline   []happening
	Why        []whyRow
	Older      struct{ Timeline, Why, Deliveries string } // query values of the next pages
}

type attribute struct {
	Name, Value string
	At          int64 // Unix ms
}

type membership struct {
	Name   string
	Slug   string
	Manual bool
	Since  int64
}

type deliveryRow struct {
	delivery.Delivery
	Tone    string // good, bad or quiet
	Metrics []attribute
}

// happening is one entry of the timeline.
type happening struct {
	At           int64
	Title, About string
	Details      []attribute
	Bad          bool
}

type whyRow struct {
	engine.Decision
	Tone    string
	Details []attribute
}

func (p *pages) person(_ http.ResponseWriter, r *http.Request, f *frame) (string, error) {
	d, err := p.s.find(r.Context(), f.Workspace.ID, r.PathValue("person"))
	if err != nil {
		return "", err
	}
	data := personData{Doc: d}
	for i := range d.Attributes {
		a := &d.Attributes[i]
		data.Attributes = append(data.Attributes, attribute{a.Name, a.Value.Text(), d.ChangedAt(a) * 1000})
	}
	for _, part := range []func(*http.Request, *frame, *personData) error{p.memberships, p.deliveries, p.timeline, p.decisions} {
		if err := part(r, f, &data); err != nil {
			return "", err
		}
	}
	f.Title, f.Section, f.Data = f.Titled(d), "people", data
	return "person.html", nil
}

func (p *pages) memberships(r *http.Request, f *frame, data *personData) error {
	if err := p.s.o.Store.Memberships(r.Context(), f.Workspace.ID, data.Doc); err != nil {
		return err
	}
	rows, err := p.s.o.Store.CurrentDefinitions(r.Context(), f.Workspace.ID, definition.Segments)
	if err != nil {
		return err
	}
	for i := range rows {
		if since, in := data.Doc.Member(rows[i].ID); in {
			name := rows[i].Body.Get("name").Text()
			if name == "" {
				name = rows[i].Slug
			}
			manual, _ := rows[i].Body.Get("manual").Bool()
			data.Segments = append(data.Segments, membership{name, rows[i].Slug, manual, since})
		}
	}
	return nil
}

// start reads where a list on the page goes on; the name of the list is that of its parameter.
func (p *pages) start(q url.Values, f *frame, name string, d *person.Document, first int64) (int64, api.List, error) {
	l := api.List{Name: "page_" + name, Workspace: f.Workspace.ID, Filter: d.CIO}
	pos, err := p.s.cursor.Decode(l, q.Get(name))
	if err != nil || pos == "" {
		return first, l, err
	}
	n, err := number(pos)
	return n, l, err
}

func (p *pages) deliveries(r *http.Request, f *frame, data *personData) error {
	from, l, err := p.start(r.URL.Query(), f, "deliveries", data.Doc, 0)
	if err != nil {
		return err
	}
	list, next, err := p.s.o.Store.Deliveries(r.Context(), f.Workspace.ID, app.DeliveryQuery{From: from, Person: data.Doc.Ordinal, Limit: rowsPerList})
	if err != nil {
		return err
	}
	for _, d := range list {
		row := deliveryRow{Delivery: d, Tone: "bad"}
		switch d.State {
		case delivery.Sent:
			row.Tone = "good"
		case delivery.Queued, delivery.InFlight:
			row.Tone = "quiet"
		default:
		}
		for name, v := range d.Metrics.Fields() {
			if sec, err := strconv.ParseInt(string(v), 10, 64); err == nil && name != "created" {
				row.Metrics = append(row.Metrics, attribute{Name: name, At: sec * 1000})
			}
		}
		data.Deliveries = append(data.Deliveries, row)
	}
	data.Older.Deliveries = p.s.next(l, next)
	return nil
}

func (p *pages) timeline(r *http.Request, f *frame, data *personData) error {
	from, l, err := p.start(r.URL.Query(), f, "timeline", data.Doc, data.Doc.LastActivity)
	if err != nil || from == 0 {
		return err
	}
	list, next, err := p.s.o.Store.Timeline(r.Context(), f.Workspace.ID, app.ActivityQuery{From: from, Limit: rowsPerList})
	if err != nil {
		return err
	}
	for i := range list {
		data.Timeline = append(data.Timeline, happened(&list[i]))
	}
	data.Older.Timeline = p.s.next(l, next)
	return nil
}

// happened says an activity in words.
func happened(a *event.Activity) happening {
	h := happening{At: a.At, About: a.Name, Details: details(a.Shown())}
	switch a.Type {
	case event.Track:
		h.Title = "Event"
	case event.Page:
		h.Title = "Viewed page"
	case event.Screen:
		h.Title = "Viewed screen"
	case event.AttributeChange:
		h.Title, h.Details = "Attributes changed", changes(a.Data)
	case event.FailedChange:
		h.Title, h.Bad = "Change not applied", true
	case event.Created:
		h.Title, h.Details = "Created", changes(a.Data)
	case event.Deleted:
		h.Title = "Deleted"
	case event.DeviceChange:
		h.Title = "Device"
	case event.Message:
		metric, _, _ := strings.Cut(a.Name, "_email")
		h.Title, h.About, h.Bad = "Email", strings.ReplaceAll(metric, "_", " "), slices.Contains([]string{"failed", "bounced", "suppressed"}, metric)
	case event.FailedEvent:
		h.Title, h.Bad = "Event not applied", true
	case event.Suppressed:
		h.Title = "Suppressed"
	case event.Rejected:
		h.Title, h.Bad = "Write rejected", true
	default:
		h.Title = a.Type.String()
	}
	return h
}

// changes shows {"name":{"from":…,"to":…}} as name: from → to.
func changes(v value.Value) []attribute {
	var out []attribute
	for name, c := range v.Fields() {
		if c.Kind() != value.Object {
			out = append(out, attribute{Name: name, Value: c.Text()})
			continue
		}
		from, to := c.Get("from").Text(), c.Get("to").Text()
		if from != "" && from != "null" {
			to = from + " → " + to
		}
		out = append(out, attribute{Name: name, Value: to})
	}
	return out
}

// details shows an object's members, or a list of objects with their condition.
func details(v value.Value) []attribute {
	var out []attribute
	for name, m := range v.Fields() {
		out = append(out, attribute{Name: name, Value: m.Text()})
	}
	for e := range v.Elements() {
		name, val := e.Get("condition").Text(), e.Get("value").Text()
		switch {
		case name == "":
			out = append(out, attribute{Value: e.Text()})
		case val == "":
			out = append(out, attribute{name, e.Get("true").Text(), 0})
		default:
			out = append(out, attribute{name, val + " → " + e.Get("true").Text(), 0})
		}
	}
	return out
}

func (p *pages) decisions(r *http.Request, f *frame, data *personData) error {
	from, l, err := p.start(r.URL.Query(), f, "why", data.Doc, data.Doc.LastDecision)
	if err != nil || from == 0 {
		return err
	}
	list, next, err := p.s.o.Store.Decisions(r.Context(), f.Workspace.ID, from, 0, rowsPerList)
	if err != nil {
		return err
	}
	for _, d := range list {
		row := whyRow{Decision: d, Tone: "quiet", Details: details(d.Detail)}
		switch d.Outcome {
		case "entered", "started", "sent":
			row.Tone = "good"
		case "not started", "not sent", "unknown", "dropped":
			row.Tone = "bad"
		default:
		}
		data.Why = append(data.Why, row)
	}
	data.Older.Why = p.s.next(l, next)
	return nil
}
