package mcp

import (
	"context"
	"net/http"
)

type (
	// writing is what every write takes.
	writing struct {
		DryRun         bool   `json:"dry_run,omitempty" jsonschema:"check and show the request, write nothing"`
		IdempotencyKey string `json:"idempotency_key,omitempty" jsonschema:"1-128 characters: repeated with the same key and arguments, it is done once"`
	}
	// writeOut is what every write answers.
	writeOut struct {
		Status  string           `json:"status" jsonschema:"accepted or dry_run"`
		Changes []change         `json:"changes"`
		Undo    string           `json:"undo,omitempty"`
		Request *request         `json:"request,omitempty"`
		Errors  []map[string]any `json:"errors,omitempty"`
		ID      string           `json:"id,omitempty"`
		AuditID string           `json:"audit_id,omitempty"`
	}
	change struct {
		Field  string `json:"field"`
		Before string `json:"before,omitempty"`
		After  string `json:"after,omitempty"`
	}
	request struct {
		Method string         `json:"method"`
		Path   string         `json:"path"`
		Body   map[string]any `json:"body,omitempty"`
	}
)

func (w writing) check() error {
	if len(w.IdempotencyKey) > 128 {
		return invalid("idempotency_key", "must be 1 to 128 characters")
	}
	for _, c := range w.IdempotencyKey {
		if c < 0x21 || c > 0x7e {
			return invalid("idempotency_key", "must be printable ASCII without spaces")
		}
	}
	return nil
}

// send makes the request of a write, or shows it.
func (c *Client) send(ctx context.Context, w writing, r call, out *writeOut, into any) error {
	if out.Changes == nil {
		out.Changes = []change{}
	}
	if rec := recordOf(ctx); rec != nil {
		out.AuditID = rec.id
	}
	if err := w.check(); err != nil {
		return err
	}
	if r.class == trackClass && c.o.Track == "" {
		return &toolError{Code: "unauthorized", Message: "this connection has no Track API key", Hint: "start rapport mcp with --site-id and --api-key"}
	}
	body, _ := r.body.(map[string]any)
	if w.DryRun {
		out.Status, out.Request = "dry_run", &request{r.method, shown(r), body}
		return nil
	}
	r.key = w.IdempotencyKey
	r.again = r.again || r.key != "" && c.o.Once || r.method == http.MethodPut || r.method == http.MethodDelete
	if _, err := c.do(ctx, r, into); err != nil {
		return err
	}
	out.Status = "accepted"
	return nil
}

func shown(r call) string {
	if len(r.query) == 0 {
		return r.path
	}
	return r.path + "?" + r.query.Encode()
}
