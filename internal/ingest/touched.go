package ingest

import (
	"encoding/binary"
	"hash/maphash"

	"rapport.example/internal/person"
)

// touched remembers for a partition which sequence was the newest to change whose attributes, so that a read of one person need not
// wait for what others get, nor for events, which change none. It holds two generations of at most maxTouched identifiers each; who is in neither was touched by floor at the
// latest.
type touched struct {
	seed        maphash.Seed
	wide        map[int64]uint64 // newest that may touch anybody, by workspace
	now, before map[uint64]uint64
	floor       uint64 // newest of those that were forgotten
	mid, last   uint64 // newest in before, and in now
}

// maxTouched bounds a generation: some seconds' worth of writes at full speed, about 1 MB.
const maxTouched = 32 << 10

func newTouched() *touched {
	return &touched{seed: maphash.MakeSeed(), wide: map[int64]uint64{}, now: map[uint64]uint64{}, before: map[uint64]uint64{}}
}

func (t *touched) hash(workspace int64, i person.Identifier) uint64 {
	k := i.Key(workspace)
	var h maphash.Hash
	h.SetSeed(t.seed)
	var b [9]byte
	binary.LittleEndian.PutUint64(b[:], uint64(k.Workspace))
	b[8] = byte(k.Type)
	_, _ = h.Write(b[:])          // never fails
	_, _ = h.WriteString(k.Value) // never fails
	return h.Sum64()
}

// note takes an op that was acknowledged at a sequence.
func (t *touched) note(o *Op, seq uint64) {
	if len(t.now) >= maxTouched {
		t.before, t.now = t.now, make(map[uint64]uint64, maxTouched)
		t.floor, t.mid = t.mid, t.last
	}
	t.last = seq
	switch o.Kind {
	case Event, Outcome: // nobody's attributes change, though an event may make somebody
		return
	case Identify:
		if t.identify(o, seq) {
			return
		}
	default:
	}
	t.wide[o.Workspace] = seq
}

// identify notes everybody whom an Identify may change: whoever has one of the identifiers that it names.
func (t *touched) identify(o *Op, seq uint64) (narrow bool) {
	p := ReadIdentify(o.Payload)
	if p.Relate != nil || p.By == (By{}) {
		return false
	}
	for name, v := range p.Attributes.Fields() {
		i := person.Identifier{Value: v.Text()}
		switch name {
		case "id":
			i.Type = person.ByID
		case "email":
			i.Type = person.ByEmail
		case "cio_id", "phone", "anonymous_id":
			return false
		default:
			continue
		}
		t.now[t.hash(o.Workspace, i)] = seq
	}
	t.now[t.hash(o.Workspace, p.By.Identifier())] = seq
	return true
}

// of is the newest sequence that may have changed the attributes of whoever has one of the identifiers, 0 if there is none.
func (t *touched) of(workspace int64, who []person.Identifier) uint64 {
	seq := max(t.wide[workspace], t.floor)
	for _, i := range who {
		h := t.hash(workspace, i)
		seq = max(seq, t.now[h], t.before[h])
	}
	return seq
}
