package track

import (
	"errors"

	"rapport.example/internal/api"
	"rapport.example/internal/fault"
	"rapport.example/internal/ingest"
	"rapport.example/internal/value"
)

// merge makes the secondary person a part of the primary one.
func (s *surface) merge(c *api.Call) error {
	r := s.read(c)
	v, err := r.body(c)
	if err != nil {
		return err
	}
	kind, payload, err := mergeOp(r, v)
	if err != nil {
		return err
	}
	return s.done(c, kind, payload)
}

// mergeOp reads a merge, which has the same members in v1 and v2.
func mergeOp(r reader, v value.Value) (ingest.Kind, value.Value, error) {
	primary, wrong := r.identifiers("primary", v.Get("primary"))
	secondary, err := r.identifiers("secondary", v.Get("secondary"))
	if err = errors.Join(wrong, err); err != nil {
		return 0, nil, err
	}
	if r.strict && primary == secondary {
		return 0, nil, fault.Field("secondary", "must be another person than primary")
	}
	var b value.Builder
	return ingest.Merge, b.Set("primary", encodeBy(primary)).Set("secondary", encodeBy(secondary)).Value(), nil
}
