package bench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"

	"rapport.example/internal/mcp"
)

// caller is a client of tools that does no more for a call than the row of the API does for its own: it writes a request that is ready
// and looks at no more of the answer than whether it is an error. One call at a time.
type caller struct {
	meta string // of each request
	send func(ctx context.Context, method, tool, request string) error
	stop func() error
}

// eras are the revisions of the protocol, with what each request says of its client.
var eras = []struct{ version, meta string }{
	{"2025-11-25", ""},
	{"2026-07-28", `,"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"bench","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}`},
}

// call calls a tool; an error that it answers is one.
func (c *caller) call(ctx context.Context, tool string, args map[string]any) error {
	b, err := json.Marshal(args)
	if err != nil {
		return err
	}
	return c.send(ctx, "tools/call", tool, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"`+tool+`","arguments":`+string(b)+c.meta+`}}`)
}

// open begins a session, if the era has any.
func (c *caller) open(ctx context.Context, era int) error {
	if c.meta = eras[era].meta; c.meta != "" {
		return nil
	}
	const initialize = `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"%s","capabilities":{},"clientInfo":{"name":"bench","version":"1"}}}`
	return errors.Join(
		c.send(ctx, "initialize", "", fmt.Sprintf(initialize, eras[era].version)),
		c.send(ctx, "notifications/initialized", "", `{"jsonrpc":"2.0","method":"notifications/initialized"}`),
	)
}

// toolsHere is a client of tools in this process, over lines.
func toolsHere(ctx context.Context, s *mcp.Server, era int) (*caller, error) {
	near, far := net.Pipe()
	if err := s.Connect(ctx, mcp.Lines{In: far, Out: far}); err != nil {
		return nil, err
	}
	in := bufio.NewReaderSize(near, 64<<10)
	c := &caller{stop: near.Close, send: func(_ context.Context, method, _, request string) error {
		if _, err := near.Write([]byte(request + "\n")); err != nil || strings.HasPrefix(method, "notifications/") {
			return err
		}
		answer, err := in.ReadSlice('\n')
		return errors.Join(err, failure(answer))
	}}
	return c, c.open(ctx, era)
}

// toolsThere is a client of a server's tools, over HTTP.
func toolsThere(ctx context.Context, url, secret string, era int) (*caller, error) {
	session := ""
	c := &caller{send: func(ctx context.Context, method, tool, request string) error {
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(request))
		if err != nil {
			return err
		}
		r.Header = http.Header{
			"Authorization": {"Bearer " + secret}, "Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"},
			"Mcp-Protocol-Version": {eras[era].version}, "Mcp-Method": {method},
		}
		if tool != "" {
			r.Header.Set("Mcp-Name", tool)
		}
		if session != "" {
			r.Header.Set("Mcp-Session-Id", session)
		}
		res, err := connections.RoundTrip(r)
		if err != nil {
			return err
		}
		answer, err := io.ReadAll(res.Body)
		if err = errors.Join(err, res.Body.Close(), failure(answer)); err == nil && res.StatusCode/100 != 2 {
			err = fmt.Errorf("%s: %s", res.Status, answer)
		}
		if s := res.Header.Get("Mcp-Session-Id"); s != "" {
			session = s
		}
		return err
	}}
	return c, c.open(ctx, era)
}

var failures = [][]byte{[]byte(`"isError":true`), []byte(`"error":{`)}

// failure is an error if the answer says one.
func failure(answer []byte) error {
	for _, f := range failures {
		if bytes.Contains(answer, f) {
			return fmt.Errorf("answered: %s", answer)
		}
	}
	return nil
}
