// Package app is Customer.io's App API: transactional sends, and what people, segments, campaigns, activities and
// messages look like. Reads see every write that this workspace had acknowledged before: see Options.Fresh.
//
// Shapes follow the vendor's OpenAPI documents and recorded answers. What the vendor has and this slice has not is in the
// table too and answers 501.
package app

import (
	"context"
	"net/http"
	"sync"

	"rapport.example/internal/api"
	"rapport.example/internal/center"
	"rapport.example/internal/export"
	"rapport.example/internal/fault"
	"rapport.example/internal/id"
	"rapport.example/internal/ingest"
	"rapport.example/internal/person"
	"rapport.example/internal/value"
)

// Bounds of request bodies, in bytes.
const (
	MaxSend    = 1 << 20
	MaxSegment = 64 << 10
	MaxPeople  = 64 << 10
)

// Options is what the surface works with. All fields are required but Audience, Fresh and Wake.
type Options struct {
	Store Store
	Log   api.Appender
	// Audience answers conditions for everybody; nil = the store is read for each.
	Audience Asker
	Secret   []byte // the installation's: delivery ids and cursors are derived from it
	// Fresh waits, bounded, until everything that the workspace had acknowledged is applied. stale says that it was not in
	// time; the read then answers what is there, with X-Rapport-Stale: true. nil = reads never wait.
	Fresh func(ctx context.Context, workspace int64) (stale bool)
	// SendingAddresses are the IP addresses that mail is sent from, as far as the operator says.
	SendingAddresses []string
	// FreshFor is Fresh for the attributes of one person, by identifiers: it waits only for what may change them, not for events by
	// which somebody may come to be. since is the at of the call before, 0 for the first; again says that something changed since
	// then, so that what was read in between is to be read again. nil = Fresh is used.
	FreshFor func(ctx context.Context, workspace int64, since uint64, who ...person.Identifier) (at uint64, again, stale bool)
	// Applied waits, bounded, until the op at a position is applied.
	Applied func(ctx context.Context, pos ingest.Position) error
	// BaseURL is the server's address as others see it, for the links to exports.
	BaseURL string
	// Wake tells the background that there is a new job of a kind; nil = it looks by itself.
	Wake func(kind string)
}

// StaleHeader is set to "true" on an answer that may miss acknowledged writes.
const StaleHeader = "X-Rapport-Stale"

// Routes is the surface's table.
func Routes(o Options) []api.Route {
	if o.Audience == nil {
		o.Audience = Scans{Source: o.Store}
	}
	s := &surface{o: o, cursor: api.NewCursor(o.Secret), links: export.NewSigner(o.Secret, o.BaseURL), centers: center.NewSigner(o.Secret, o.BaseURL)}
	var all []api.Route
	for _, part := range [][]api.Route{s.sends(), s.people(), s.segmentRoutes(), s.insightRoutes(), s.searchRoutes(), s.objectRoutes(), s.exportRoutes(), s.importRoutes(), s.others(), s.actionRoutes(), s.transactionalRoutes(), s.senderRoutes(), s.topicRoutes(), s.optoutRoutes(), {s.centerRoute()}, s.dataIndexRoutes(), later()} {
		all = append(all, part...)
	}
	return all
}

type surface struct {
	o       Options
	cursor  *api.Cursor
	links   *export.Signer
	centers *center.Signer
	naming  sync.Mutex // one new segment at a time, so that two get two slugs
}

// get declares a read of the App API.
func (s *surface) get(path string, response any, h api.Handler, doc string) api.Route {
	return api.Route{
		Method: http.MethodGet, Path: path, Auth: api.AppKey, Limit: api.LimitApp, Shape: api.AppErrors,
		Response: response, Handler: s.fresh(h), Doc: doc,
	}
}

// fresh lets a read see this workspace's acknowledged writes.
func (s *surface) fresh(h api.Handler) api.Handler {
	return func(c *api.Call) error {
		if s.o.Fresh != nil && s.o.Fresh(c.R.Context(), c.Workspace) {
			c.W.Header().Set(StaleHeader, "true")
		}
		return h(c)
	}
}

// op is the envelope around a payload.
func op(c *api.Call, kind ingest.Kind, payload any) (ingest.Op, error) {
	v, err := ingest.Encode(payload)
	if err != nil {
		return ingest.Op{}, err
	}
	return ingest.Op{
		Version: ingest.OpVersion, Workspace: c.Workspace, Received: c.Now.UnixMilli(), ID: id.New(c.Now), Surface: ingest.FromApp,
		Credential: c.Credential.ID, Request: c.RequestID, Kind: kind, Payload: v,
	}, nil
}

// accept makes an op durable; o may get another id. A failure that the log does not explain is a log in trouble, which is worth another try.
func (s *surface) accept(c *api.Call, o *ingest.Op) (ingest.Position, error) {
	ops := []ingest.Op{*o}
	pos, err := c.Append(s.o.Log, c.Partition, ops...)
	*o = ops[0]
	if err != nil && fault.Is(err, fault.Internal) {
		return pos, fault.Wrap(fault.Unavailable, err, "the write could not be made durable: send it again")
	}
	return pos, err
}

// carryOut makes an op durable and waits until it is applied.
func (s *surface) carryOut(c *api.Call, kind ingest.Kind, payload any) error {
	o, err := op(c, kind, payload)
	if err != nil {
		return err
	}
	pos, err := s.accept(c, &o)
	if err != nil {
		return err
	}
	if err := s.o.Applied(c.R.Context(), pos); err != nil {
		return fault.Wrap(fault.Unavailable, err, "the change is accepted but not applied yet")
	}
	return nil
}

// noNUL refuses U+0000, which PostgreSQL's text cannot hold.
func noNUL(v value.Value) error {
	for i := 0; i+6 <= len(v); i++ {
		if v[i] != '\\' {
			continue
		}
		if string(v[i:i+6]) == `\u0000` {
			return fault.New(fault.Invalid, "NUL characters are not allowed")
		}
		i++ // the escaped character
	}
	return nil
}
