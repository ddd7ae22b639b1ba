// Package pipelines is Customer.io's Pipelines (CDP) API: it reads messages of the kind that Segment made common, writes
// each as an operation of the Track API and makes ops of these. A 200 is the answer to bad input as well, as it is at the
// vendor: what cannot be taken leaves an activity with its reason. X-Strict-Mode: 1 asks for 400 and 401 instead.
//
// What the vendor does not document is decided here and said at the place: who is meant in message.go, times in times.go,
// which message becomes which operation in translate.go and semantic.go.
package pipelines

import (
	"log/slog"
	"net/http"
	"time"

	"rapport.example/internal/api"
	"rapport.example/internal/workspace"
)

// Bounds of the vendor, in bytes.
const (
	MaxMessage = 32 << 10  // a message, alone or in a batch
	MaxBatch   = 500 << 10 // a batch
)

// Keys finds the workspace of a write key. Their errors are Unauthorized.
type Keys interface {
	// Authenticate checks an Authorization header.
	Authenticate(header string, auth api.Auth, now time.Time) (api.Access, error)
	// Secret checks the key itself.
	Secret(kind workspace.Kind, secret string, now time.Time) (api.Access, error)
}

// Options is what the surface works with.
type Options struct {
	Log     api.Appender
	Keys    Keys
	Limiter *api.Limiter // nil = no limits
	BaseURL string       // under which browsers reach this server; "" = the scheme and host of the request
	Logger  *slog.Logger
}

// Routes is the surface's table. The one-letter paths are those of the browser library, which sends its key in the body.
func Routes(o Options) []api.Route {
	s := &surface{o: o}
	var out []api.Route
	for _, r := range []struct {
		path, short string
		request     any
		handler     api.Handler
		most        int64
		doc         string
	}{
		{"identify", "i", Message{}, s.single("identify"), MaxMessage, "Creates or updates a person."},
		{"track", "t", Message{}, s.single("track"), MaxMessage, "Records an event, or does what a reserved event name says."},
		{"page", "p", Message{}, s.single("page"), MaxMessage, "Records a page view."},
		{"screen", "s", Message{}, s.single("screen"), MaxMessage, "Records a screen view."},
		{"group", "g", Message{}, s.single("group"), MaxMessage, "Creates or updates an object and relates the person to it."},
		{"alias", "a", Message{}, s.single("alias"), MaxMessage, "Makes a person or an anonymous id a part of a person."},
		{"batch", "b", Batch{}, s.batch, MaxBatch, "Takes many messages."},
	} {
		for _, path := range [...]string{r.path, r.short} {
			out = append(out, api.Route{
				Method: http.MethodPost, Path: "/v1/" + path, Auth: api.Open, Limit: api.Unlimited, Shape: api.PipelineErrors, MaxBody: r.most, Gzip: true,
				Request: r.request, Response: Done{}, Handler: r.handler, Fail: s.fail, Doc: r.doc,
			})
		}
	}
	return append(out,
		api.Route{
			Method: http.MethodPost, Path: "/v1/m", Auth: api.Open, Limit: api.LimitOpen, Shape: api.PipelineErrors, Response: Done{},
			Handler: (*api.Call).Empty, Doc: "Takes what the browser library counts about itself, and keeps nothing of it.",
		},
		api.Route{
			Method: http.MethodGet, Path: "/v1/projects/{write_key}/settings", Auth: api.Open, Limit: api.Unlimited, Shape: api.PipelineErrors,
			Response: Settings{}, Handler: s.settings, Doc: "Tells the browser and mobile libraries where to send to.",
		},
	)
}

type surface struct {
	o       Options
	strange strangers
}
