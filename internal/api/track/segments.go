package track

import (
	"rapport.example/internal/api"
	"rapport.example/internal/fault"
	"rapport.example/internal/ingest"
	"rapport.example/internal/person"
	"rapport.example/internal/value"
)

// segment changes the members of a manual segment. Entries that cannot be an identifier of the asked type are ignored,
// as the vendor ignores them, and an activity says how many; strict mode refuses the first of them.
func (s *surface) segment(op ingest.Kind) api.Handler {
	return func(c *api.Call) error {
		segment, err := c.ParamID("segment_id")
		if err != nil {
			return err
		}
		word := c.Query(api.IDType.Name)
		r := s.read(c)
		kind, ok := idTypes[word]
		if word == "phone" {
			kind = person.ByPhone
			if ok, err = r.byPhone(); err != nil {
				return err
			}
		}
		if !ok {
			return fault.Field("id_type", "phone is not an identifier of people in this workspace")
		}
		v, err := r.body(c)
		if err != nil {
			return err
		}
		people, ignored, err := r.members(v.Get("ids"), kind)
		if err != nil {
			return err
		}
		return s.done(c, op, encodeSegment(segment, people, ignored))
	}
}

func (r reader) members(v value.Value, kind person.KeyType) (out []ingest.By, ignored int64, err error) {
	if v.Kind() != value.Array {
		return nil, 0, fault.Field("ids", "must be a list of 1 to %d identifiers", MaxMembers)
	}
	n := 0
	for e := range v.Elements() {
		if n++; n > MaxMembers {
			break
		}
		if k := e.Kind(); k != value.String && k != value.Number {
			return nil, 0, fault.Field("ids", "must hold strings only")
		}
		i, err := identifier("ids", kind, e)
		switch {
		case err == nil:
			out = append(out, ingest.ByIdentifier(i))
		case r.strict:
			return nil, 0, err
		default:
			ignored++
		}
	}
	if n == 0 || n > MaxMembers {
		return nil, 0, fault.Field("ids", "must be a list of 1 to %d identifiers", MaxMembers)
	}
	return out, ignored, nil
}
