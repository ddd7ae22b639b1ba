// Package doctor looks at a server as an agent does that has never met it, and says what it does not find: documents, metadata,
// headers. It sends GET requests to one host, one after the other, within bounds, and changes nothing there.
package doctor

import (
	"context"
	"net/http"
	"time"

	"rapport.example/internal/catalog/probe"
	"rapport.example/internal/fault"
)

// Status is how a row came out.
type Status string

// The statuses. Warned rows are about drafts and habits: they are told and do not count.
const (
	OK      Status = "ok"
	Warned  Status = "warn"
	Failed  Status = "fail"
	Skipped Status = "skip" // it takes what was not given, or what another row did not find
)

// Row is one thing that was looked at.
type Row struct {
	ID     string `json:"id"`
	Name   string `json:"name"`
	Status Status `json:"status"`
	Found  string `json:"found"`         // what is there, or what is wrong with it
	Why    string `json:"why,omitempty"` // what an agent needs it for; of rows that are not ok
	Fix    string `json:"fix,omitempty"` // what to do; of rows that are not ok
}

// Report is what a look at one server came to.
type Report struct {
	Server   string `json:"server"`
	Rows     []Row  `json:"rows"`
	Passed   int    `json:"passed"`
	Failed   int    `json:"failed"`
	Requests int    `json:"requests"`
}

// Percent is how many of the rows that count are ok, 0 to 100, rounded down.
func (r *Report) Percent() int {
	if r.Passed+r.Failed == 0 {
		return 0
	}
	return 100 * r.Passed / (r.Passed + r.Failed)
}

// Options say how the server is reached.
type Options struct {
	Transport http.RoundTripper // nil = the usual one
	// Key is a bearer token for one read of the API, whose limits are then seen. It is sent to that operation alone; "" leaves the row out.
	Key string
	// Progress is called before each row; nil = nobody is told.
	Progress func(done, all int, name string)
}

// check looks at one thing.
type check struct {
	id, name, why, fix string
	look               func(*look) finding
}

// finding is what a check came to.
type finding struct {
	status Status
	text   string
}

func ok(text string) finding   { return finding{OK, text} }
func bad(text string) finding  { return finding{Failed, text} }
func warn(text string) finding { return finding{Warned, text} }
func skip(text string) finding { return finding{Skipped, text} }

// Run looks at the server at an origin, https://host or, on this machine, http://host:port. Its error is Invalid for another
// address and Unavailable if nobody answers there; what is wrong with a server that answers is in the report.
func Run(ctx context.Context, o Options, server string) (*Report, error) {
	base, err := probe.Origin("URL", server)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, maxTime)
	defer cancel()
	l := newLook(ctx, o, base)
	if first := l.get("/", ""); first.err != nil {
		return nil, fault.Wrap(fault.Unavailable, first.err, "nobody answers at "+base.String())
	}
	r := &Report{Server: base.String()}
	all := checks()
	for i, c := range all {
		if o.Progress != nil {
			o.Progress(i, len(all), c.name)
		}
		if err := ctx.Err(); err != nil {
			return nil, fault.Wrap(fault.Unavailable, err, "the look was cut off")
		}
		f := c.look(l)
		row := Row{ID: c.id, Name: c.name, Status: f.status, Found: f.text}
		switch f.status {
		case OK:
			r.Passed++
		case Failed:
			r.Failed++
		default:
		}
		if f.status != OK {
			row.Why, row.Fix = c.why, c.fix
		}
		r.Rows = append(r.Rows, row)
	}
	r.Requests = l.sent
	return r, nil
}

func checks() []check {
	var out []check
	for _, list := range [][]check{documents(), contracts(), accesses(), runtimes()} {
		out = append(out, list...)
	}
	return out
}

// Bounds of a look.
const (
	maxRequests = 60
	maxBody     = 8 << 20 // bytes of an answer: an OpenAPI document may be long
	maxWait     = 10 * time.Second
	maxTime     = 3 * time.Minute
)
