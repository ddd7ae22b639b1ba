package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"rapport.example/internal/catalog/probe"
)

// look is one visit. Answers are remembered, so that rows may ask for the same document.
type look struct {
	ctx    context.Context
	o      Options
	base   *url.URL
	client *http.Client
	seen   map[string]*answer
	order  []*answer
	sent   int

	specs []spec // OpenAPI documents, once contracts have found them
}

// answer is what a GET got.
type answer struct {
	path   string
	status int
	header http.Header
	kind   string // media type without parameters
	body   []byte
	err    error
}

var (
	errElsewhere = errors.New("it is on another host")
	errMany      = fmt.Errorf("more than %d requests", maxRequests)
	errLarge     = fmt.Errorf("it is larger than %d MB", maxBody>>20)
)

func newLook(ctx context.Context, o Options, base *url.URL) *look {
	return &look{ctx: ctx, o: o, base: base, seen: map[string]*answer{}, client: &http.Client{Transport: o.Transport, Timeout: maxWait, CheckRedirect: probe.Stay}}
}

// get asks for a path of the server, or an address there.
func (l *look) get(ref, accept string) *answer { return l.ask(ref, accept, "") }

func (l *look) ask(ref, accept, key string) *answer {
	at := accept + " " + ref
	if key != "" {
		at = "key " + at
	}
	if a := l.seen[at]; a != nil {
		return a
	}
	a := l.fetch(ref, accept, key)
	l.seen[at] = a
	if a.err == nil {
		l.order = append(l.order, a)
	}
	return a
}

func (l *look) fetch(ref, accept, key string) *answer {
	a := &answer{path: ref}
	u, err := l.base.Parse(ref)
	switch {
	case err != nil:
		a.err = err
		return a
	case u.Host != l.base.Host || u.Scheme != l.base.Scheme:
		a.err = errElsewhere
		return a
	case l.sent >= maxRequests:
		a.err = errMany
		return a
	}
	l.sent++
	r, err := http.NewRequestWithContext(l.ctx, http.MethodGet, u.String(), http.NoBody)
	if err != nil {
		a.err = err
		return a
	}
	r.Header.Set("User-Agent", "rapport-doctor")
	if accept != "" {
		r.Header.Set("Accept", accept)
	}
	if key != "" {
		r.Header.Set("Authorization", "Bearer "+key)
	}
	w, err := l.client.Do(r)
	if err != nil {
		a.err = err
		return a
	}
	defer w.Body.Close() //nolint:errcheck // read only
	a.status, a.header = w.StatusCode, w.Header
	a.kind, _, _ = mime.ParseMediaType(w.Header.Get("Content-Type")) //nolint:errcheck // no type is ""
	a.body, a.err = io.ReadAll(io.LimitReader(w.Body, maxBody+1))
	if a.err == nil && len(a.body) > maxBody {
		a.err = errLarge
	}
	return a
}

// missing says why the answer is not what was asked for, "" if it is a 200.
func (a *answer) missing() string {
	switch {
	case a.err != nil:
		return fmt.Sprintf("%s: %v", a.path, a.err)
	case a.status != http.StatusOK:
		return fmt.Sprintf("%s answers %d", a.path, a.status)
	}
	return ""
}

// decode reads a JSON answer, or says why it cannot.
func (a *answer) decode(into any) string {
	if why := a.missing(); why != "" {
		return why
	}
	if err := json.Unmarshal(a.body, into); err != nil {
		return fmt.Sprintf("%s is not the JSON that it should be: %v", a.path, err)
	}
	return ""
}

// line is the answer's n-th line, from 0, without white space around it.
func (a *answer) line(n int) string {
	for i, s := range strings.SplitN(string(a.body), "\n", n+2) {
		if i == n {
			return strings.TrimSpace(s)
		}
	}
	return ""
}
