// Package person knows what a person is: identifiers, the one document that holds everything read together, and the
// rules by which a write finds, creates or conflicts with a person.
package person

import (
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"strings"
	"unicode/utf8"

	"rapport.example/internal/fault"
	"rapport.example/internal/value"
)

// Bounds of identifiers and attributes, in bytes (track-api limits of the vendor).
const (
	MaxID             = 150
	MaxAttributeName  = 150
	MaxAttributeValue = 1000
	MaxAttributes     = 300
	MaxAnonymous      = 300 // anonymous ids of one person; ours, the vendor tells none
	MaxDevices        = 100 // devices of one person; ours, the vendor tells none
	MaxRemoved        = 100 // removed attributes of one person that are remembered
)

// Ref names a person inside the program: the workspace and the dense ordinal, which is never reused. Ordinals start
// at 1; 0 means nobody.
type Ref struct {
	Workspace int64
	Ordinal   uint32
}

// KeyType says which identifier a Key holds. The values are stored: never renumber.
type KeyType uint8

// The identifier types.
const (
	ByID        KeyType = 1
	ByEmail     KeyType = 2
	ByCIO       KeyType = 3
	ByPhone     KeyType = 4 // E.164, in workspaces that identify by it
	ByAnonymous KeyType = 5 // an anonymous id that was merged into a person
	ByDevice    KeyType = 6 // a push device's token, as DeviceKey writes it
)

// Key is one identifier of one workspace in the form under which it is looked up: emails folded, cio ids without prefix.
type Key struct {
	Workspace int64
	Type      KeyType
	Value     string
}

// Identifier is an identifier as a caller wrote it, cio ids without their cio_ prefix.
type Identifier struct {
	Type  KeyType
	Value string
}

// Key is the identifier's look-up form.
func (i Identifier) Key(workspace int64) Key {
	v := i.Value
	if i.Type == ByEmail {
		v = FoldEmail(v)
	}
	return Key{workspace, i.Type, v}
}

// DeviceKey is the key by which a device's token finds the person who has the device. It holds a digest: tokens may be
// longer than what an index takes.
func DeviceKey(workspace int64, token string) Key {
	sum := sha256.Sum256([]byte(token))
	return Key{workspace, ByDevice, base64.RawURLEncoding.EncodeToString(sum[:])}
}

// FoldEmail is the folding rule for emails, version 1: surrounding white space cut, Unicode lower case. Stored keys
// depend on it (docs/formats.md).
func FoldEmail(s string) string { return strings.ToLower(strings.TrimSpace(s)) }

// ParsePhone reads a phone number in E.164 form: + and 7 to 15 digits of which the first is not 0. Spaces, dots, hyphens and round
// brackets between them, as people write them, are taken out; numbers without their country are refused. The result is both what
// is kept and the look-up form (docs/formats.md).
func ParsePhone(s string) (phone string, ok bool) {
	s = strings.TrimSpace(s)
	if len(s) > MaxID || !strings.HasPrefix(s, "+") {
		return "", false
	}
	out := []byte{'+'}
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c >= '0' && c <= '9':
			out = append(out, c)
		case c != ' ' && c != '.' && c != '-' && c != '(' && c != ')':
			return "", false
		}
	}
	digits := len(out) - 1
	return string(out), digits >= 7 && digits <= 15 && out[1] != '0'
}

// ParsePath reads the identifier in a Track v1 path by its shape: cio_… is a cio id, anything with an @ between other
// characters an email, the rest an id. s is already percent-decoded.
func ParsePath(s string) (Identifier, error) {
	switch {
	case strings.HasPrefix(s, "cio_"):
		return Check(Identifier{ByCIO, s[len("cio_"):]})
	case LooksLikeEmail(s):
		return Check(Identifier{ByEmail, s})
	default:
		return Check(Identifier{ByID, s})
	}
}

// LooksLikeEmail reports whether s has the shape of an email address: one @ with something on both sides, no white space.
func LooksLikeEmail(s string) bool {
	at := strings.LastIndexByte(s, '@')
	return at > 0 && at < len(s)-1 && !strings.ContainsAny(s, " \t\r\n")
}

// Check refuses identifiers that can never be stored: empty, over MaxID bytes, invalid UTF-8 or with NUL.
func Check(i Identifier) (Identifier, error) {
	name := [...]string{"", "id", "email", "cio_id", "phone", "anonymous_id", "device token"}[i.Type]
	switch {
	case strings.TrimSpace(i.Value) == "":
		return i, fault.Field(name, "must not be empty")
	case len(i.Value) > MaxID:
		return i, fault.Field(name, "is longer than %d bytes", MaxID)
	case !utf8.ValidString(i.Value) || strings.ContainsRune(i.Value, 0):
		return i, fault.Field(name, "must be valid UTF-8 without NUL")
	}
	return i, nil
}

// Document is everything about one person that is read together. It is stored as one row in the encoding of codec.go.
// Times are Unix milliseconds of the workspace's clock unless a field says otherwise.
type Document struct {
	Ref
	CIO            string // canonical id, without cio_ prefix; immutable
	ID             string // "" = not set
	Email          string // as written; folded only in its Key
	Created        int64  // when the person came to be in this workspace
	FirstEvent     int64  // own time of the earliest event, which may lie before Created; 0 = no event yet
	Unsubscribed   bool
	Attributes     []Attribute // in the order first set; names unique; id, email and cio_id are not among them
	Devices        []Device
	Segments       []Membership // dynamic and manual segments the person is in
	Facts          []Fact       // one per live event condition that has happened at least once
	Entries        []Entry      // campaigns ever entered, for frequency
	LastActivity   int64        // sequence of the newest activity, 0 = none
	LastDecision   int64        // sequence of the newest decision trace, 0 = none
	Named          []Named      // newest activity per event type and name
	Gen            int64        // the definitions generation that Facts and Segments are complete for
	Phone          string       // E.164, as ParsePhone writes it; "" = none, or a plain attribute, never both
	UnsubscribedAt int64        // Unix seconds: the write's time that Unsubscribed is from, 0 = never written
	Anonymous      []Dated      // anonymous ids merged into the person, with when (Unix ms of the workspace's clock)
	Removed        []Dated      // attributes removed, with the write's time (Unix seconds), so that an older write does not revive them
	Due            int64        // the armed segment moment, 0 = none; never moved later by a write, only by its firing
}

// Dated is a name with a time.
type Dated struct {
	Name string
	At   int64
}

// Attribute is one attribute with the time that it was set.
type Attribute struct {
	Name  string
	Value value.Value
	At    int64 // Unix seconds: the write's _timestamp, else its receive time
}

// Device is a push device, keyed by its token, which one person of a workspace has at most.
type Device struct {
	Token      string
	Platform   string      // ios or android
	LastUsed   int64       // Unix seconds
	Attributes value.Value // an object, or nil; text but for what was sent as an object or a list
}

// Membership says that the person is in a segment, and since when.
type Membership struct {
	Segment int64
	Since   int64
}

// Fact is what one event condition needs to know: see design of exact windows in docs/segments.md.
type Fact struct {
	Key    uint64  // segment.FactSpec.Key
	First  int64   // own time of the earliest matching event
	Count  int64   // matching events, ever
	Newest []int64 // own times of the newest matching events, newest first, at most FactSpec.Keep of them
}

// Entry says when and how often the person started a campaign.
type Entry struct {
	Campaign int64
	Last     int64
	Times    int64
}

// Named is the head of the chain of activities of one type and name.
type Named struct {
	Name string // type byte + name, see event.ChainName
	Seq  int64
}

// Get returns the attribute's value, nil if it is not set. id, email, cio_id, anonymous_id, created, unsubscribed and
// a phone that identifies answer from their own fields.
func (d *Document) Get(name string) value.Value {
	switch name {
	case "id":
		return text(d.ID)
	case "email":
		return text(d.Email)
	case "cio_id":
		return text(d.CIO)
	case "anonymous_id":
		return text(d.LastAnonymous())
	case "phone":
		if d.Phone != "" {
			return text(d.Phone)
		}
	case "unsubscribed":
		return value.OfBool(d.Unsubscribed)
	case "_created_in_customerio_at":
		return value.Int(d.Created / 1000)
	}
	if a := d.attribute(name); a != nil {
		return a.Value
	}
	return nil
}

func text(s string) value.Value {
	if s == "" {
		return nil
	}
	return value.Quote(s)
}

// LastAnonymous is the anonymous id that the person received last, "" if there is none.
func (d *Document) LastAnonymous() string {
	last := Dated{}
	for _, a := range d.Anonymous {
		if last.Name == "" || a.At >= last.At {
			last = a
		}
	}
	return last.Name
}

func (d *Document) attribute(name string) *Attribute {
	for i := range d.Attributes {
		if d.Attributes[i].Name == name {
			return &d.Attributes[i]
		}
	}
	return nil
}

// Member returns since when the person is in the segment; ok is false if not.
func (d *Document) Member(segment int64) (since int64, ok bool) {
	for _, m := range d.Segments {
		if m.Segment == segment {
			return m.Since, true
		}
	}
	return 0, false
}

// Adopt makes the person a member of a segment, or not, without a trace: since is kept if the person was one already.
func (d *Document) Adopt(segment int64, in bool, since int64) {
	i := slices.IndexFunc(d.Segments, func(m Membership) bool { return m.Segment == segment })
	switch {
	case in && i < 0:
		d.Segments = append(d.Segments, Membership{Segment: segment, Since: since})
	case !in && i >= 0:
		d.Segments = slices.Delete(d.Segments, i, i+1)
	}
}

// Fact returns what is known about an event condition; the zero Fact if it never happened.
func (d *Document) Fact(key uint64) Fact {
	for i := range d.Facts {
		if d.Facts[i].Key == key {
			return d.Facts[i]
		}
	}
	return Fact{Key: key}
}

// Since is the start of the profile's age, for negative windows: the earlier of creation and first event
// (product-semantics 2.3).
func (d *Document) Since() int64 {
	if d.FirstEvent != 0 && d.FirstEvent < d.Created {
		return d.FirstEvent
	}
	return d.Created
}

// Keys are the identifiers under which the person is found.
func (d *Document) Keys() []Key {
	keys := []Key{{d.Workspace, ByCIO, d.CIO}}
	if d.ID != "" {
		keys = append(keys, Identifier{ByID, d.ID}.Key(d.Workspace))
	}
	if d.Email != "" {
		keys = append(keys, Identifier{ByEmail, d.Email}.Key(d.Workspace))
	}
	if d.Phone != "" {
		keys = append(keys, Identifier{ByPhone, d.Phone}.Key(d.Workspace))
	}
	for _, a := range d.Anonymous {
		keys = append(keys, Identifier{ByAnonymous, a.Name}.Key(d.Workspace))
	}
	for i := range d.Devices {
		keys = append(keys, DeviceKey(d.Workspace, d.Devices[i].Token))
	}
	return keys
}
