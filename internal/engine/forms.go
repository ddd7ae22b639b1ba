package engine

import (
	"cmp"
	"context"
	"slices"

	"rapport.example/internal/event"
	"rapport.example/internal/ingest"
	"rapport.example/internal/person"
	"rapport.example/internal/value"
)

// maxFields is how many names of fields a form remembers.
const maxFields = 300

// Form is what is known of one form. It comes to be with the first submission.
type Form struct {
	Workspace   int64
	ID          string   // the caller's form_id
	Fields      []string // names of fields that were sent, in the order first seen, at most 300
	Submissions int64    // that found or made a person
	Refused     int64    // without an identifier that can be mapped, or of somebody suppressed
	Created     int64    // Unix ms of the workspace's clock
	Updated     int64    // of the newest submission, refused ones too
}

// FormRef names a form.
type FormRef struct {
	Workspace int64
	ID        string
}

// submit takes a form's submission: the form comes to be if it is new, and the person that the fields name is identified
// with the other fields as attributes. The submission itself is an activity of the person's with all fields.
func (b *batch) submit(w *work, pl ingest.FormPayload) error {
	f := b.form(w, pl.Form)
	f.Updated = max(f.Updated, w.now)
	for name := range pl.Fields.Fields() {
		if len(f.Fields) < maxFields && !slices.Contains(f.Fields, name) {
			f.Fields = append(f.Fields, name)
		}
	}
	who := pl.By.Identifier()
	if who.Type == 0 {
		f.Refused++
		b.failed(w, nil, "no field of the form is an identifier", person.Identifier{})
		return nil
	}
	if err := b.identify(w, ingest.IdentifyPayload{By: pl.By, Attributes: formAttributes(pl.Fields)}); err != nil {
		return err
	}
	s := b.find(w.t, who)
	if s == nil { // suppressed, which identify has noted
		f.Refused++
		return nil
	}
	f.Submissions++
	b.note(w.t, s, event.Activity{Type: event.Form, Name: pl.Form, At: w.now, Received: w.now, Data: pl.Fields})
	return nil
}

// form is the form in hand, made if there is none.
func (b *batch) form(w *work, id string) *Form {
	ref := FormRef{w.t.ID, id}
	f := b.forms[ref]
	if f == nil {
		f = &Form{Workspace: w.t.ID, ID: id, Created: w.now}
		b.forms[ref] = f
	}
	b.changed[ref] = true
	return f
}

// formsOf lists the forms that were changed, for the write.
func (b *batch) formsOf() []Form {
	var out []Form
	for ref := range b.changed {
		out = append(out, *b.forms[ref])
	}
	slices.SortFunc(out, func(x, y Form) int { return cmp.Or(cmp.Compare(x.Workspace, y.Workspace), cmp.Compare(x.ID, y.ID)) })
	return out
}

// loadForms reads the forms that ops submit.
func (b *batch) loadForms(ctx context.Context, tx Tx, works []*work) error {
	var refs []FormRef
	for _, w := range works {
		if ref := (FormRef{w.t.ID, w.form}); w.form != "" && !slices.Contains(refs, ref) {
			refs = append(refs, ref)
		}
	}
	if len(refs) == 0 {
		return nil
	}
	list, err := tx.Forms(ctx, refs)
	if err != nil {
		return err
	}
	for i := range list {
		f := &list[i]
		b.forms[FormRef{f.Workspace, f.ID}] = f
	}
	return nil
}

// readForm names what a submission needs loaded.
func (w *work) readForm() error {
	pl, err := ingest.Decode[ingest.FormPayload](w.op)
	if err != nil {
		return err
	}
	w.form = pl.Form
	w.identifies(pl.By, formAttributes(pl.Fields))
	w.do = func(b *batch, w *work) error { return b.submit(w, pl) }
	return nil
}

// formAttributes are the fields that become attributes. A cio id is none: what somebody typed must not choose another
// person.
func formAttributes(fields value.Value) value.Value {
	if fields.Get("cio_id") == nil {
		return fields
	}
	var b value.Builder
	for name, v := range fields.Fields() {
		if name != "cio_id" {
			b.Set(name, v)
		}
	}
	return b.Value()
}
