package value

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ in, want string }{
		{` { "b" : 1.0 , "a":[1, 2 ,{}] } `, `{"b":1.0,"a":[1,2,{}]}`},
		{`{"a":1,"b":2,"a":3}`, `{"b":2,"a":3}`},
		{`[{"a":1,"a":2}]`, `[{"a":2}]`},
		{`1e400000`, `1e400000`},
		{`"\u00e9"`, `"é"`},
		{`12345678901234567890.123`, `12345678901234567890.123`},
		{`{"a":"\u00e9","a": "\u00e9\u0000" }`, `{"a":"é\u0000"}`},
		{`{}`, `{}`},
		{`[]`, `[]`},
		{strings.Repeat("[", 65) + strings.Repeat("]", 65), ``},
		{`"\ud800"`, ``},
		{"\"\xff\"", ``},
		{`{"a":}`, ``},
		{`1 2`, ``},
		{``, ``},
	} {
		got, err := Parse([]byte(tt.in))
		if (err != nil) != (tt.want == "") || string(got) != tt.want {
			t.Errorf("Parse(%s) = %s, %v, want %s", tt.in, got, err, tt.want)
		}
	}
}

func TestReads(t *testing.T) {
	t.Parallel()
	v, err := Parse([]byte(`{"s":"x\ny","n":"12.5","t":"2026-01-02","u":1700000000,"o":{"p":{"q":true}},"a":[1,"]",{"z":[2]}],"a.b":7}`))
	if err != nil {
		t.Fatal(err)
	}
	if got := v.Get("s").Text(); got != "x\ny" {
		t.Errorf("Text = %q", got)
	}
	if got, ok := v.Get("n").Number(); !ok || got != 12.5 {
		t.Errorf("Number = %v, %v", got, ok)
	}
	if got, ok := v.Get("t").Time(); !ok || got.Unix() != 1767312000 {
		t.Errorf("Time = %v, %v", got, ok)
	}
	if got, ok := v.Path("o.p.q").Bool(); !ok || !got {
		t.Errorf("Path(o.p.q) = %v, %v", got, ok)
	}
	if got := string(v.Path("a.b")); got != "7" {
		t.Errorf("Path(a.b) = %s", got)
	}
	var got, want any
	b, _ := json.Marshal(v.Any())
	_ = json.Unmarshal(b, &got)
	_ = json.Unmarshal(v, &want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Any (-want +got):\n%s", diff)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{`{"a":1,"a":2}`, `"\ud800"`, `[1e400000,{"b":[]}]`, "\x00", `{"a":{"b":"\u0000"}}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		v, err := Parse(raw)
		if err != nil {
			return
		}
		again, err := Parse(v)
		if err != nil || !Equal(v, again) {
			t.Fatalf("Parse(%q) = %q, parsed again = %q, %v", raw, v, again, err)
		}
		v.Any()
		v.Time()
		for _, w := range v.Fields() {
			if len(w) == 0 {
				t.Fatalf("empty field in %q", v)
			}
		}
	})
}
