// Package api is what the HTTP surfaces share: the route table and the mux built from it, authentication, rate limits,
// body limits, error shapes, request ids and signed cursors.
//
// A surface is a package with a function that returns its []Route. One Mux serves the tables of all surfaces; tests and
// generated documents read the same tables. Surfaces translate between HTTP and the domain and decide nothing.
package api

import (
	"context"
	"net/http"

	"rapport.example/internal/ingest"
	"rapport.example/internal/workspace"
)

// Route declares one endpoint.
type Route struct {
	Method string
	// Path is matched against the escaped path of the request, each segment decoded by itself: a %2F belongs to a value
	// and divides nothing. {name} matches any one segment, also an empty one. A literal segment wins over a parameter.
	Path     string
	Auth     Auth
	Limit    Class
	Shape    Shape   // of this endpoint's errors
	Agent    string  // the scope by which an agent key may use it too; "" = none may, but for reads of the App API, which take read
	Scope    string  // that an App key needs; "" = what AppScope derives
	MaxBody  int64   // most bytes of the request body; 0 = a body is not looked at
	Gzip     bool    // the body may come packed, as Content-Encoding: gzip; MaxBody holds for it unpacked
	Request  any     // an example value of the request's type, nil if it has no body
	Response any     // an example value of the response's type, nil if it has no body
	Query    []Param // parameters of the query, but for those of a list's page
	Page     Page    // of a list, which is asked for by limit; the zero Page for what is none
	Handler  Handler // answers the request
	// Fail may answer an error, also one from before the handler, in another way: then it returns nil. nil = every error is
	// answered in the Shape.
	Fail func(*Call, error) error
	Own  bool   // of a Customer.io API: theirs has no such endpoint
	Doc  string // one line
}

// Page says how many entries an answer of a list has: Usual of them unless limit asks for another number, never more than Most.
type Page struct{ Usual, Most int }

// Paged is the route as a list that comes in pages.
func (r Route) Paged(usual, most int) Route {
	r.Page = Page{usual, most}
	return r
}

// AppScope is the scope without which an App key cannot use the route; "" where other keys are asked for. Without an override
// what sends messages takes send, what reads takes read, and all else takes write.
func (r *Route) AppScope() string {
	switch {
	case r.Auth != AppKey || r.Scope != "":
		return r.Scope
	case r.Limit == LimitSend:
		return workspace.Send
	case r.Method == http.MethodGet || r.Agent == workspace.Read: // some reads are POSTs: searches
		return workspace.Read
	}
	return workspace.WriteScope
}

// Handler answers one request. An error that it returns is written in the route's Shape, unless the response was begun.
type Handler func(*Call) error

// Appender is the log as the surfaces see it. When Append returns nil all ops are durable; they lie together and in
// order. Its error is fault.Unavailable when the log is down or full.
type Appender interface {
	Append(ctx context.Context, partition int32, ops ...ingest.Op) (ingest.Position, error)
}

// Auth says which credential a route asks for.
type Auth uint8

// The kinds of authentication.
const (
	Open     Auth = iota // none
	TrackKey             // Basic site_id:api_key, or Bearer with an agent key of scope write
	AppKey               // Bearer App API key, or, to read, an agent key of scope read
	AdminKey             // Bearer admin key, which opens every workspace: Call.Workspace is 0
	AgentKey             // Bearer agk_…
	WriteKey             // Basic with the write key as user name, or Bearer
)

// Class says which rate limit a request counts against. A workspace has one bucket for each.
type Class uint8

// The limit classes.
const (
	Unlimited Class = iota
	LimitTrack
	LimitApp
	LimitSend
	LimitOpen // of routes without a key: a bucket for each client address
	LimitPipelines
	LimitArchive // of archived messages: a day's worth (UTC), which starts anew with the next
	refused      // of no route: what Refuse counts
)
