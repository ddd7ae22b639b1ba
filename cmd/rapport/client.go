package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"rapport.example/internal/fault"
)

// remote is how a command reaches a running server.
type remote struct {
	Server   string `help:"Address of the running server. Default: ${default}." default:"http://127.0.0.1:8080" env:"RAPPORT_SERVER" placeholder:"URL"`
	AdminKey string `help:"Admin key of the server." env:"RAPPORT_ADMIN_KEY" placeholder:"KEY"`
}

// tenant is a workspace of a running server.
type tenant struct {
	remote
	Workspace string `help:"Id or name of the workspace. Default: the first." env:"RAPPORT_WORKSPACE" placeholder:"NAME"`
}

// output is how an answer is printed.
type output struct {
	JSON bool `name:"json" help:"Print the server's answer as JSON."`
}

// call is remote's, for this workspace.
func (t *tenant) call(ctx context.Context, method, path string, query url.Values, body, into any) error {
	if query == nil {
		query = url.Values{}
	}
	if t.Workspace != "" {
		query.Set("workspace", t.Workspace)
	}
	return t.remote.call(ctx, method, path, query, body, into)
}

const callTimeout = 10 * time.Minute

// call sends a request to /admin/v1/path, with body as JSON or, from an io.Reader, as it is, and decodes the answer into into,
// which may be an io.Writer for raw bytes.
func (r *remote) call(ctx context.Context, method, path string, query url.Values, body, into any) error {
	if r.AdminKey == "" {
		return fault.New(fault.Invalid, "no admin key: set RAPPORT_ADMIN_KEY, RAPPORT_ADMIN_KEY_FILE or --admin-key to the key that the server printed at its first start")
	}
	u := strings.TrimSuffix(r.Server, "/") + "/admin/v1/" + path
	if len(query) > 0 {
		u += "?" + query.Encode()
	}
	kind, send := "application/octet-stream", io.Reader(nil)
	switch b := body.(type) {
	case nil:
	case io.Reader:
		send = b
	default:
		raw, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("encode the request: %w", err)
		}
		kind, send = "application/json", bytes.NewReader(raw)
	}
	if _, raw := into.(io.Writer); !raw { // a file takes what it takes
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, callTimeout)
		defer cancel()
	}
	req, err := http.NewRequestWithContext(ctx, method, u, send)
	if err != nil {
		return fault.Wrap(fault.Invalid, err, "--server is not an address")
	}
	req.Header.Set("Authorization", "Bearer "+r.AdminKey)
	if body != nil {
		req.Header.Set("Content-Type", kind)
	}
	client := http.Client{}
	res, err := client.Do(req)
	if err != nil {
		return r.unreachable(err)
	}
	defer res.Body.Close() //nolint:errcheck // read only
	if res.StatusCode/100 != 2 {
		return refused(res)
	}
	switch into := into.(type) {
	case nil:
		return nil
	case io.Writer:
		if _, err := io.Copy(into, res.Body); err != nil {
			return fmt.Errorf("the answer broke off: %w", err)
		}
		return nil
	default:
		if err := json.NewDecoder(res.Body).Decode(into); err != nil {
			return fmt.Errorf("the answer cannot be read: %w", err)
		}
		return nil
	}
}

// unreachable explains why a request got no answer.
func (r *remote) unreachable(err error) error {
	if errors.Is(err, syscall.ECONNREFUSED) {
		return fault.New(fault.Unavailable, "no server answers at %s; start one with rapport serve, or name it with --server", r.Server)
	}
	return fault.Wrap(fault.Unavailable, err, "the server cannot be reached")
}

// refused turns an RFC 9457 answer into an error.
func refused(res *http.Response) error {
	raw, err := io.ReadAll(io.LimitReader(res.Body, 64<<10))
	if err != nil {
		return fmt.Errorf("the server answered %s", res.Status)
	}
	var p struct{ Detail string }
	if json.Unmarshal(raw, &p) != nil || p.Detail == "" {
		return fmt.Errorf("the server answered %s", res.Status)
	}
	switch res.StatusCode {
	case http.StatusUnauthorized:
		return fault.New(fault.Unauthorized, "the server does not know this admin key")
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
		return fault.New(fault.Invalid, "%s", p.Detail)
	}
	if res.StatusCode == http.StatusServiceUnavailable {
		return fault.New(fault.Unavailable, "%s", p.Detail)
	}
	return errors.New(p.Detail)
}

// print writes a value as indented JSON.
func (a *app) print(v any) error {
	e := json.NewEncoder(a.out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
