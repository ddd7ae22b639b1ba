package admin

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"rapport.example/internal/api"
	"rapport.example/internal/event"
	"rapport.example/internal/person"
	"rapport.example/internal/value"
)

type (
	// Rejection is something that was accepted and not applied, whole or in part.
	Rejection struct {
		ID       string      `json:"id"`       // of the activity that says so
		Kind     string      `json:"kind"`     // failed_attribute_change, failed_event or rejected
		Reason   string      `json:"reason"`   // one English sentence
		Op       string      `json:"op"`       // id of the op, also in the log; "" = none
		Received int64       `json:"received"` // Unix seconds of the workspace's clock
		Count    int64       `json:"count"`    // how many writes or parts of it this stands for
		Person   *Person     `json:"person"`   // whose it was, if that is somebody who is there
		Detail   value.Value `json:"detail"`   // what else is known, an object or null
	}

	// RejectionsAnswer is a page of rejections, newest first. A page may be short, even empty, while next is not "".
	RejectionsAnswer struct {
		Rejections []Rejection `json:"rejections"`
		Next       string      `json:"next"`
	}
)

// The list with filters looks at a bounded number of rows a call: what it does not reach, the next page does.
const (
	rejectionStep  = 500
	rejectionSteps = 20
	// Rows are in applied order, which is that of receipt but for requests that came at about the same time.
	receivedSlack = 10 * time.Minute
)

// rejectionFilter is what a caller asks for.
type rejectionFilter struct {
	kind         event.Type // 0 = any
	reason       string     // in lower case; "" = any
	since, until int64      // Unix ms of the workspace's clock; until 0 = no bound
}

func (f rejectionFilter) takes(a *event.Activity) bool {
	return (f.kind == 0 || a.Type == f.kind) && a.Received >= f.since && (f.until == 0 || a.Received < f.until) &&
		(f.reason == "" || strings.Contains(strings.ToLower(a.Data.Get("reason").Text()), f.reason))
}

func (s *Surface) rejections(c *api.Call) error {
	w, err := s.of(c)
	if err != nil {
		return err
	}
	limit, err := c.Limit()
	if err != nil {
		return err
	}
	f := filterOf(c)
	l := api.List{Name: "rejections", Workspace: w.ID, Filter: strings.Join([]string{c.Query("kind"), c.Query("reason"), c.Query("since"), c.Query("until")}, "\x00")}
	from, err := s.position(c, l, 0)
	if err != nil {
		return err
	}
	rows, next, err := s.walkRejections(c, w.ID, from, limit, f)
	if err != nil {
		return err
	}
	out := RejectionsAnswer{Rejections: []Rejection{}, Next: s.next(l, next)}
	who := make([]uint32, 0, len(rows))
	for i := range rows {
		who = append(who, rows[i].Person)
	}
	docs, err := s.o.Store.ReadPeople(c.R.Context(), w.ID, who)
	if err != nil {
		return err
	}
	for i := range rows {
		out.Rejections = append(out.Rejections, rejection(&rows[i], docs[rows[i].Person]))
	}
	return c.JSON(http.StatusOK, out)
}

// rejectionParams are those that select rejections.
var rejectionParams = []api.Param{
	api.Word("kind", "", []string{event.FailedChange.String(), event.FailedEvent.String(), event.Rejected.String()}, "Rejections of a kind."),
	api.Text("reason", api.MostText, "Rejections whose reason has this in it, in any case."),
	api.Number("since", 0, 1<<40, "Rejections at or after a moment, in Unix seconds."), api.Number("until", 0, 1<<40, "Rejections before a moment, in Unix seconds."),
}

func filterOf(c *api.Call) (f rejectionFilter) {
	if kind := c.Query("kind"); kind != "" {
		f.kind, _ = event.TypeOf(kind)
	}
	f.reason = strings.ToLower(c.Query("reason"))
	f.since, f.until = c.QueryInt("since")*1000, c.QueryInt("until")*1000
	return f
}

// walkRejections looks at rows from sequence from down until it has limit of those that the filter takes. next is where the
// following page begins, 0 at the end.
func (s *Surface) walkRejections(c *api.Call, ws, from int64, limit int, f rejectionFilter) (page []event.Activity, next int64, err error) {
	for range rejectionSteps {
		rows, err := s.o.Store.Rejections(c.R.Context(), ws, from, rejectionStep)
		if err != nil {
			return nil, 0, err
		}
		for i := range rows {
			a := &rows[i]
			if len(page) == limit {
				return page, a.Seq, nil
			}
			if a.Received < f.since-receivedSlack.Milliseconds() {
				return page, 0, nil
			}
			if f.takes(a) {
				page = append(page, *a)
			}
			from = a.Seq - 1
		}
		if len(rows) < rejectionStep || from == 0 {
			return page, 0, nil
		}
	}
	return page, from, nil
}

func rejection(a *event.Activity, d *person.Document) Rejection {
	r := Rejection{
		ID: strconv.FormatInt(a.Seq, 10), Kind: a.Type.String(), Reason: a.Data.Get("reason").Text(), Op: a.Data.Get("op").Text(),
		Received: a.Received / 1000, Count: 1,
	}
	if n, err := strconv.ParseInt(a.Data.Get("count").Text(), 10, 64); err == nil && n > 0 {
		r.Count = n
	}
	if d != nil {
		r.Person = &Person{d.ID, d.Email, "cio_" + d.CIO}
	}
	var detail value.Builder
	some := a.Name != ""
	if some {
		detail.Set("name", value.Quote(a.Name))
	}
	for name, v := range a.Data.Fields() {
		if name != "reason" && name != "op" && name != "count" {
			detail.Set(name, v)
			some = true
		}
	}
	if some {
		r.Detail = detail.Value()
	}
	return r
}
