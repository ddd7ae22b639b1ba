package person

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/bits"
	"slices"

	"rapport.example/internal/value"
)

// View reads single things out of a stored document and skips the rest, which is many times faster than decoding it. What it answers
// is what the decoded Document would answer. It is for one goroutine; what its methods return is valid until the next Reset, and
// must not be changed. The zero View is ready for Reset.
type View struct {
	ref        Ref
	data       []byte
	cio        []byte
	id, email  []byte
	phone      []byte
	created    int64
	firstEvent int64
	unsub      bool
	attributes []viewed
	devices    int // where the list of devices begins
	segments   int // where the list of memberships begins
	facts      []placed
	named      int
	gen, due   int64
	anonymous  int     // where the list of anonymous ids begins, 0 = there is none
	times      []int64 // room for what Fact has returned
}

type viewed struct{ name, value []byte }

// placed is a fact, and where what was counted begins.
type placed struct {
	key uint64
	at  int
}

// Reset makes the view one of another stored document. Damaged bytes are errors that wrap ErrCorrupt.
func (v *View) Reset(ref Ref, data []byte) error {
	if len(data) == 0 || data[0] == 0 || data[0] > codecVersion {
		return fmt.Errorf("person %d of workspace %d: %w", ref.Ordinal, ref.Workspace, ErrCorrupt)
	}
	*v = View{ref: ref, data: data, attributes: v.attributes[:0], facts: v.facts[:0], times: v.times[:0]}
	r := reader{data: data, at: 1}
	v.cio, v.id, v.email = r.bytes(), r.bytes(), r.bytes()
	v.created, v.firstEvent = r.int(), r.int()
	v.unsub = r.flags()&1 != 0
	n := r.count(3)
	for range n {
		v.attributes = append(v.attributes, viewed{r.bytes(), r.bytes()})
		r.skip()
	}
	v.devices = r.at
	for range r.count(4) {
		r.span()
		r.span()
		r.skip()
		r.span()
	}
	v.segments = r.at
	r.pass(2 * r.count(2))
	for range r.count(11) {
		key := r.fixed()
		v.facts = append(v.facts, placed{key, r.at})
		r.pass(2)
		r.pass(r.count(1))
	}
	r.pass(3*r.count(3) + 2) // entries, the newest activity and decision
	v.named = r.at
	for range r.count(2) {
		r.span()
		r.skip()
	}
	v.gen, v.due = r.int(), r.int()
	if data[0] > 1 {
		v.phone = r.bytes()
		r.skip()
		v.anonymous = r.at
		for range r.count(2) {
			r.span()
			r.skip()
		}
	}
	if r.bad {
		return fmt.Errorf("person %d of workspace %d: %w at byte %d", ref.Ordinal, ref.Workspace, ErrCorrupt, r.at)
	}
	return nil
}

// Ordinal is the person's.
func (v *View) Ordinal() uint32 { return v.ref.Ordinal }

// Gen is Document.Gen.
func (v *View) Gen() int64 { return v.gen }

// Due is Document.Due.
func (v *View) Due() int64 { return v.due }

// Since is Document.Since.
func (v *View) Since() int64 {
	if v.firstEvent != 0 && v.firstEvent < v.created {
		return v.firstEvent
	}
	return v.created
}

// Get is Document.Get.
func (v *View) Get(name string) value.Value {
	switch name {
	case "id":
		return text(string(v.id))
	case "email":
		return text(string(v.email))
	case "cio_id":
		return text(string(v.cio))
	case "anonymous_id":
		return text(v.lastAnonymous())
	case "phone":
		if len(v.phone) > 0 {
			return text(string(v.phone))
		}
	case "unsubscribed":
		return value.OfBool(v.unsub)
	case "_created_in_customerio_at":
		return value.Int(v.created / 1000)
	}
	for i := range v.attributes {
		if a := &v.attributes[i]; string(a.name) == name {
			if len(a.value) == 0 {
				return nil
			}
			return a.value
		}
	}
	return nil
}

func (v *View) lastAnonymous() string {
	if v.anonymous == 0 {
		return ""
	}
	var last []byte
	newest := int64(0)
	r := reader{data: v.data, at: v.anonymous}
	for range r.count(2) {
		name, at := r.bytes(), r.int()
		if len(last) == 0 || at >= newest {
			last, newest = name, at
		}
	}
	return string(last)
}

// Fact is Document.Fact.
func (v *View) Fact(key uint64) Fact {
	i := slices.IndexFunc(v.facts, func(f placed) bool { return f.key == key })
	if i < 0 {
		return Fact{Key: key}
	}
	r := reader{data: v.data, at: v.facts[i].at}
	f := Fact{Key: key, First: r.int(), Count: r.int()}
	n, at, last := r.count(1), len(v.times), f.First
	v.times = slices.Grow(v.times, n)
	for range n {
		last += r.int()
		v.times = append(v.times, last)
	}
	if n > 0 {
		f.Newest = v.times[at:len(v.times):len(v.times)]
	}
	return f
}

// Devices are Document.Devices without their tokens.
func (v *View) Devices() []Device {
	r := reader{data: v.data, at: v.devices}
	n := r.count(4)
	if n == 0 {
		return nil
	}
	out := make([]Device, n)
	for i := range out {
		r.span()
		out[i] = Device{Platform: string(r.bytes()), LastUsed: r.int(), Attributes: r.value()}
	}
	return out
}

// Member is Document.Member.
func (v *View) Member(segment int64) (since int64, ok bool) {
	r := reader{data: v.data, at: v.segments}
	for range r.count(2) {
		id, at := r.int(), r.int()
		if id == segment {
			return at, true
		}
	}
	return 0, false
}

// Head is the newest activity of a chain (event.ChainName), 0 if the chain is empty.
func (v *View) Head(chain string) int64 {
	r := reader{data: v.data, at: v.named}
	for range r.count(2) {
		name, seq := r.bytes(), r.int()
		if string(name) == chain {
			return seq
		}
	}
	return 0
}

// Document decodes everything. It shares nothing with the view.
func (v *View) Document() (*Document, error) { return Decode(v.ref, bytes.Clone(v.data)) }

// bytes reads what str reads without needing a copy as text.
func (r *reader) bytes() []byte {
	from, to := r.span()
	return r.data[from:to:to]
}

// skip passes a number.
func (r *reader) skip() {
	for i := r.at; i < len(r.data) && i < r.at+binary.MaxVarintLen64; i++ {
		if r.data[i] < 0x80 {
			r.at = i + 1
			return
		}
	}
	r.fail()
}

// pass passes n numbers, those that end within eight bytes together.
func (r *reader) pass(n int) {
	for n > 0 && len(r.data)-r.at >= 8 {
		ends := ^binary.LittleEndian.Uint64(r.data[r.at:]) & 0x8080808080808080 // the bytes that numbers end with
		k := bits.OnesCount64(ends)
		if k == 0 {
			break
		}
		if k > n {
			for range k - n {
				ends &^= 1 << (63 - bits.LeadingZeros64(ends))
			}
			k = n
		}
		r.at += 8 - bits.LeadingZeros64(ends)/8
		n -= k
	}
	for range n {
		r.skip()
	}
}
