package track

import (
	"context"
	"mime"
	"net/http"
	"slices"
	"strings"

	"rapport.example/internal/api"
	"rapport.example/internal/delivery"
	"rapport.example/internal/fault"
	"rapport.example/internal/ingest"
	"rapport.example/internal/person"
	"rapport.example/internal/value"
	"rapport.example/internal/workspace"
)

// Bounds of a report, in bytes.
const (
	MaxReport = 64 << 10
	maxHref   = 4 << 10
	maxMeta   = 16 << 10
)

// Deliveries finds what a report names by public id alone.
type Deliveries interface {
	// FindDelivery tells the number of the delivery with a public id, 0 if there is none, its workspace and that one's
	// partition.
	FindDelivery(ctx context.Context, public string) (workspace int64, partition int32, number int64, err error)
}

// reports are the routes by which programs, devices and providers tell what became of a message. They ask for no key: who
// knows the id of a delivery, which cannot be guessed, may speak of it. A report of a delivery that there is not is answered
// like any other, except in strict mode; if it came with a key, as most clients send one, it leaves an activity there.
func (s *surface) reports() []api.Route {
	route := func(path string, request any, h api.Handler, doc string) api.Route {
		return api.Route{
			Method: http.MethodPost, Path: path, Auth: api.Open, Limit: api.LimitOpen, Shape: api.MetaError, MaxBody: MaxReport,
			Request: request, Response: Done{}, Handler: h, Doc: doc,
		}
	}
	return []api.Route{
		route("/api/v1/metrics", Metric{}, s.report(metric), "Reports a metric of a delivery, of any channel."),
		route("/api/v1/push/events", PushEvent{}, s.report(pushEvent), "Reports what became of a push."),
		route("/push/events", PushEvent{}, s.report(pushEvent), "The same under the path of older clients."),
		route("/api/v1/cio_deliveries/events", InAppEvent{}, s.report(inAppEvent), "Reports what became of an in-app message."),
		route("/unsubscribe/{delivery_id}", Unsubscribe{}, s.unsubscribe, "Unsubscribes the person of a delivery, or takes that back."),
	}
}

// report takes a report that parse reads, which leaves the id of the delivery in Public.
func (s *surface) report(parse func(reader, value.Value) (ingest.MetricPayload, error)) api.Handler {
	return func(c *api.Call) error {
		r := s.read(c)
		v, err := r.body(c)
		if err != nil {
			return err
		}
		p, err := parse(r, v)
		if err != nil {
			return err
		}
		known, err := s.deliver(c, &p)
		switch {
		case err != nil:
			return err
		case !known && r.strict:
			return fault.New(fault.NotFound, "there is no such delivery")
		case !known && !s.keyed(c):
			return c.Empty()
		}
		return s.tell(c, p)
	}
}

// keyed makes the call one of the workspace whose key it carries, if it carries one.
func (s *surface) keyed(c *api.Call) bool {
	a, err := s.o.Keys.Authenticate(c.R.Header.Get("Authorization"), api.TrackKey, c.Now)
	if err != nil || a.Credential.Kind != workspace.Track {
		return false
	}
	c.Credential, c.Workspace, c.Partition = a.Credential, a.Workspace.ID, a.Workspace.Partition
	return true
}

// deliver finds the delivery that a report names, and makes the call one of its workspace.
func (s *surface) deliver(c *api.Call, p *ingest.MetricPayload) (known bool, err error) {
	if len(p.Public) > maxDelivery {
		p.Public = strings.ToValidUTF8(p.Public[:maxDelivery], "")
		return false, nil
	}
	ws, partition, number, err := s.o.Deliveries.FindDelivery(c.R.Context(), p.Public)
	if err != nil {
		return false, fault.Wrap(fault.Unavailable, err, "the delivery could not be looked up: send the report again")
	}
	if number == 0 {
		return false, nil
	}
	c.Workspace, c.Partition, p.Delivery, p.Public = ws, partition, number, ""
	return true, nil
}

// maxDelivery is the longest that an id of a delivery may be; ours have 20 bytes.
const maxDelivery = 100

func (s *surface) tell(c *api.Call, p ingest.MetricPayload) error {
	payload, err := ingest.Encode(p)
	if err != nil {
		return err
	}
	return s.done(c, ingest.Metric, payload)
}

// unsubscribe asks for JSON, which a form in somebody's page cannot send. An id that is nobody's is a 400, as the vendor
// answers it.
func (s *surface) unsubscribe(c *api.Call) error {
	if kind, _, err := mime.ParseMediaType(c.R.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return api.WithStatus(http.StatusUnsupportedMediaType, fault.New(fault.Invalid, "the Content-Type must be application/json"))
	}
	v, err := s.read(c).body(c)
	if err != nil {
		return err
	}
	flag := v.Get("unsubscribe")
	if absent(flag) {
		return fault.Field("unsubscribe", "is required")
	}
	p := ingest.MetricPayload{Public: c.Param("delivery_id"), Metric: "resubscribed"}
	switch off := flag.Text() == "0" || strings.EqualFold(flag.Text(), "false"); {
	case truth(flag):
		p.Metric = "unsubscribed"
	case !off: // what is no clear wish subscribes nobody
		return fault.Field("unsubscribe", "must be true or false")
	}
	known, err := s.deliver(c, &p)
	if err != nil {
		return err
	}
	if !known {
		return fault.Field("delivery_id", "is not the id of a delivery")
	}
	return s.tell(c, p)
}

// metric reads the body of /api/v1/metrics. A recipient that is no address may be the token of a device; the address itself
// is not taken from a report, which may name anybody's.
func metric(r reader, v value.Value) (p ingest.MetricPayload, err error) {
	if p, err = r.reaction(v, "", "metric", delivery.Metrics("email")); err != nil {
		return p, err
	}
	to, err := optional("recipient", v.Get("recipient"), MaxToken)
	if err != nil {
		return p, err
	}
	if !person.LooksLikeEmail(to) {
		p.Device = to
	}
	if p.Reason, err = optional("reason", v.Get("reason"), person.MaxAttributeValue); err != nil {
		return p, err
	}
	p.Href, err = optional("href", v.Get("href"), maxHref)
	return p, err
}

// pushEvent reads the body of the push routes.
func pushEvent(r reader, v value.Value) (p ingest.MetricPayload, err error) {
	if p, err = r.reaction(v, "", "event", delivery.Metrics("push")); err != nil {
		return p, err
	}
	p.Device, err = optional("device_id", v.Get("device_id"), MaxToken)
	return p, err
}

// inAppEvent reads the body of /api/v1/cio_deliveries/events.
func inAppEvent(r reader, v value.Value) (p ingest.MetricPayload, err error) {
	if kind := v.Get("type"); !absent(kind) && kind.Text() != "in_app" {
		return p, fault.Field("type", "must be in_app")
	}
	v = v.Get("payload")
	if v.Kind() != value.Object {
		return p, fault.Field("payload", "must be an object")
	}
	if p, err = r.reaction(v, "payload.", "event", delivery.Metrics("in_app")); err != nil {
		return p, err
	}
	if p.Data, err = object("payload.metadata", v.Get("metadata")); err == nil && len(p.Data) > maxMeta {
		err = fault.Field("payload.metadata", "is larger than %d bytes", maxMeta)
	}
	return p, err
}

// deliveryOp reads a v2 operation of type delivery.
func deliveryOp(r reader, v value.Value) (ingest.Kind, value.Value, error) {
	who := v.Get("identifiers")
	if who.Kind() != value.Object {
		return 0, nil, fault.Field("identifiers", "must be an object with the id of a delivery")
	}
	public, err := text("identifiers.id", who.Get("id"), false, maxDelivery)
	if err != nil {
		return 0, nil, err
	}
	p := ingest.MetricPayload{Public: public}
	if p.Metric, err = word("name", v.Get("name"), delivery.Metrics("push")); err != nil {
		return 0, nil, err
	}
	if p.Timestamp, err = r.timestamp("timestamp", v.Get("timestamp")); err != nil {
		return 0, nil, err
	}
	attributes, err := object("attributes", v.Get("attributes"))
	if err != nil {
		return 0, nil, err
	}
	if p.Device, err = text("attributes.device_token", attributes.Get("device_token"), false, MaxToken); err != nil {
		return 0, nil, err
	}
	payload, err := ingest.Encode(p)
	return ingest.Metric, payload, err
}

// reaction reads what all reports have: delivery_id, timestamp, and a metric in the member that key names.
func (r reader) reaction(v value.Value, field, key string, words []string) (p ingest.MetricPayload, err error) {
	if p.Public, err = text(field+"delivery_id", v.Get("delivery_id"), false, MaxReport); err != nil {
		return p, err
	}
	if p.Metric, err = word(field+key, v.Get(key), words); err != nil {
		return p, err
	}
	p.Timestamp, err = r.timestamp(field+"timestamp", v.Get("timestamp"))
	return p, err
}

// word reads one of words, in any case.
func word(field string, v value.Value, words []string) (string, error) {
	s, err := text(field, v, false, MaxReport)
	if err != nil {
		return "", err
	}
	if s = strings.ToLower(s); !slices.Contains(words, s) {
		return "", fault.Field(field, "must be one of %s", strings.Join(words, ", "))
	}
	return s, nil
}

// optional reads a string that may be left out; one that is too long is cut, for it only explains.
func optional(field string, v value.Value, most int) (string, error) {
	if absent(v) {
		return "", nil
	}
	if v.Kind() != value.String {
		return "", fault.Field(field, "must be a string")
	}
	s := v.Text()
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "")
	}
	return s, nil
}
