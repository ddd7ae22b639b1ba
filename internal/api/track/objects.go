package track

import (
	"errors"
	"strconv"

	"rapport.example/internal/fault"
	"rapport.example/internal/ingest"
	objects "rapport.example/internal/object"
	"rapport.example/internal/person"
	"rapport.example/internal/value"
)

// objectOp reads an identify of an object; visitors says that the relationships are those of anonymous ids.
func objectOp(visitors bool) func(reader, value.Value) (ingest.Kind, value.Value, error) {
	return func(r reader, v value.Value) (ingest.Kind, value.Value, error) {
		var p ingest.ObjectPayload
		var err error
		if p.Object, err = objectKey("identifiers", v.Get("identifiers")); err != nil {
			return 0, nil, err
		}
		if p.Timestamp, err = r.timestamp("timestamp", v.Get("timestamp")); err != nil {
			return 0, nil, err
		}
		if p.Attributes, err = r.objectAttributes("attributes", v.Get("attributes")); err != nil {
			return 0, nil, err
		}
		end := r.personEnd
		if visitors {
			end = visitorEnd
		}
		if p.Relations, err = r.relations("cio_relationships", v.Get("cio_relationships"), end, false); err != nil {
			return 0, nil, err
		}
		payload, err := ingest.Encode(p)
		return ingest.Object, payload, err
	}
}

func deleteObjectOp(_ reader, v value.Value) (ingest.Kind, value.Value, error) {
	k, err := objectKey("identifiers", v.Get("identifiers"))
	if err != nil {
		return 0, nil, err
	}
	payload, err := ingest.Encode(ingest.ObjectPayload{Object: k})
	return ingest.DeleteObject, payload, err
}

// relateOp reads relationships that are set or dropped, of a person or of an object.
func relateOp(kind ingest.Kind, of string) func(reader, value.Value) (ingest.Kind, value.Value, error) {
	return func(r reader, v value.Value) (ingest.Kind, value.Value, error) {
		var p ingest.RelatePayload
		var wrong error
		end := objectEnd
		if of == "object" {
			end = r.personEnd
			p.Object, wrong = objectKey("identifiers", v.Get("identifiers"))
		} else {
			p.By, wrong = r.identifiers("identifiers", v.Get("identifiers"))
		}
		var err error
		if p.Timestamp, err = r.timestamp("timestamp", v.Get("timestamp")); err != nil {
			wrong = errors.Join(wrong, err)
		}
		p.Relations, err = r.relations("cio_relationships", v.Get("cio_relationships"), end, true)
		if err = errors.Join(wrong, err); err != nil {
			return 0, nil, err
		}
		payload, err := ingest.Encode(p)
		return kind, payload, err
	}
}

// objectKey reads the identifiers of an object: object_type_id with object_id, or cio_object_id. Numbers are taken as their text.
func objectKey(field string, v value.Value) (k objects.Key, err error) {
	if v.Kind() != value.Object {
		return k, fault.Field(field, "must be an object with object_type_id and object_id, or with cio_object_id")
	}
	for name, f := range v.Fields() {
		if name != "object_type_id" && name != "object_id" && name != "cio_object_id" && !absent(f) {
			return k, fault.Field(field+"."+name, "is not an identifier of objects")
		}
	}
	kind, id, cio := v.Get("object_type_id"), v.Get("object_id"), v.Get("cio_object_id")
	if !absent(cio) {
		if !absent(id) {
			return k, fault.Field(field, "must have either object_id or cio_object_id")
		}
		k.CIO, err = text(field+".cio_object_id", cio, false, objects.MaxID)
		return k, err
	}
	s, err := text(field+".object_type_id", kind, true, objects.MaxID)
	if err != nil {
		return k, err
	}
	if k.Type, err = strconv.ParseInt(s, 10, 64); err != nil || k.Type < 1 || k.Type > objects.MaxType {
		return k, fault.Field(field+".object_type_id", "must be the number of an object type, from 1")
	}
	k.ID, err = text(field+".object_id", id, true, objects.MaxID)
	return k, err
}

// The other end of a relationship, as its identifiers name it.
var (
	objectEnd = func(field string, v value.Value, r *ingest.Relation) (err error) {
		r.Object, err = objectKey(field, v)
		return err
	}
	visitorEnd = func(field string, v value.Value, r *ingest.Relation) (err error) {
		if v.Kind() != value.Object {
			return fault.Field(field, "must be an object with anonymous_id")
		}
		r.Anonymous, err = text(field+".anonymous_id", v.Get("anonymous_id"), true, person.MaxID)
		return err
	}
)

func (r reader) personEnd(field string, v value.Value, to *ingest.Relation) (err error) {
	to.By, err = r.identifiers(field, v)
	return err
}

// relations reads a list of relationships. Version 1 has the list within an object that says what to do with it; both forms
// are taken in both versions.
func (r reader) relations(field string, v value.Value, end func(string, value.Value, *ingest.Relation) error, required bool) ([]ingest.Relation, error) {
	if v.Kind() == value.Object && !absent(v.Get("relationships")) {
		field, v = field+".relationships", v.Get("relationships")
	}
	switch {
	case absent(v) || len(v) == len("[]") && v.Kind() == value.Array || v.Kind() == value.Object && len(v) == len("{}"):
		if required {
			return nil, fault.Field(field, "must be a list of at least one relationship")
		}
		return nil, nil
	case v.Kind() != value.Array:
		return nil, fault.Field(field, "must be a list of relationships")
	}
	var out []ingest.Relation
	n := 0
	for e := range v.Elements() {
		at := field + "[" + strconv.Itoa(n) + "]"
		n++
		if e.Kind() != value.Object {
			return nil, fault.Field(at, "must be an object with identifiers")
		}
		var one ingest.Relation
		if err := end(at+".identifiers", e.Get("identifiers"), &one); err != nil {
			return nil, err
		}
		var err error
		if one.Attributes, err = r.objectAttributes(at+".relationship_attributes", e.Get("relationship_attributes")); err != nil {
			return nil, err
		}
		out = append(out, one)
	}
	return out, nil
}

// objectAttributes reads the attributes of an object or a relationship. One that cannot be kept is left out when the op is
// applied, with an activity; strict mode refuses it.
func (r reader) objectAttributes(field string, v value.Value) (value.Value, error) {
	v, err := object(field, v)
	if err != nil {
		return nil, err
	}
	n := 0
	for name, f := range v.Fields() {
		n++
		if why := objects.Refusal(name, f); why != "" && r.strict {
			return nil, fault.Field(field, "%s", why)
		}
	}
	if n > objects.MaxAttributes {
		return nil, fault.Field(field, "has more than %d attributes", objects.MaxAttributes)
	}
	if n == 0 {
		return nil, nil
	}
	return v, nil
}

// identifyRelations reads the relationships of an identify, and keeps them in its payload.
func (r reader) identifyRelations(field string, v value.Value, p *ingest.IdentifyPayload) error {
	list, err := r.relations(field, v, objectEnd, false)
	if err != nil || len(list) == 0 {
		return err
	}
	rel := ingest.RelatePayload{Relations: list}
	switch action := v.Get("action"); {
	case v.Kind() != value.Object || absent(action) || action.Text() == "add_relationships":
	case action.Text() == "delete_relationships":
		rel.Drop = true
	default:
		return fault.Field(field+".action", "must be add_relationships or delete_relationships")
	}
	p.Relate, err = ingest.Encode(rel)
	return err
}
