package doctor

import (
	"fmt"
	"net/http"
	"strings"
)

func runtimes() []check {
	return []check{
		{
			"problems", "Problem details", "RFC 9457: an error that a program can read, with a type and a status.",
			"Answer errors of your own API with application/problem+json: type, title, status, detail.", problems,
		},
		{"request-id", "X-Request-Id", "It is what a caller names when something went wrong.", "Send it with every answer, errors and documents too.", requestIDs},
		{
			"rate-limit", "RateLimit headers", "An agent sees how much is left before it is turned away.",
			`Send RateLimit-Policy: "app";q=10;w=1 and RateLimit: "app";r=7;t=1 with every answer of the API.`, rateLimit,
		},
		{
			"deprecation", "Deprecation policy", "Whoever builds on an API must learn in time what goes away.",
			"Name a page about it in llms.txt, and send Deprecation and Sunset with what is going away.", deprecation,
		},
	}
}

// problems asks the operators' API for something without a key.
func problems(l *look) finding {
	path := ""
	for _, o := range l.operations() {
		if p, ok := strings.CutPrefix(o.name, "GET "); ok && strings.HasPrefix(p, "/admin/") && !strings.Contains(p, "{") {
			path = p
			break
		}
	}
	if path == "" {
		return skip("no document describes an API of the server's own under /admin/")
	}
	a := l.get(path, "application/json")
	var d struct {
		Type   string `json:"type"`
		Title  string `json:"title"`
		Status int    `json:"status"`
	}
	switch {
	case a.err != nil:
		return bad(a.missing())
	case a.status < http.StatusBadRequest:
		return bad(path + " is open to everybody")
	case a.kind != "application/problem+json":
		return bad(fmt.Sprintf("%s answers %d as %s", path, a.status, a.kind))
	}
	a.status, d.Status = http.StatusOK, a.status
	want := d.Status
	if why := a.decode(&d); why != "" {
		return bad(why)
	}
	if a.status = want; d.Status != want || d.Title == "" {
		return bad(path + ": status or title are missing")
	}
	return ok(fmt.Sprintf("%s answers %d as problem+json", path, want))
}

func requestIDs(l *look) finding {
	var without []string
	for _, a := range l.order {
		if a.header.Get("X-Request-Id") == "" {
			without = append(without, a.path)
		}
	}
	if len(without) > 0 {
		return bad(fmt.Sprintf("%d of %d answers have none: %s", len(without), len(l.order), some(without)))
	}
	return ok(fmt.Sprintf("all %d answers", len(l.order)))
}

// rateLimit calls one documented read with the key.
func rateLimit(l *look) finding {
	if l.o.Key == "" {
		return skip("give a key that may read (--key) to see them")
	}
	for _, o := range l.operations() {
		path, get := strings.CutPrefix(o.name, "GET ")
		needed := false
		for _, p := range o.Parameters {
			needed = needed || p.Required
		}
		if !get || strings.Contains(path, "{") || needed || !strings.HasPrefix(path, "/v1/") {
			continue
		}
		a := l.ask(path, "application/json", l.o.Key)
		switch {
		case a.missing() != "":
			return bad(a.missing() + " with the key")
		case a.header.Get("RateLimit") == "" || a.header.Get("RateLimit-Policy") == "":
			return bad(path + " has no RateLimit or RateLimit-Policy")
		}
		return ok(a.header.Get("RateLimit-Policy"))
	}
	return skip("no document describes a read without parameters under /v1/")
}

func deprecation(l *look) finding {
	text := strings.ToLower(string(l.get("/llms.txt", "text/plain").body))
	if !strings.Contains(text, "deprecat") {
		return bad("llms.txt names no policy")
	}
	return ok("llms.txt names it")
}
