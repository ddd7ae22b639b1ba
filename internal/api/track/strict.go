package track

import (
	"context"
	"encoding/json"
	"errors"
	"maps"

	"rapport.example/internal/api"
	"rapport.example/internal/definition"
	"rapport.example/internal/fault"
	"rapport.example/internal/ingest"
	objects "rapport.example/internal/object"
	"rapport.example/internal/person"
	"rapport.example/internal/value"
)

// State is what strict mode looks at.
type State interface {
	// FindPerson is nil if the identifier finds nobody.
	FindPerson(ctx context.Context, workspace int64, by person.Identifier) (*person.Document, error)
	// IsSuppressed tells whether an identifier is suppressed.
	IsSuppressed(ctx context.Context, workspace int64, by person.Identifier) (bool, error)
	// CurrentDefinitions lists the living definitions of a kind.
	CurrentDefinitions(ctx context.Context, workspace int64, kind string) ([]definition.Row, error)
	// FindObject is nil if there is no such object.
	FindObject(ctx context.Context, workspace int64, k objects.Key) (*objects.Object, error)
	// HasRelationship tells whether a person and an object, by its number, are related.
	HasRelationship(ctx context.Context, who person.Ref, object int64) (bool, error)
}

// applicable refuses in strict mode what would be accepted and not applied as things stand, once everything that was
// acknowledged before is applied. It is asked of single operations; what is in a batch may rest on what is before it. Another
// write may still come between the answer and the application: then an activity says so, as always.
func (s *surface) applicable(c *api.Call, kind ingest.Kind, payload value.Value) error {
	if !c.Strict() || s.o.State == nil {
		return nil
	}
	if s.o.Fresh != nil {
		_ = s.o.Fresh(c.R.Context(), c.Workspace) // late is better than not at all: what is there is looked at
	}
	if again, err := c.Repeated(c.Workspace); err != nil || again {
		return err // what the first request of this Idempotency-Key did is no reason to refuse the second
	}
	o := ingest.Op{Kind: kind, Payload: payload}
	switch kind {
	case ingest.Identify:
		p := ingest.ReadIdentify(payload)
		if err := s.free(c, p.By); err != nil {
			return err
		}
		if err := s.identifiable(c, &p); err != nil || len(p.Relate) == 0 {
			return err
		}
		var rel ingest.RelatePayload
		if err := json.Unmarshal(p.Relate, &rel); err != nil {
			return err
		}
		return s.ends(c, p.By, objects.Key{}, rel.Relations, rel.Drop)
	case ingest.Event:
		by := ingest.ReadEvent(payload).By
		return errors.Join(s.free(c, by), s.there(c, "cio_id", onlyCIO(by)))
	case ingest.Delete, ingest.Unsuppress:
		p, err := ingest.Decode[ingest.PersonPayload](&o)
		if err != nil {
			return err
		}
		if kind == ingest.Delete {
			return s.there(c, "identifier", p.By)
		}
		return s.suppressed(c, p.By)
	case ingest.Form:
		p, err := ingest.Decode[ingest.FormPayload](&o)
		return errors.Join(err, s.free(c, p.By))
	case ingest.AddDevice, ingest.DeleteDevice:
		p, err := ingest.Decode[ingest.DevicePayload](&o)
		if err != nil {
			return err
		}
		if err := s.free(c, p.By); err != nil {
			return err
		}
		return s.deviceThere(c, kind, &p)
	case ingest.Merge:
		p, err := ingest.Decode[ingest.MergePayload](&o)
		if err != nil {
			return err
		}
		return s.mergeable(c, &p)
	case ingest.SegmentAdd, ingest.SegmentDrop:
		p, err := ingest.Decode[ingest.SegmentPayload](&o)
		if err != nil {
			return err
		}
		return s.manual(c, p.Segment)
	case ingest.Object, ingest.DeleteObject:
		p, err := ingest.Decode[ingest.ObjectPayload](&o)
		if err != nil {
			return err
		}
		if err := s.objectThere(c, "identifiers", p.Object, kind == ingest.DeleteObject); err != nil {
			return err
		}
		return s.ends(c, ingest.By{}, p.Object, p.Relations, false)
	case ingest.Relate, ingest.Unrelate:
		p, err := ingest.Decode[ingest.RelatePayload](&o)
		if err != nil {
			return err
		}
		return s.ends(c, p.By, p.Object, p.Relations, kind == ingest.Unrelate)
	case ingest.Metric:
		p, err := ingest.Decode[ingest.MetricPayload](&o)
		if err != nil || p.Public == "" {
			return err
		}
		ws, _, number, err := s.o.Deliveries.FindDelivery(c.R.Context(), p.Public)
		if err == nil && (number == 0 || ws != c.Workspace) {
			err = notThere("identifiers.id", "there is no such delivery")
		}
		return err
	default:
		return nil
	}
}

func notThere(field, why string) error {
	e := fault.New(fault.NotFound, "%s", why)
	e.Field = field
	return e
}

// free refuses a suppressed identifier.
func (s *surface) free(c *api.Call, by ingest.By) error {
	if by == (ingest.By{}) {
		return nil
	}
	blocked, err := s.o.State.IsSuppressed(c.R.Context(), c.Workspace, by.Identifier())
	if err == nil && blocked {
		err = fault.New(fault.Conflict, "the identifier is suppressed")
	}
	return err
}

// suppressed asks for a suppressed identifier.
func (s *surface) suppressed(c *api.Call, by ingest.By) error {
	blocked, err := s.o.State.IsSuppressed(c.R.Context(), c.Workspace, by.Identifier())
	if err == nil && !blocked {
		err = notThere("identifier", "the identifier is not suppressed")
	}
	return err
}

// onlyCIO is by, if it is a cio id: whoever another identifier names comes to be.
func onlyCIO(by ingest.By) ingest.By { return ingest.By{CIO: by.CIO} }

// there asks for the person whom by names; it is content if by names nobody.
func (s *surface) there(c *api.Call, field string, by ingest.By) error {
	if by == (ingest.By{}) {
		return nil
	}
	d, err := s.o.State.FindPerson(c.R.Context(), c.Workspace, by.Identifier())
	if err == nil && d == nil {
		err = notThere(field, "there is no such person")
	}
	return err
}

// identifiable asks for the person of an identify that cannot make one.
func (s *surface) identifiable(c *api.Call, p *ingest.IdentifyPayload) error {
	if !p.UpdateOnly {
		return s.there(c, "cio_id", onlyCIO(p.By))
	}
	err := s.there(c, "_update", p.By)
	if !fault.Is(err, fault.NotFound) {
		return err
	}
	types := maps.Clone(idTypes)
	if on, failed := s.phones(c); failed != nil {
		return failed
	} else if on {
		types["phone"] = person.ByPhone
	}
	for name, t := range types { // whom the body names is meant if they lack an identifier of the path's kind (ADR 3)
		v := p.Attributes.Get(name)
		if absent(v) {
			continue
		}
		i, wrong := identifier(name, t, v)
		if wrong != nil {
			return wrong
		}
		d, failed := s.o.State.FindPerson(c.R.Context(), c.Workspace, i)
		if failed != nil || d != nil && (p.By.ID == "" || d.ID == "") && (p.By.Email == "" || d.Email == "") && (p.By.Phone == "" || d.Phone == "") {
			return failed
		}
	}
	return err
}

func (s *surface) deviceThere(c *api.Call, kind ingest.Kind, p *ingest.DevicePayload) error {
	if kind == ingest.AddDevice {
		return s.there(c, "cio_id", onlyCIO(p.By))
	}
	d, err := s.o.State.FindPerson(c.R.Context(), c.Workspace, p.By.Identifier())
	if err != nil {
		return err
	}
	if d != nil {
		for i := range d.Devices {
			if d.Devices[i].Token == p.Token {
				return nil
			}
		}
	}
	return notThere("device_id", "the person has no such device")
}

func (s *surface) mergeable(c *api.Call, p *ingest.MergePayload) error {
	if err := s.there(c, "primary", p.Primary); err != nil {
		return err
	}
	return s.there(c, "secondary", p.Secondary)
}

// objectThere asks for the object that a key finds: any that must be there, else one named by cio_object_id, for others come to be.
func (s *surface) objectThere(c *api.Call, field string, k objects.Key, must bool) error {
	if k == (objects.Key{}) || k.CIO == "" && !must {
		return nil
	}
	o, err := s.o.State.FindObject(c.R.Context(), c.Workspace, k)
	if err == nil && o == nil {
		err = notThere(field, "there is no such object")
	}
	return err
}

// ends asks for the ends of relationships, of which by or k is one of each; those that are to be dropped must be there.
func (s *surface) ends(c *api.Call, by ingest.By, k objects.Key, all []ingest.Relation, drop bool) error {
	for _, r := range all {
		if by != (ingest.By{}) {
			r.By = by
		}
		if k != (objects.Key{}) {
			r.Object = k
		}
		if err := s.free(c, r.By); err != nil {
			return err
		}
		if drop && r.By != (ingest.By{}) {
			if err := s.related(c, r); err != nil {
				return err
			}
			continue
		}
		err := s.objectThere(c, "cio_object_id", r.Object, drop)
		if err == nil {
			err = s.there(c, "cio_id", onlyCIO(r.By))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// related asks for a relationship.
func (s *surface) related(c *api.Call, r ingest.Relation) error {
	d, err := s.o.State.FindPerson(c.R.Context(), c.Workspace, r.By.Identifier())
	if err != nil {
		return err
	}
	o, err := s.o.State.FindObject(c.R.Context(), c.Workspace, r.Object)
	if err != nil {
		return err
	}
	if d != nil && o != nil {
		has, err := s.o.State.HasRelationship(c.R.Context(), d.Ref, o.Number)
		if err != nil || has {
			return err
		}
	}
	return notThere("cio_relationships", "there is no such relationship")
}

// manual asks for a segment whose members are set by hand.
func (s *surface) manual(c *api.Call, segment int64) error {
	rows, err := s.o.State.CurrentDefinitions(c.R.Context(), c.Workspace, definition.Segments)
	if err != nil {
		return err
	}
	for i := range rows {
		if rows[i].ID != segment {
			continue
		}
		if manual, _ := rows[i].Body.Get("manual").Bool(); !manual {
			return fault.Field("segment_id", "is of a segment that is not manual")
		}
		return nil
	}
	return notThere("segment_id", "there is no such segment")
}
