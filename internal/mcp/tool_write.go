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
		Status    string           `json:"status" jsonschema:"accepted or dry_run"`
		Changes   []change         `json:"changes"`
		Undo      string           `json:"undo,omitempty"`
		Request   *request         `json:"request,omitempty"`
		Errors    []map[string]any `json:"errors,omitempty"`
		ID        string           `json:"id,omitempty"`
		Truncated bool             `json:"truncated,omitempty"`
		AuditID   string           `json:"audit_id,omitempty"`
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
		return out.bound()
	}
	r.key = w.IdempotencyKey
	r.again = r.again || r.key != "" && c.o.Once || r.method == http.MethodPut || r.method == http.MethodDelete
	if _, err := c.do(ctx, r, into); err != nil {
		return err
	}
	out.Status = "accepted"
	return out.bound()
}

// bound keeps an answer within what a model can be given: the request that is shown and the values after are cut first, since the
// caller knows them, and the values before last.
func (w *writeOut) bound() (err error) {
	if weightOf(w) <= mostRoom {
		return nil
	}
	w.Truncated = true
	if w.Request != nil && weightOf(w.Request) > mostRoom/3 {
		if w.Request.Body, err = shrunk(w.Request.Body, mostRoom/3); err != nil {
			return err
		}
	}
	for i := range w.Changes {
		w.Changes[i].After = cutTo(w.Changes[i].After, 100)
	}
	if weightOf(w) > mostRoom {
		room := mostRoom / 2
		n, _, err := cut(w.Changes, len(w.Changes), room)
		if err != nil {
			return err
		}
		w.Changes, w.Undo = w.Changes[:n], "the values before are too long to show whole: read them first, then change"
	}
	if weightOf(w) > mostRoom {
		n, _, err := cut(w.Errors, len(w.Errors), mostRoom/4)
		if err != nil {
			return err
		}
		w.Errors = w.Errors[:n]
	}
	return nil
}

func shown(r call) string {
	if len(r.query) == 0 {
		return r.path
	}
	return r.path + "?" + r.query.Encode()
}
