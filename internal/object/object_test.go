package object_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rapport.example/internal/object"
	"rapport.example/internal/value"
)

// TestAttributes writes attributes one after the other and looks at what is kept and stored.
func TestAttributes(t *testing.T) {
	t.Parallel()
	var a object.Attributes
	for i, c := range []struct {
		values           string
		at               int64
		changed, refused []string
		stored           string
	}{
		{`{"name":"Acme","seats":5,"none":null}`, 10, []string{"name", "seats"}, nil, `{"name":["Acme",10],"seats":[5,10]}`},
		{`{"seats":5}`, 20, nil, nil, `{"name":["Acme",10],"seats":[5,20]}`},
		{`{"seats":6}`, 15, nil, []string{"attribute seats was set later by another write"}, `{"name":["Acme",10],"seats":[5,20]}`},
		{`{"name":""}`, 20, []string{"name"}, nil, `{"name":[null,20],"seats":[5,20]}`},
		{`{"name":"Late"}`, 15, nil, []string{"attribute name was set later by another write"}, `{"name":[null,20],"seats":[5,20]}`},
		{`{"name":{"a":[1]}}`, 25, []string{"name"}, nil, `{"name":[{"a":[1]},25],"seats":[5,20]}`},
		{`{"object_id":"x","_a":1}`, 30, nil, []string{"attribute object_id is reserved", "attribute _a is reserved"}, `{"name":[{"a":[1]},25],"seats":[5,20]}`},
	} {
		changed, refused := a.Set(value.Value(c.values), c.at)
		if diff := cmp.Diff([][]string{c.changed, c.refused}, [][]string{changed, refused}); diff != "" {
			t.Errorf("write %d (-want +got):\n%s", i+1, diff)
		}
		if got := string(a.Encode()); got != c.stored {
			t.Errorf("write %d: stored %s, want %s", i+1, got, c.stored)
		}
		if diff := cmp.Diff(a, object.Decode(a.Encode())); diff != "" {
			t.Errorf("write %d: decoded (-want +got):\n%s", i+1, diff)
		}
	}
	if got := string(a.Values()) + string(a.Times()); got != `{"name":{"a":[1]},"seats":5}{"name":25,"seats":20}` {
		t.Errorf("shown as %s", got)
	}
}

// TestAttributesBounds fills an object up.
func TestAttributesBounds(t *testing.T) {
	t.Parallel()
	var a object.Attributes
	long := value.Quote(strings.Repeat("x", object.MaxValue))
	for i := range object.MaxAttributes + 1 {
		var b value.Builder
		name := "a" + strings.Repeat("b", i%100) + string(value.Int(int64(i)))
		_, refused := a.Set(b.Set(name, long).Value(), 1)
		if len(a.Encode()) > object.MaxSize {
			t.Fatalf("%d bytes", len(a.Encode()))
		}
		if fits := len(refused) == 0; fits != (a.Get(name) != nil) {
			t.Fatalf("attribute %d: %v", i, refused)
		}
	}
	if n := len(a); n < 80 || n > 110 {
		t.Errorf("%d attributes of 1,000 bytes in 100 KiB", n)
	}
}
