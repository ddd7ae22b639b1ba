package track

import (
	"errors"
	"net/http"

	"rapport.example/internal/api"
	"rapport.example/internal/event"
	"rapport.example/internal/fault"
	"rapport.example/internal/ingest"
	"rapport.example/internal/person"
	"rapport.example/internal/value"
)

// pair is a v2 operation's type and action.
type pair struct{ kind, action string }

// operations are the vendor's pairs. Each reads the operation and returns the kind and payload of its op.
var operations = map[pair]func(reader, value.Value) (ingest.Kind, value.Value, error){
	{"person", "identify"}:      identifyOp,
	{"person", "delete"}:        personOp(ingest.Delete),
	{"person", "suppress"}:      personOp(ingest.Suppress),
	{"person", "unsuppress"}:    personOp(ingest.Unsuppress),
	{"person", "event"}:         eventOp(event.Track),
	{"person", "page"}:          eventOp(event.Page),
	{"person", "screen"}:        eventOp(event.Screen),
	{"person", "add_device"}:    deviceOp(ingest.AddDevice),
	{"person", "delete_device"}: deviceOp(ingest.DeleteDevice),
	{"delivery", "event"}:       deliveryOp,
	{"person", "merge"}:         mergeOp,

	{"person", "add_relationships"}:    relateOp(ingest.Relate, "person"),
	{"person", "delete_relationships"}: relateOp(ingest.Unrelate, "person"),
	{"object", "identify"}:             objectOp(false),
	{"object", "identify_anonymous"}:   objectOp(true),
	{"object", "delete"}:               deleteObjectOp,
	{"object", "add_relationships"}:    relateOp(ingest.Relate, "object"),
	{"object", "delete_relationships"}: relateOp(ingest.Unrelate, "object"),
}

// entity carries out one operation.
func (s *surface) entity(c *api.Call) error {
	r := s.read(c)
	v, err := c.Object()
	if err != nil {
		return err
	}
	kind, payload, err := r.operation(v)
	if err == nil && kind == ingest.Event {
		err = ownAddress(c, v.Get("attributes"))
	}
	if err != nil {
		return err
	}
	return s.done(c, kind, payload)
}

// batch carries out the valid operations, durable together, and lists the others.
func (s *surface) batch(c *api.Call) error {
	v, err := c.Object()
	if err != nil {
		return err
	}
	list := v.Get("batch")
	if list.Kind() != value.Array || len(list) == len("[]") {
		return fault.Field("batch", "must be a list of at least one operation")
	}
	ops, bad := s.read(c).operations(c, list)
	if len(ops) == 0 {
		return api.WithStatus(http.StatusBadRequest, bad)
	}
	if err := s.accept(c, ops...); err != nil {
		return err
	}
	if len(bad) > 0 {
		return c.Raw(http.StatusMultiStatus, bad.Body())
	}
	return c.Empty()
}

func (r reader) operations(c *api.Call, list value.Value) (ops []ingest.Op, bad api.Items) {
	index := -1
	for e := range list.Elements() {
		index++
		kind, payload, err := r.operation(e)
		if err == nil && kind == ingest.Event {
			err = ownAddress(c, e.Get("attributes"))
		}
		if err != nil {
			for _, one := range api.Errors(err) {
				bad = append(bad, api.ItemOf(index, one))
			}
			continue
		}
		ops = append(ops, op(c, kind, payload))
	}
	return ops, bad
}

// operation reads one operation.
func (r reader) operation(v value.Value) (ingest.Kind, value.Value, error) {
	if v.Kind() != value.Object {
		return 0, nil, fault.New(fault.Invalid, "an operation must be a JSON object")
	}
	if len(v) > MaxEntity {
		return 0, nil, fault.New(fault.TooLarge, "the operation is larger than %d bytes", MaxEntity)
	}
	return r.parse(v)
}

// Parse reads one v2 operation for a surface that writes its own messages as operations: the kind and payload of its op.
// Strict is what X-Strict-Mode asks of a request. Its size is not looked at, and
// phones name nobody.
func Parse(v value.Value, strict bool) (ingest.Kind, value.Value, error) {
	return reader{strict: strict}.parse(v)
}

func (r reader) parse(v value.Value) (ingest.Kind, value.Value, error) {
	if err := noNUL(v); err != nil {
		return 0, nil, err
	}
	p := pair{v.Get("type").Text(), v.Get("action").Text()}
	if parse := operations[p]; parse != nil {
		return parse(r, v)
	}
	return 0, nil, unknown(p)
}

func unknown(p pair) error {
	switch {
	case p.kind == "" || p.kind == "null":
		return fault.Field("type", "is required")
	case p.kind != "person" && p.kind != "object" && p.kind != "delivery":
		return fault.Field("type", "must be person, object or delivery")
	case p.action == "" || p.action == "null":
		return fault.Field("action", "is required")
	}
	return fault.Field("action", "is not an action of type %s", p.kind)
}

func identifyOp(r reader, v value.Value) (ingest.Kind, value.Value, error) {
	var p ingest.IdentifyPayload
	anonymous, err := r.visitor(v.Get("identifiers"), &p.By)
	if err != nil {
		return 0, nil, err
	}
	if err = r.identifyRelations("cio_relationships", v.Get("cio_relationships"), &p); err != nil {
		return 0, nil, err
	}
	if p.Timestamp, err = r.timestamp("timestamp", v.Get("timestamp")); err != nil {
		return 0, nil, err
	}
	attributes, err := object("attributes", v.Get("attributes"))
	if err != nil {
		return 0, nil, err
	}
	if anonymous != "" {
		attributes = with(attributes, "anonymous_id", value.Quote(anonymous))
	}
	if err = r.attributes("attributes.", attributes, &p); err != nil {
		return 0, nil, err
	}
	return ingest.Identify, encodeIdentify(&p), nil
}

func personOp(kind ingest.Kind) func(reader, value.Value) (ingest.Kind, value.Value, error) {
	return func(r reader, v value.Value) (ingest.Kind, value.Value, error) {
		by, err := r.identifiers("identifiers", v.Get("identifiers"))
		if err != nil {
			return 0, nil, err
		}
		return kind, encodePerson(by), nil
	}
}

func eventOp(t event.Type) func(reader, value.Value) (ingest.Kind, value.Value, error) {
	return func(r reader, v value.Value) (ingest.Kind, value.Value, error) {
		p := ingest.EventPayload{Type: uint8(t)}
		anonymous, wrong := r.visitor(v.Get("identifiers"), &p.By)
		p.Anonymous = anonymous
		if id := v.Get("anonymous_id"); anonymous == "" && !absent(id) { // of a person who receives it, as in version 1
			var err error
			if p.Anonymous, err = text("anonymous_id", id, true, person.MaxID); err != nil && r.strict {
				wrong = errors.Join(wrong, err)
			}
		}
		_, err := r.event(v, "attributes", &p)
		if err = errors.Join(wrong, err); err != nil {
			return 0, nil, err
		}
		return ingest.Event, encodeEvent(&p), nil
	}
}

func deviceOp(kind ingest.Kind) func(reader, value.Value) (ingest.Kind, value.Value, error) {
	return func(r reader, v value.Value) (ingest.Kind, value.Value, error) {
		by, err := r.identifiers("identifiers", v.Get("identifiers"))
		if err != nil {
			return 0, nil, err
		}
		p, err := r.device(v.Get("device"), "token", kind == ingest.AddDevice)
		if err != nil {
			return 0, nil, err
		}
		p.By = by
		return kind, encodeDevice(&p), nil
	}
}
