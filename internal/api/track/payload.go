package track

import (
	"rapport.example/internal/ingest"
	"rapport.example/internal/value"
)

// The functions below write op payloads member by member, which costs a fifth of encoding/json. The member names are
// those of the structs in ingest/payload.go; a test decodes every payload back.

func encodeBy(by ingest.By) value.Value {
	var b value.Builder
	switch {
	case by.CIO != "":
		b.Set("cio_id", value.Quote(by.CIO))
	case by.Email != "":
		b.Set("email", value.Quote(by.Email))
	case by.ID != "":
		b.Set("id", value.Quote(by.ID))
	case by.Phone != "":
		b.Set("phone", value.Quote(by.Phone))
	}
	return b.Value()
}

func encodePerson(by ingest.By) value.Value {
	var b value.Builder
	return b.Set("by", encodeBy(by)).Value()
}

func encodeIdentify(p *ingest.IdentifyPayload) value.Value {
	var b value.Builder
	b.Set("by", encodeBy(p.By))
	if len(p.Attributes) > len("{}") {
		b.Set("attributes", p.Attributes)
	}
	if p.UpdateOnly {
		b.Set("update_only", value.True)
	}
	return setInt(&b, "timestamp", p.Timestamp).Set("relate", p.Relate).Value()
}

func encodeEvent(p *ingest.EventPayload) value.Value {
	var b value.Builder
	if p.By != (ingest.By{}) {
		b.Set("by", encodeBy(p.By))
	}
	setText(&b, "anonymous_id", p.Anonymous)
	b.Set("type", value.Int(int64(p.Type))).Set("name", value.Quote(p.Name))
	setText(&b, "id", p.ID)
	return setInt(&b, "timestamp", p.Timestamp).Set("data", p.Data).Value()
}

func encodeDevice(p *ingest.DevicePayload) value.Value {
	var b value.Builder
	b.Set("by", encodeBy(p.By)).Set("token", value.Quote(p.Token))
	setText(&b, "platform", p.Platform)
	return setInt(&b, "last_used", p.LastUsed).Set("attributes", p.Attributes).Value()
}

func encodeSegment(segment int64, people []ingest.By, ignored int64) value.Value {
	list := []byte{'['}
	for i, by := range people {
		if i > 0 {
			list = append(list, ',')
		}
		list = append(list, encodeBy(by)...)
	}
	var b value.Builder
	b.Set("segment", value.Int(segment)).Set("people", append(list, ']'))
	return setInt(&b, "ignored", ignored).Value()
}

func setText(b *value.Builder, name, s string) {
	if s != "" {
		b.Set(name, value.Quote(s))
	}
}

func setInt(b *value.Builder, name string, n int64) *value.Builder {
	if n != 0 {
		b.Set(name, value.Int(n))
	}
	return b
}
