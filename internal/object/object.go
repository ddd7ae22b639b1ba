// Package object knows things that people have to do with: companies, accounts, courses. An object has a type and attributes,
// and relationships to people, which have attributes too.
package object

import (
	"slices"
	"strings"

	"rapport.example/internal/value"
)

// Bounds of objects and relationships, in bytes where nothing else is said (track-api limits of the vendor).
const (
	MaxID         = 150
	MaxAttributes = 300        // of an object, or of a relationship
	MaxSize       = 100 << 10  // all attributes of an object, or of a relationship, as stored
	MaxName       = 150        // of an attribute
	MaxValue      = 1000       // of an attribute
	MaxTypes      = 100        // types of one workspace; ours, the vendor tells none
	MaxOfPerson   = 1000       // relationships of one person; ours, the vendor tells none
	MaxType       = 1<<31 - 1  // the highest number of a type
	Retained      = 30 * 86400 // seconds for which a relationship waits for its visitor to become a person
)

// Key finds an object: by its type and the caller's id, or by CIO alone.
type Key struct {
	Type int64  `json:"type,omitempty"` // from 1
	ID   string `json:"id,omitempty"`   // the caller's
	CIO  string `json:"cio,omitempty"`  // the canonical id
}

// Object is one object. Times are Unix milliseconds of the workspace's clock.
type Object struct {
	Workspace  int64
	Number     int64 // dense, per workspace, from 1, never given twice
	Type       int64
	ID         string
	CIO        string // canonical id, immutable
	Created    int64
	Updated    int64
	Attributes Attributes
}

// Relationship joins a person and an object.
type Relationship struct {
	Workspace  int64
	Person     uint32
	Object     int64 // Number
	Created    int64 // Unix ms of the workspace's clock
	Attributes Attributes
}

// Related is a relationship as lists show it.
type Related struct {
	Object       Object // without attributes
	Person       uint32
	Created      int64      // Unix ms of the workspace's clock
	Relationship Attributes // the relationship's own
}

// Link is a person's relationship with its object.
type Link struct {
	Object       *Object
	Relationship *Relationship
}

// Attribute is what conditions know of the object: object_id, cio_object_id and attributes by name; nil if there is no such thing.
func (o *Object) Attribute(name string) value.Value {
	switch name {
	case "object_id":
		return value.Quote(o.ID)
	case "cio_object_id":
		return value.Quote(o.CIO)
	}
	return o.Attributes.Get(name)
}

// Attribute is an attribute of the relationship by name, nil if there is none.
func (r *Relationship) Attribute(name string) value.Value { return r.Attributes.Get(name) }

// Attribute is one attribute with the time that it was written. One that was removed has a nil Value and stays, so that an
// older write does not bring it back.
type Attribute struct {
	Name  string
	Value value.Value
	At    int64 // Unix seconds
}

// Attributes are an object's or a relationship's, in the order first set; names are unique.
type Attributes []Attribute

// reserved names are what the vendor keeps for itself.
var reserved = [...]string{"relationship", "_relationship", "cio_object_id", "object_id", "objectId"}

// Refusal says why an attribute cannot be written, "" if it can.
func Refusal(name string, v value.Value) string {
	switch {
	case name == "" || len(name) > MaxName:
		return "attribute names are 1 to 150 bytes"
	case slices.Contains(reserved[:], name) || strings.HasPrefix(name, "_"):
		return "attribute " + name + " is reserved"
	case v.Kind() != value.Object && v.Kind() != value.Array && len(v.Text()) > MaxValue:
		return "attribute " + name + " is longer than 1000 bytes"
	}
	return ""
}

// Get is the value of an attribute, nil if there is none.
func (a Attributes) Get(name string) value.Value {
	if i := a.index(name); i >= 0 {
		return a[i].Value
	}
	return nil
}

func (a Attributes) index(name string) int {
	return slices.IndexFunc(a, func(x Attribute) bool { return x.Name == name })
}

// Set writes values that were written at a time, Unix seconds: null and "" remove. It returns the names of what changed, in
// the order of the values, and why others were refused. A write that is older than the one that is there changes nothing.
func (a *Attributes) Set(values value.Value, at int64) (changed, refused []string) {
	size := len(a.Encode())
	for name, v := range values.Fields() {
		if why := Refusal(name, v); why != "" {
			refused = append(refused, why)
			continue
		}
		if v.Empty() {
			v = nil
		}
		i := a.index(name)
		switch {
		case i < 0 && v == nil:
			continue
		case i >= 0 && (*a)[i].At > at:
			refused = append(refused, "attribute "+name+" was set later by another write")
			continue
		case i >= 0 && value.Equal((*a)[i].Value, v):
			(*a)[i].At = at
			continue
		case i < 0 && len(*a) >= MaxAttributes && !a.forget():
			refused = append(refused, "there are 300 attributes already; "+name+" was left out")
			continue
		}
		grow := len(name) + len(v) + 40
		if i >= 0 {
			grow -= len(name) + len((*a)[i].Value) + 40
		}
		if grow > 0 && size+grow > MaxSize {
			refused = append(refused, "the attributes have no room for "+name)
			continue
		}
		size += grow
		if i < 0 {
			*a = append(*a, Attribute{Name: name})
			i = len(*a) - 1
		}
		(*a)[i].Value, (*a)[i].At = v, at
		changed = append(changed, name)
	}
	return changed, refused
}

// forget takes the oldest removed attribute out, and says whether there was one.
func (a *Attributes) forget() bool {
	oldest := -1
	for i, x := range *a {
		if x.Value == nil && (oldest < 0 || x.At < (*a)[oldest].At) {
			oldest = i
		}
	}
	if oldest < 0 {
		return false
	}
	*a = slices.Delete(*a, oldest, oldest+1)
	return true
}

// Fill writes what b has and a never had, as when two relationships become one.
func (a *Attributes) Fill(b Attributes) {
	for _, x := range b {
		if a.index(x.Name) < 0 && len(*a) < MaxAttributes {
			*a = append(*a, x)
		}
	}
}

// Values are the attributes as an object.
func (a Attributes) Values() value.Value {
	var b value.Builder
	for _, x := range a {
		if x.Value != nil {
			b.Set(x.Name, x.Value)
		}
	}
	return b.Value()
}

// Times are when the attributes were set, as an object of Unix seconds.
func (a Attributes) Times() value.Value {
	var b value.Builder
	for _, x := range a {
		if x.Value != nil {
			b.Set(x.Name, value.Int(x.At))
		}
	}
	return b.Value()
}

// Encode is the stored form: {"name":[value,time],…}, the value null for what was removed (docs/formats.md).
func (a Attributes) Encode() []byte {
	var b value.Builder
	for _, x := range a {
		v := x.Value
		if v == nil {
			v = value.NullValue
		}
		pair := append([]byte{'['}, v...)
		pair = append(append(pair, ','), value.Int(x.At)...)
		b.Set(x.Name, append(pair, ']'))
	}
	return b.Value()
}

// Decode reads the stored form. What was not stored by Encode comes out as no attributes.
func Decode(stored []byte) Attributes {
	var a Attributes
	for name, pair := range value.Value(stored).Fields() {
		x := Attribute{Name: name}
		n := 0
		for v := range pair.Elements() {
			switch n {
			case 0:
				if !v.Empty() {
					x.Value = v
				}
			case 1:
				at, _ := v.Number()
				x.At = int64(at)
			}
			n++
		}
		a = append(a, x)
	}
	return a
}
