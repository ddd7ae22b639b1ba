package mcp

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
	segmentio "github.com/segmentio/encoding/json"
)

// Lines is the protocol's stdio transport over any pair of streams: JSON-RPC messages, each on a line. It is that of the protocol
// library but for what one message costs: the library decodes it in three steps, each through a buffer of 32 KB, this one in one.
type Lines struct {
	In  io.ReadCloser
	Out io.WriteCloser
}

// maxLine bounds a message, in bytes.
const maxLine = 16 << 20

// Connect is part of sdk.Transport.
func (l Lines) Connect(context.Context) (sdk.Connection, error) {
	c := &lineConn{Lines: l, read: make(chan line), closed: make(chan struct{})}
	go c.readAll()
	return c, nil
}

type line struct {
	raw []byte
	err error
}

type lineConn struct {
	Lines
	read   chan line // closed is what ends waiting for it: a read of standard input cannot be ended
	queue  []jsonrpc.Message
	writes sync.Mutex
	once   sync.Once
	closed chan struct{}
	err    error // of closing
}

func (c *lineConn) readAll() {
	in := bufio.NewReader(c.In)
	for {
		raw, err := readLine(in)
		if len(raw) == 0 && err == nil {
			continue
		}
		select {
		case c.read <- line{raw, err}:
		case <-c.closed:
			return
		}
		if err != nil {
			return
		}
	}
}

// readLine reads a line without its end. What comes before the end of the stream is one too.
func readLine(in *bufio.Reader) (raw []byte, err error) {
	for {
		part, err := in.ReadSlice('\n')
		raw = append(raw, part...)
		switch {
		case len(raw) > maxLine:
			return nil, errors.New("a message is longer than 16 MiB")
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF) && len(raw) > 0:
			err = nil
		}
		return bytes.TrimSpace(raw), err
	}
}

// Read is part of sdk.Connection.
func (c *lineConn) Read(ctx context.Context) (jsonrpc.Message, error) {
	if len(c.queue) == 0 {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-c.closed:
			return nil, io.EOF
		case l := <-c.read:
			if l.err != nil {
				return nil, l.err
			}
			var err error
			if c.queue, err = decodeMessages(l.raw); err != nil {
				return nil, err
			}
		}
	}
	m := c.queue[0]
	c.queue = c.queue[1:]
	return m, nil
}

// requestLine is a message that is a request. Its keys are told apart by case.
type requestLine struct {
	Version string          `json:"jsonrpc"`
	ID      any             `json:"id"`
	Method  *string         `json:"method"`
	Params  json.RawMessage `json:"params"`
}

// maxNested bounds the brackets of what is decoded here, whose nesting costs stack; the library counts how deep they are.
const maxNested = 1000

// decodeMessages decodes a message or, as revision 2025-03-26 had them, several. What is no request is for the protocol library.
func decodeMessages(raw []byte) ([]jsonrpc.Message, error) {
	if raw[0] == '[' {
		var all []json.RawMessage
		if err := json.Unmarshal(raw, &all); err != nil {
			return nil, fmt.Errorf("read messages: %w", err)
		}
		if len(all) == 0 {
			return nil, errors.New("read messages: there is none")
		}
		var out []jsonrpc.Message
		for _, one := range all {
			m, err := jsonrpc.DecodeMessage(one)
			if err != nil {
				return nil, fmt.Errorf("read messages: %w", err)
			}
			out = append(out, m)
		}
		return out, nil
	}
	if bytes.Count(raw, []byte{'{'})+bytes.Count(raw, []byte{'['}) < maxNested {
		var r requestLine
		rest, err := segmentio.Parse(raw, &r, segmentio.DontMatchCaseInsensitiveStructFields)
		if err == nil && len(rest) == 0 && r.Version == "2.0" && r.Method != nil {
			id, err := jsonrpc.MakeID(r.ID)
			return []jsonrpc.Message{&jsonrpc.Request{ID: id, Method: *r.Method, Params: r.Params}}, err
		}
	}
	m, err := jsonrpc.DecodeMessage(raw)
	if err == nil && !json.Valid(raw) { // the library reads the first value of a line
		err = errors.New("there is more on its line")
	}
	if err != nil {
		return nil, fmt.Errorf("read a message: %w", err)
	}
	return []jsonrpc.Message{m}, nil
}

// Write is part of sdk.Connection.
func (c *lineConn) Write(ctx context.Context, m jsonrpc.Message) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	raw, err := jsonrpc.EncodeMessage(m)
	if err != nil {
		return fmt.Errorf("write a message: %w", err)
	}
	c.writes.Lock()
	defer c.writes.Unlock()
	_, err = c.Out.Write(append(raw, '\n'))
	return err
}

// Close is part of sdk.Connection.
func (c *lineConn) Close() error {
	c.once.Do(func() {
		close(c.closed)
		c.err = errors.Join(c.In.Close(), c.Out.Close())
	})
	return c.err
}

// SessionID is part of sdk.Connection: there is one session.
func (c *lineConn) SessionID() string { return "" }
