package ingest

import (
	"strconv"

	"rapport.example/internal/value"
)

// ReadIdentify reads an Identify op's payload. Unlike Decode it copies nothing: the values alias the payload. This is the
// engine's hot path; members it does not know are passed over.
func ReadIdentify(payload value.Value) IdentifyPayload {
	var p IdentifyPayload
	for name, v := range payload.Fields() {
		switch name {
		case "by":
			p.By = readBy(v)
		case "attributes":
			p.Attributes = v
		case "update_only":
			p.UpdateOnly, _ = v.Bool()
		case "timestamp":
			p.Timestamp = integer(v)
		case "relate":
			p.Relate = v
		case "only":
			p.Only = v.Text()
		}
	}
	return p
}

// ReadEvent reads an Event op's payload as ReadIdentify does.
func ReadEvent(payload value.Value) EventPayload {
	var p EventPayload
	for name, v := range payload.Fields() {
		switch name {
		case "by":
			p.By = readBy(v)
		case "anonymous_id":
			p.Anonymous = v.Text()
		case "type":
			p.Type = uint8(integer(v))
		case "name":
			p.Name = v.Text()
		case "id":
			p.ID = v.Text()
		case "timestamp":
			p.Timestamp = integer(v)
		case "data":
			p.Data = v
		}
	}
	return p
}

func readBy(v value.Value) By {
	var b By
	for name, f := range v.Fields() {
		switch name {
		case "id":
			b.ID = f.Text()
		case "email":
			b.Email = f.Text()
		case "cio_id":
			b.CIO = f.Text()
		case "phone":
			b.Phone = f.Text()
		}
	}
	return b
}

func integer(v value.Value) int64 {
	n, err := strconv.ParseInt(v.Text(), 10, 64)
	if err != nil {
		f, _ := v.Number()
		return int64(f)
	}
	return n
}
