package mcp

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
)

// written is where a connection writes to in tests.
type written struct{ strings.Builder }

func (w *written) Close() error { return nil }

// TestLines reads messages in the ways in which clients write them.
func TestLines(t *testing.T) {
	t.Parallel()
	call := `{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":[1]}}`
	for _, c := range []struct {
		name, in string
		want     []string // what is read, written again; its end is as it came
		err      string   // "" = the end of the stream
	}{
		{"a line", call + "\n", []string{call}, ""},
		{"no end of line at the end", call, []string{call}, ""},
		{"blank lines and returns", "\r\n\n" + call + "\r\n  \n" + call + "\n", []string{call, call}, ""},
		{"a notification", `{"jsonrpc":"2.0","method":"notifications/initialized"}` + "\n", []string{`{"jsonrpc":"2.0","method":"notifications/initialized"}`}, ""},
		{"an answer", `{"jsonrpc":"2.0","id":"x","result":{"b":2}}` + "\n", []string{`{"jsonrpc":"2.0","id":"x","result":{"b":2}}`}, ""},
		{"several on one line", `[` + call + `,{"jsonrpc":"2.0","method":"x"}]` + "\n" + call, []string{call, `{"jsonrpc":"2.0","method":"x"}`, call}, ""},
		{"a long one", strings.Replace(call, "[1]", `"`+strings.Repeat("x", 1<<20)+`"`, 1), []string{strings.Replace(call, "[1]", `"`+strings.Repeat("x", 1<<20)+`"`, 1)}, ""},
		{"one that is too long", call + "\n" + strings.Repeat("x", maxLine+1), []string{call}, "longer than 16 MiB"},
		{"nested too deep", `{"jsonrpc":"2.0","id":1,"method":"x","params":` + strings.Repeat("[", 2000) + strings.Repeat("]", 2000) + `}`, nil, "nesting depth"},
		{"no JSON", call + "\nhello\n", []string{call}, "read a message"},
		{"two values on a line", call + call + "\n", nil, "more on its line"},
		{"another version", `{"jsonrpc":"1.0","id":1,"method":"x"}`, nil, "version"},
		{"keys in other letters", `{"jsonrpc":"2.0","ID":1,"Method":"x"}`, nil, "read a message"},
		{"an id that is an object", `{"jsonrpc":"2.0","id":{},"method":"x"}`, nil, "ID"},
		{"none on a line", "[]\n", nil, "there is none"},
		{"several, one of which is wrong", "[1]\n", nil, "read messages"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			conn, err := Lines{io.NopCloser(strings.NewReader(c.in)), &written{}}.Connect(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for {
				m, err := conn.Read(t.Context())
				if err != nil {
					if c.err == "" && !errors.Is(err, io.EOF) || c.err != "" && !strings.Contains(err.Error(), c.err) {
						t.Errorf("ended with %v, want %q", err, c.err)
					}
					break
				}
				raw, err := jsonrpc.EncodeMessage(m)
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, string(raw))
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("read (-want +got):\n%s", d)
			}
			if err := conn.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestLinesClosed ends a read that waits for a stream which says nothing.
func TestLinesClosed(t *testing.T) {
	t.Parallel()
	in, out := io.Pipe()
	defer out.Close()
	conn, err := Lines{In: io.NopCloser(in), Out: &written{}}.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() {
		_, err := conn.Read(t.Context())
		ended <- err
	}()
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
	if err := <-ended; !errors.Is(err, io.EOF) {
		t.Errorf("the read ended with %v, want EOF", err)
	}
}

// FuzzMessage holds that a line which is one value is read as the protocol library reads it, and another line not at all.
func FuzzMessage(f *testing.F) {
	for _, s := range []string{
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":{"a":"ü\ud800"}}}`, `{"jsonrpc":"2.0","id":"a","result":{}}`,
		`{"jsonrpc":"2.0","id":null,"method":""}`, `{"jsonrpc":"2.0","id":1.5,"method":"x","params":null}`, `{"jsonrpc":"2.0","method":null}`,
		`{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"x"}}`, `{"jsonrpc":"2.0","id":1,"method":"a","method":"b"} x`, `{`, `null`, "\"\xff\"",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if raw = bytes.TrimSpace(raw); len(raw) == 0 || raw[0] == '[' {
			return
		}
		got, err := decodeMessages(raw)
		want, wrong := jsonrpc.DecodeMessage(raw)
		if !json.Valid(raw) {
			wrong = errors.New("no JSON")
		}
		if (err == nil) != (wrong == nil) {
			t.Fatalf("%v, the library says %v", err, wrong)
		}
		if err != nil {
			return
		}
		a, err := jsonrpc.EncodeMessage(got[0])
		if err != nil {
			return
		}
		b, err := jsonrpc.EncodeMessage(want)
		if err != nil || string(a) != string(b) {
			t.Errorf("%s, the library reads %s, %v", a, b, err)
		}
	})
}
