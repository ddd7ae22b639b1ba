// Package track is Customer.io's Track API, versions 1 and 2: it checks the shape of a write and makes an ingest.Op of
// it. A 200 says that the op is durable, not that it was applied; what is dropped later leaves an activity.
//
// What the vendor does not document is decided here and said at the place: bounds of bodies below, attributes over their
// limits in attributes.go, timestamps and event ids in read.go.
package track

import (
	"context"
	"net/http"

	"rapport.example/internal/api"
	"rapport.example/internal/fault"
	"rapport.example/internal/id"
	"rapport.example/internal/ingest"
	"rapport.example/internal/value"
	"rapport.example/internal/workspace"
)

// Bounds of request bodies, in bytes. The vendor documents those of version 2; those of version 1 leave room for the
// largest legal content with every byte escaped once.
const (
	MaxEntity   = 32 << 10  // a v2 operation, alone or in a batch
	MaxBatch    = 500 << 10 // a v2 batch
	MaxIdentify = 1 << 20   // 300 attributes of 150 + 1000 bytes
	MaxEvent    = 512 << 10 // 100,000 bytes of data
	MaxDevice   = 64 << 10
	MaxForm     = 512 << 10 // 100,000 bytes of fields
	MaxSegment  = 512 << 10 // 1000 identifiers of 150 bytes
	MaxMembers  = 1000      // identifiers per segment call
	MaxToken    = 4096      // bytes of a device token
)

// Options is what the surface works with.
type Options struct {
	Log        api.Appender
	Keys       *api.Keys
	Deliveries Deliveries
	State      State                                                   // strict mode looks at it, and whoever is named by phone; nil = only at the request, and phones name nobody
	Fresh      func(ctx context.Context, workspace int64) (stale bool) // waits, bounded, for what was acknowledged; nil = it does not
	BaseURL    string                                                  // answered by accounts/region; "" = the scheme and host of the request
	Region     string                                                  // answered by accounts/region; "" = us
}

// Routes is the surface's table.
func Routes(o Options) []api.Route {
	if o.Region == "" {
		o.Region = "us"
	}
	s := &surface{o}
	return append(s.v1(), s.reports()...)
}

type surface struct{ o Options }

func (s *surface) v1() []api.Route {
	key, class := api.TrackKey, api.LimitTrack
	return []api.Route{
		{Method: http.MethodGet, Path: "/api/v1/accounts/region", Auth: key, Agent: workspace.Read, Limit: class, Shape: api.MetaError, Response: Region{}, Handler: s.region, Doc: "Tells the base URL and region of the workspace."},
		{Method: http.MethodPut, Path: "/api/v1/customers/{identifier}", Auth: key, Agent: workspace.WriteScope, Limit: class, Shape: api.MetaError, MaxBody: MaxIdentify, Request: Attributes{}, Response: Done{}, Handler: s.identify, Doc: "Creates or updates a person."},
		{Method: http.MethodDelete, Path: "/api/v1/customers/{identifier}", Auth: key, Agent: workspace.WriteLive, Limit: class, Shape: api.MetaError, Response: Done{}, Handler: s.person(ingest.Delete), Doc: "Deletes a person and their data."},
		{Method: http.MethodPost, Path: "/api/v1/customers/{identifier}/suppress", Auth: key, Agent: workspace.WriteLive, Limit: class, Shape: api.MetaError, Response: Done{}, Handler: s.person(ingest.Suppress), Doc: "Deletes a person and ignores their identifiers from now on."},
		{Method: http.MethodPost, Path: "/api/v1/customers/{identifier}/unsuppress", Auth: key, Agent: workspace.WriteLive, Limit: class, Shape: api.MetaError, Response: Done{}, Handler: s.person(ingest.Unsuppress), Doc: "Frees suppressed identifiers."},
		{Method: http.MethodPut, Path: "/api/v1/customers/{identifier}/devices", Auth: key, Limit: class, Shape: api.MetaErrors, MaxBody: MaxDevice, Request: DeviceBody{}, Response: Done{}, Handler: s.addDevice, Doc: "Adds or updates a push device of a person."},
		{Method: http.MethodDelete, Path: "/api/v1/customers/{identifier}/devices/{device_id}", Auth: key, Limit: class, Shape: api.MetaErrors, Response: Done{}, Handler: s.deleteDevice, Doc: "Deletes a push device of a person."},
		{Method: http.MethodPost, Path: "/api/v1/customers/{identifier}/events", Auth: key, Agent: workspace.WriteScope, Limit: class, Shape: api.MetaErrors, MaxBody: MaxEvent, Request: EventBody{}, Response: Done{}, Handler: s.event, Doc: "Records an event, page or screen view of a person."},
		{Method: http.MethodPost, Path: "/api/v1/events", Auth: key, Limit: class, Shape: api.MetaErrors, MaxBody: MaxEvent, Request: EventBody{}, Response: Done{}, Handler: s.anonymous, Doc: "Records an anonymous event."},
		{Method: http.MethodPost, Path: "/api/v1/merge_customers", Auth: key, Agent: workspace.WriteLive, Limit: class, Shape: api.MetaError, MaxBody: MaxEntity, Request: Merge{}, Response: Done{}, Handler: s.merge, Doc: "Makes one person a part of another and deletes them."},
		{Method: http.MethodPost, Path: "/api/v1/segments/{segment_id}/add_customers", Auth: key, Agent: workspace.WriteScope, Limit: class, Shape: api.MetaErrors, MaxBody: MaxSegment, Request: Members{}, Response: Done{}, Handler: s.segment(ingest.SegmentAdd), Doc: "Adds people to a manual segment.", Query: []api.Param{api.IDType}},
		{Method: http.MethodPost, Path: "/api/v1/segments/{segment_id}/remove_customers", Auth: key, Agent: workspace.WriteScope, Limit: class, Shape: api.MetaErrors, MaxBody: MaxSegment, Request: Members{}, Response: Done{}, Handler: s.segment(ingest.SegmentDrop), Doc: "Removes people from a manual segment.", Query: []api.Param{api.IDType}},
		{Method: http.MethodPost, Path: "/api/v1/forms/{form_id}/submit", Auth: key, Limit: class, Shape: api.MetaErrors, MaxBody: MaxForm, Request: FormBody{}, Handler: s.form, Doc: "Submits a form of a person; a form that is new comes to be."},
		{Method: http.MethodPost, Path: "/api/v2/entity", Auth: key, Agent: workspace.WriteLive, Limit: class, Shape: api.ItemErrors, MaxBody: MaxEntity, Request: Operation{}, Response: Done{}, Handler: s.entity, Doc: "Carries out one operation."},
		{Method: http.MethodPost, Path: "/api/v2/batch", Auth: key, Agent: workspace.WriteLive, Limit: class, Shape: api.ItemErrors, MaxBody: MaxBatch, Request: Batch{}, Response: Done{}, Handler: s.batch, Doc: "Carries out many operations; 207 when some are invalid."},
	}
}

func (s *surface) region(c *api.Call) error {
	url := s.o.BaseURL
	if url == "" {
		scheme := "http://"
		if c.R.TLS != nil {
			scheme = "https://"
		}
		url = scheme + c.R.Host
	}
	return c.JSON(http.StatusOK, Region{URL: url, Region: s.o.Region, EnvironmentID: c.Workspace})
}

// op is the envelope around a payload.
func op(c *api.Call, kind ingest.Kind, payload value.Value) ingest.Op {
	o := ingest.Op{
		Version: ingest.OpVersion, Workspace: c.Workspace, Received: c.Now.UnixMilli(), ID: id.New(c.Now), Surface: ingest.FromTrack,
		Request: c.RequestID, Kind: kind, Payload: payload,
	}
	if c.Credential != nil {
		o.Credential = c.Credential.ID
	}
	return o
}

// accept makes ops durable, all or none. A failure that the log does not explain is a log in trouble, which is worth
// another try; it is not a defect of the request.
func (s *surface) accept(c *api.Call, ops ...ingest.Op) error {
	_, err := c.Append(s.o.Log, c.Partition, ops...)
	if err != nil && fault.Is(err, fault.Internal) {
		return fault.Wrap(fault.Unavailable, err, "the write could not be made durable: send it again")
	}
	return err
}

// done makes one op durable and answers 200.
func (s *surface) done(c *api.Call, kind ingest.Kind, payload value.Value) error {
	if err := s.applicable(c, kind, payload); err != nil {
		return err
	}
	if err := s.accept(c, op(c, kind, payload)); err != nil {
		return err
	}
	return c.Empty()
}
