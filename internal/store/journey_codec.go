package store

import (
	"encoding/binary"
	"errors"
	"fmt"

	"rapport.example/internal/journey"
	"rapport.example/internal/value"
)

// journeyVersion is the first byte of journeys.state. The layout of version 1: status, node, due, entered, visits (node,
// times), event; integers as varints, texts with their length before them.
const journeyVersion = 1

var errJourney = errors.New("journey state is damaged or of a newer version")

func encodeJourney(j journey.Journey) []byte {
	b := make([]byte, 0, 32+len(j.Node)+len(j.Event)+16*len(j.Visits))
	b = append(b, journeyVersion, byte(j.Status))
	b = putText(b, j.Node)
	b = binary.AppendVarint(b, j.Due)
	b = binary.AppendVarint(b, j.Entered)
	b = binary.AppendUvarint(b, uint64(len(j.Visits)))
	for _, v := range j.Visits {
		b = putText(b, v.Node)
		b = binary.AppendVarint(b, v.Times)
	}
	return putText(b, j.Event)
}

func putText[T ~string | ~[]byte](b []byte, s T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// decodeJourney fills what encodeJourney kept; j's key is for the error.
func decodeJourney(j *journey.Journey, data []byte) error {
	bad := func() error { return fmt.Errorf("journey %d of workspace %d: %w", j.ID, j.Workspace, errJourney) }
	if len(data) < 2 || data[0] != journeyVersion {
		return bad()
	}
	r := stateReader{left: data[2:]}
	j.Status = journey.Status(data[1])
	j.Node = string(r.text())
	j.Due, j.Entered = r.int(), r.int()
	n := r.uint()
	for i := uint64(0); i < n && !r.bad; i++ {
		j.Visits = append(j.Visits, journey.Visit{Node: string(r.text()), Times: r.int()})
	}
	if e := r.text(); len(e) > 0 {
		j.Event = value.Value(e)
	}
	if r.bad || len(r.left) > 0 {
		return bad()
	}
	return nil
}

// stateReader is bad for good after the first fault and then answers zeros.
type stateReader struct {
	left []byte
	bad  bool
}

func (r *stateReader) uint() uint64 {
	v, n := binary.Uvarint(r.left)
	if n <= 0 {
		r.bad, r.left = true, nil
		return 0
	}
	r.left = r.left[n:]
	return v
}

func (r *stateReader) int() int64 {
	u := r.uint()
	return int64(u>>1) ^ -int64(u&1)
}

func (r *stateReader) text() []byte {
	n := r.uint()
	if n > uint64(len(r.left)) {
		r.bad, r.left = true, nil
		return nil
	}
	out := r.left[:n:n]
	r.left = r.left[n:]
	return out
}
