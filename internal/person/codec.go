package person

import (
	"encoding/binary"
	"errors"
	"fmt"

	"rapport.example/internal/value"
)

// codecVersion is the first byte of an encoded document. The layouts are written down in docs/formats.md and pinned by
// testdata/document-N.hex. Version 1 ends before the phone; it is still read.
const codecVersion = 2

// ErrCorrupt is wrapped by every error of Decode.
var ErrCorrupt = errors.New("person document is damaged or of a newer version")

// Encode appends the document to dst and returns the extended slice. Ref is not part of the encoding: it is the row's
// key. Equal documents have equal encodings; nil and empty slices are the same.
func (d *Document) Encode(dst []byte) []byte {
	b := append(dst, codecVersion)
	b = putString(b, d.CIO)
	b = putString(b, d.ID)
	b = putString(b, d.Email)
	b = binary.AppendVarint(b, d.Created)
	b = binary.AppendVarint(b, d.FirstEvent)
	b = append(b, flags(d))
	b = binary.AppendUvarint(b, uint64(len(d.Attributes)))
	for i := range d.Attributes {
		a := &d.Attributes[i]
		b = putString(b, a.Name)
		b = putString(b, a.Value)
		b = binary.AppendVarint(b, a.At)
	}
	b = binary.AppendUvarint(b, uint64(len(d.Devices)))
	for i := range d.Devices {
		v := &d.Devices[i]
		b = putString(b, v.Token)
		b = putString(b, v.Platform)
		b = binary.AppendVarint(b, v.LastUsed)
		b = putString(b, v.Attributes)
	}
	b = binary.AppendUvarint(b, uint64(len(d.Segments)))
	for _, m := range d.Segments {
		b = binary.AppendVarint(b, m.Segment)
		b = binary.AppendVarint(b, m.Since)
	}
	b = putFacts(b, d.Facts)
	b = binary.AppendUvarint(b, uint64(len(d.Entries)))
	for _, e := range d.Entries {
		b = binary.AppendVarint(b, e.Campaign)
		b = binary.AppendVarint(b, e.Last)
		b = binary.AppendVarint(b, e.Times)
	}
	b = binary.AppendVarint(b, d.LastActivity)
	b = binary.AppendVarint(b, d.LastDecision)
	b = binary.AppendUvarint(b, uint64(len(d.Named)))
	for i := range d.Named {
		b = putString(b, d.Named[i].Name)
		b = binary.AppendVarint(b, d.Named[i].Seq)
	}
	b = binary.AppendVarint(b, d.Gen)
	b = binary.AppendVarint(b, d.Due)
	b = putString(b, d.Phone)
	b = binary.AppendVarint(b, d.UnsubscribedAt)
	b = putDated(b, d.Anonymous)
	return putDated(b, d.Removed)
}

func putDated(b []byte, list []Dated) []byte {
	b = binary.AppendUvarint(b, uint64(len(list)))
	for i := range list {
		b = putString(b, list[i].Name)
		b = binary.AppendVarint(b, list[i].At)
	}
	return b
}

func flags(d *Document) byte {
	if d.Unsubscribed {
		return 1
	}
	return 0
}

// putFacts writes the newest times as differences to the one before, which mostly fit three or four bytes.
func putFacts(b []byte, facts []Fact) []byte {
	b = binary.AppendUvarint(b, uint64(len(facts)))
	for i := range facts {
		f := &facts[i]
		b = binary.LittleEndian.AppendUint64(b, f.Key)
		b = binary.AppendVarint(b, f.First)
		b = binary.AppendVarint(b, f.Count)
		b = binary.AppendUvarint(b, uint64(len(f.Newest)))
		last := f.First
		for _, at := range f.Newest {
			b = binary.AppendVarint(b, at-last)
			last = at
		}
	}
	return b
}

func putString[T ~string | ~[]byte](b []byte, s T) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

// Decode reads a document that Encode wrote. The document's values alias data, which must not be changed afterwards.
// Damaged bytes, trailing ones and newer versions are errors that wrap ErrCorrupt; the JSON inside is not checked again.
func Decode(ref Ref, data []byte) (*Document, error) {
	if len(data) == 0 || data[0] == 0 || data[0] > codecVersion {
		return nil, fmt.Errorf("person %d of workspace %d: %w", ref.Ordinal, ref.Workspace, ErrCorrupt)
	}
	// One copy as text gives all strings at the price of one allocation.
	r := reader{data: data, text: string(data), at: 1}
	d := &Document{Ref: ref}
	r.document(d)
	if r.bad || r.at != len(data) {
		return nil, fmt.Errorf("person %d of workspace %d: %w at byte %d", ref.Ordinal, ref.Workspace, ErrCorrupt, r.at)
	}
	return d, nil
}

// reader walks an encoded document. After the first fault it stays bad and answers zeros, so callers check once.
type reader struct {
	data  []byte
	text  string
	at    int
	bad   bool
	times []int64 // room that the facts' newest times are cut from
}

func (r *reader) document(d *Document) {
	d.CIO, d.ID, d.Email = r.str(), r.str(), r.str()
	d.Created, d.FirstEvent = r.int(), r.int()
	d.Unsubscribed = r.flags()&1 != 0
	if n := r.count(3); n > 0 {
		d.Attributes = make([]Attribute, n)
		for i := range d.Attributes {
			d.Attributes[i] = Attribute{Name: r.str(), Value: r.value(), At: r.int()}
		}
	}
	if n := r.count(4); n > 0 {
		d.Devices = make([]Device, n)
		for i := range d.Devices {
			d.Devices[i] = Device{Token: r.str(), Platform: r.str(), LastUsed: r.int(), Attributes: r.value()}
		}
	}
	if n := r.count(2); n > 0 {
		d.Segments = make([]Membership, n)
		for i := range d.Segments {
			d.Segments[i] = Membership{Segment: r.int(), Since: r.int()}
		}
	}
	r.facts(d)
	if n := r.count(3); n > 0 {
		d.Entries = make([]Entry, n)
		for i := range d.Entries {
			d.Entries[i] = Entry{Campaign: r.int(), Last: r.int(), Times: r.int()}
		}
	}
	d.LastActivity, d.LastDecision = r.int(), r.int()
	if n := r.count(2); n > 0 {
		d.Named = make([]Named, n)
		for i := range d.Named {
			d.Named[i] = Named{Name: r.str(), Seq: r.int()}
		}
	}
	d.Gen, d.Due = r.int(), r.int()
	if r.data[0] == 1 {
		return
	}
	d.Phone, d.UnsubscribedAt = r.str(), r.int()
	d.Anonymous, d.Removed = r.dated(), r.dated()
}

func (r *reader) dated() []Dated {
	n := r.count(2)
	if n == 0 {
		return nil
	}
	list := make([]Dated, n)
	for i := range list {
		list[i] = Dated{Name: r.str(), At: r.int()}
	}
	return list
}

func (r *reader) facts(d *Document) {
	n := r.count(11)
	if n == 0 {
		return
	}
	d.Facts = make([]Fact, n)
	for i := range d.Facts {
		f := &d.Facts[i]
		f.Key, f.First, f.Count = r.fixed(), r.int(), r.int()
		f.Newest = r.room(r.count(1))
		last := f.First
		for j := range f.Newest {
			last += r.int()
			f.Newest[j] = last
		}
	}
}

// room cuts n times from a common piece, capped so that an append to one never writes into the next.
func (r *reader) room(n int) []int64 {
	if n == 0 {
		return nil
	}
	if n > len(r.times) {
		r.times = make([]int64, max(n, 16))
	}
	out := r.times[:n:n]
	r.times = r.times[n:]
	return out
}

func (r *reader) fail() { r.bad, r.at = true, len(r.data) }

func (r *reader) uint() uint64 {
	if r.at < len(r.data) && r.data[r.at] < 0x80 {
		r.at++
		return uint64(r.data[r.at-1])
	}
	v, n := binary.Uvarint(r.data[r.at:])
	if n <= 0 {
		r.fail()
		return 0
	}
	r.at += n
	return v
}

func (r *reader) int() int64 {
	u := r.uint()
	return int64(u>>1) ^ -int64(u&1) //nolint:gosec // zigzag, as binary.Varint reads it
}

func (r *reader) fixed() uint64 {
	if len(r.data)-r.at < 8 {
		r.fail()
		return 0
	}
	r.at += 8
	return binary.LittleEndian.Uint64(r.data[r.at-8:])
}

func (r *reader) flags() byte {
	if r.at >= len(r.data) || r.data[r.at] > 1 {
		r.fail()
		return 0
	}
	r.at++
	return r.data[r.at-1]
}

// count reads a length of a list whose elements take at least size bytes each, so that damage cannot ask for more memory
// than a small multiple of the input.
func (r *reader) count(size int) int {
	n := r.uint()
	if n > uint64(len(r.data)-r.at)/uint64(size) {
		r.fail()
		return 0
	}
	return int(n)
}

func (r *reader) span() (from, to int) {
	n := r.uint()
	if n > uint64(len(r.data)-r.at) {
		r.fail()
		return 0, 0
	}
	from = r.at
	r.at += int(n)
	return from, r.at
}

func (r *reader) str() string {
	from, to := r.span()
	return r.text[from:to]
}

func (r *reader) value() value.Value {
	from, to := r.span()
	if from == to {
		return nil
	}
	return r.data[from:to:to]
}
