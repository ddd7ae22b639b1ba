package imports

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rapport.example/internal/fault"
	"rapport.example/internal/ingest"
	"rapport.example/internal/value"
)

// text is a file in memory.
type text string

func (s text) From(offset int64) io.Reader {
	return strings.NewReader(string(s)[min(offset, int64(len(s))):])
}

// read lists what a file's rows become: "number payload" or "number! reason".
func read(spec *Spec, src Source) (out []string, err error) {
	r, err := Open(spec, src)
	if err != nil {
		return nil, err
	}
	for {
		row, err := r.Next()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return out, err
		}
		kind, payload, bad := ingest.Kind(0), any(nil), row.Bad
		if bad == "" {
			kind, payload, bad = spec.Op(row.Fields)
		}
		if bad != "" {
			out = append(out, fmt.Sprintf("%d! %s", row.Number, bad))
			continue
		}
		b, err := json.Marshal(payload)
		if err != nil {
			return out, err
		}
		out = append(out, fmt.Sprintf("%d %d %s", row.Number, kind, b))
	}
}

// TestRows: what files become, row by row.
func TestRows(t *testing.T) {
	t.Parallel()
	people := Spec{Type: People, Identifier: "id", Mode: All}
	long := strings.Repeat("x", MaxRow)
	for name, c := range map[string]struct {
		spec Spec
		file string
		want []string
	}{
		"csv": {people, "\xef\xbb\xbfid, plan ,n\r\n1,\"a,\"\"b\"\"\n\",7\r\n\r\n2,,\r\n", []string{
			`1 1 {"by":{"id":"1"},"attributes":{"plan":"a,\"b\"\n","n":"7"}}`, `2 1 {"by":{"id":"2"}}`,
		}},
		"ragged, encoding, identifiers": {people, "id,email,a\n1\n2,x@example.com,b,c\n3,,\xff\n,,\n4,nobody,\n5,e@example.com,last", []string{
			"1! has 1 cells, and the first line 3", "2! has 4 cells, and the first line 3", "3! is not UTF-8 in the column a",
			"4! id is missing", "5! email cannot be an identifier", `6 1 {"by":{"id":"5"},"attributes":{"email":"e@example.com","a":"last"}}`,
		}},
		"quotes": {people, "id,a\n1,\"b\"c\n2,x\"y\n3,z\n4,\"open\n5,w\n", []string{
			`1! is not CSV: extraneous or missing " in quoted-field`, `2! is not CSV: bare " in non-quoted-field`, `3 1 {"by":{"id":"3"},"attributes":{"a":"z"}}`,
			`4! is not CSV: extraneous or missing " in quoted-field`, `5 1 {"by":{"id":"5"},"attributes":{"a":"w"}}`,
		}},
		"too long": {people, "id,a\n1," + long + "\n2,\"" + long + long + long + "\n3,b\n4," + long[:1001] + "\n", []string{
			"1! is longer than 1048576 bytes", "2! is longer than 1048576 bytes, or a quote in it is not closed", `3 1 {"by":{"id":"3"},"attributes":{"a":"b"}}`,
			"4! a is longer than 1000 bytes",
		}},
		"mapping and what is left out": {
			Spec{Type: People, Identifier: "email", Mode: OnlyNew, Map: map[string]string{"E-Mail": "email", "secret": "", "at": "_timestamp"}},
			"E-Mail,secret,at,cio_id,_created_in_customerio_at,a\n x@example.com ,s,2026-01-02,c1,9,1\n",
			[]string{
				`1 1 {"by":{"email":"x@example.com"},"attributes":{"a":"1"},"timestamp":1767312000,"only":"new"}`,
			},
		},
		"json lines": {people, " {\"id\":1,\"a\":{\"b\":[1.50]},\"n\":null}\r\n\n[1]\n{\"id\":\n{\"id\":\"\\u0000\"}\n{\"id\":true}\n{\"id\":\"2\",\"a\":1,\"attributes\":{\"a\":2,\"c\":false}}", []string{
			`1 1 {"by":{"id":"1"},"attributes":{"a":{"b":[1.50]},"n":null}}`, "2! is not a JSON object", "3! is not JSON", "4! has a NUL character",
			"5! id must be text", `6 1 {"by":{"id":"2"},"attributes":{"a":2,"c":false}}`,
		}},
		"json lines, too long and mapped": {Spec{Type: People, Identifier: "id", Mode: OnlyExisting, Map: map[string]string{"x": "id", "y": ""}}, `{"x":"` + long + "\"}\n" + `{"x":"1","id":"2"}` + "\n" + `{"x":"1","y":2}`, []string{
			"1! is longer than 1048576 bytes", "2! has two members that are named id", `3 1 {"by":{"id":"1"},"only":"existing"}`,
		}},
		"events": {Spec{Type: Events, Identifier: "id", Mode: All}, "id,name,timestamp,event_id,price\n1, bought ,1767312000,01KDY7ZZZZZZZZZZZZZZZZZZZZ,5\n1,,,,\n1,a,yesterday,,\n1,a,,7,\n", []string{
			`1 3 {"by":{"id":"1"},"type":1,"name":"bought","id":"01KDY7ZZZZZZZZZZZZZZZZZZZZ","timestamp":1767312000,"data":{"price":"5"}}`,
			"2! name is missing", "3! timestamp is not a time: write Unix seconds or ISO 8601", "4! event_id is not a ULID",
		}},
		"events with data": {Spec{Type: Events, Identifier: "id", Mode: All}, `{"id":"1","name":"n","data":{"id":5,"a":1},"b":2}`, []string{
			`1 3 {"by":{"id":"1"},"type":1,"name":"n","data":{"b":2,"id":5,"a":1}}`,
		}},
		"objects": {Spec{Type: Objects, ObjectType: 1, Mode: OnlyExisting}, "object_id,object_type_id,name\na,,Acme\nb,2,B\n,,\nc,x,\n", []string{
			`1 16 {"object":{"type":1,"id":"a"},"attributes":{"name":"Acme"},"only":"existing"}`, `2 16 {"object":{"type":2,"id":"b"},"attributes":{"name":"B"},"only":"existing"}`,
			"3! object_id is missing", "4! object_type_id is not the number of an object type",
		}},
		"relationships": {Spec{Type: Relationships, Identifier: "cio_id", Mode: All}, "cio_id,object_id,object_type_id,role\ncio_ab,a,1,boss\nab,a,,\n", []string{
			`1 18 {"by":{"cio_id":"ab"},"relations":[{"object":{"type":1,"id":"a"},"attributes":{"role":"boss"}}]}`, "2! object_type_id is missing",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := c.spec.Check(); err != nil {
				t.Fatal(err)
			}
			got, err := read(&c.spec, text(c.file))
			if diff := cmp.Diff(c.want, got); err != nil || diff != "" {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
}

// TestNoFile: files that are none of their kind are refused as a whole, in words that tell what to do.
func TestNoFile(t *testing.T) {
	t.Parallel()
	for file, want := range map[string]string{
		"":                   "the file is empty",
		"\xff\xfei\x00d\x00": "not UTF-8",
		"\x1f\x8b\x08":       "packed",
		"PK\x03\x04":         "packed",
		"[{\"id\":1}]":       "one JSON list",
		"id,a,a\n":           "two columns are named a",
		"id,\"a\n":           "is not CSV",
		"Id,a\n1,2\n":        "no column is named id",
		"id,x\xff\n":         "not UTF-8",
		strings.Repeat("id,", MaxColumns+1) + "\n":           "more than 1000 columns",
		"id,a\n" + strings.Repeat("1,\"x\"y\n", maxBroken+1): "more than 1000 rows are not CSV",
	} {
		_, err := read(&Spec{Type: People, Identifier: "id", Mode: All}, text(file))
		if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: %v, want Invalid with %q", file, err, want)
		}
	}
}

// FuzzRows: no file makes it panic or go on for ever, rows are numbered without a gap, and whoever goes on from where any row
// began reads the same.
func FuzzRows(f *testing.F) {
	for _, s := range []string{"id,a\n1,2\n", "\xef\xbb\xbfid\r\n1\r\n\r\n\"2\n", "{\"id\":1}\n\n{\"id\":}", "id\n\"", "a,b\n1\n\"x\"y,2\n3,\xff\n"} {
		f.Add(s, true)
		f.Add(s, false)
	}
	f.Fuzz(func(t *testing.T, file string, event bool) {
		spec := Spec{Type: People, Identifier: "id", Mode: All}
		if event {
			spec.Type = Events
		}
		r, err := Open(&spec, text(file))
		if err != nil {
			return
		}
		for n := int64(1); ; n++ {
			again, err := Open(&spec, text(file))
			if err != nil {
				t.Fatal(err)
			}
			again.Resume(r.Position())
			row, err := r.Next()
			other, err2 := again.Next()
			if diff := cmp.Diff(row, other); diff != "" || fmt.Sprint(err) != fmt.Sprint(err2) {
				t.Fatalf("resumed before row %d: %v, %v (-want +got):\n%s", n, err, err2, diff)
			}
			if err != nil {
				return
			}
			if row.Number != n || n > int64(len(file)) {
				t.Fatalf("row %d is numbered %d", n, row.Number)
			}
			if row.Bad == "" {
				if row.Fields.Kind() != value.Object {
					t.Fatalf("row %d has no fields", n)
				}
				spec.Op(row.Fields)
			}
		}
	})
}
