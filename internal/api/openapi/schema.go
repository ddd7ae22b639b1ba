package openapi

import (
	"reflect"
	"strings"

	"rapport.example/internal/value"
)

// schemas makes JSON Schemas of wire types; structs with a name are kept once and referred to.
type schemas struct {
	made  object
	names map[reflect.Type]string
	loose bool // no member is required
}

var anyJSON = reflect.TypeFor[value.Value]()

func (s *schemas) of(t reflect.Type) object {
	switch t.Kind() { //nolint:exhaustive // other kinds can be anything
	case reflect.Pointer:
		inner := s.of(t.Elem())
		if kind, ok := inner["type"].(string); ok {
			inner["type"] = []string{kind, "null"}
			return inner
		}
		if len(inner) == 0 {
			return inner
		}
		return object{"anyOf": []any{inner, object{"type": "null"}}}
	case reflect.String:
		return object{"type": "string"}
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return object{"type": "integer"}
	case reflect.Float32, reflect.Float64:
		return object{"type": "number"}
	case reflect.Map:
		return object{"type": "object", "additionalProperties": s.of(t.Elem())}
	case reflect.Slice, reflect.Array:
		if t == anyJSON || t.Elem().Kind() == reflect.Uint8 {
			return object{}
		}
		return object{"type": []string{"array", "null"}, "items": s.of(t.Elem())}
	case reflect.Struct:
		return s.structure(t)
	}
	return object{}
}

func (s *schemas) structure(t reflect.Type) object {
	if t.String() == "time.Time" {
		return object{"type": "string", "format": "date-time"}
	}
	name, ok := s.names[t]
	if ok {
		return object{"$ref": "#/components/schemas/" + name}
	}
	if t.Name() == "" {
		return s.fields(t)
	}
	name = t.Name()
	if s.made[name] != nil { // of another package, or of answers
		name = strings.ToUpper(t.String()[:1]) + t.String()[1:strings.LastIndexByte(t.String(), '.')] + name
	}
	s.names[t], s.made[name] = name, object{}
	s.made[name] = s.fields(t)
	return object{"$ref": "#/components/schemas/" + name}
}

// fields describes a struct; embedded ones give theirs.
func (s *schemas) fields(t reflect.Type) object {
	properties, required := object{}, []string{}
	var walk func(t reflect.Type)
	walk = func(t reflect.Type) {
		for i := range t.NumField() {
			f := t.Field(i)
			name, rest, _ := strings.Cut(f.Tag.Get("json"), ",")
			inner := f.Type
			if inner.Kind() == reflect.Pointer {
				inner = inner.Elem()
			}
			switch {
			case f.Anonymous && name == "" && inner.Kind() == reflect.Struct:
				walk(inner)
				continue
			case !f.IsExported() || name == "-":
				continue
			case name == "":
				name = f.Name
			}
			properties[name] = s.of(f.Type)
			if !strings.Contains(rest, "omit") {
				required = append(required, name)
			}
		}
	}
	walk(t)
	o := object{"type": "object", "properties": properties}
	if len(required) > 0 && !s.loose {
		o["required"] = required
	}
	return o
}
