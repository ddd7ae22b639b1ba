package store

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"

	"rapport.example/internal/engine"
)

const formColumns = `f.workspace, f.form, f.fields, f.submissions, f.refused, f.created, f.updated`

func scanForm(r row) (engine.Form, error) {
	var f engine.Form
	var fields string
	if err := r.Scan(&f.Workspace, &f.ID, &fields, &f.Submissions, &f.Refused, &f.Created, &f.Updated); err != nil {
		return f, err
	}
	if err := json.Unmarshal([]byte(fields), &f.Fields); err != nil {
		return f, fmt.Errorf("fields of form %q: %w", f.ID, err)
	}
	return f, nil
}

// Forms is part of engine.Tx.
func (t *tx) Forms(ctx context.Context, refs []engine.FormRef) ([]engine.Form, error) {
	const sql = `WITH k (workspace, form) AS ({rows})
		SELECT ` + formColumns + ` FROM k CROSS JOIN forms f WHERE f.workspace = k.workspace AND f.form = k.form`
	return lookUp(ctx, t.c, sql, set{
		col(refs, func(r engine.FormRef) int64 { return r.Workspace }),
		col(refs, func(r engine.FormRef) string { return r.ID }),
	}, scanForm)
}

// formBulk inserts forms or replaces them.
func formBulk(c *engine.Changes) []bulk {
	forms := sorted(c.PutForms, func(a, b engine.Form) int {
		return cmp.Or(cmp.Compare(a.Workspace, b.Workspace), cmp.Compare(a.ID, b.ID))
	})
	return []bulk{{
		`INSERT INTO forms (workspace, form, fields, submissions, refused, created, updated) {rows}
		ON CONFLICT (workspace, form) DO UPDATE SET fields = excluded.fields, submissions = excluded.submissions,
		refused = excluded.refused, updated = excluded.updated`,
		set{
			col(forms, func(f engine.Form) int64 { return f.Workspace }),
			col(forms, func(f engine.Form) string { return clean(f.ID) }),
			col(forms, fieldNames),
			col(forms, func(f engine.Form) int64 { return f.Submissions }),
			col(forms, func(f engine.Form) int64 { return f.Refused }),
			col(forms, func(f engine.Form) int64 { return f.Created }),
			col(forms, func(f engine.Form) int64 { return f.Updated }),
		},
	}}
}

func fieldNames(f engine.Form) string {
	b, err := json.Marshal(append([]string{}, f.Fields...))
	if err != nil { // strings always encode
		return "[]"
	}
	return clean(string(b))
}

// Forms lists up to limit forms of a workspace with ids after one, by id; "" is before the first.
func (db *DB) Forms(ctx context.Context, ws int64, after string, limit int) ([]engine.Form, error) {
	const sql = `SELECT ` + formColumns + ` FROM forms f WHERE f.workspace = $1 AND f.form > $2 ORDER BY f.form LIMIT $3`
	return list(ctx, db, sql, []any{ws, clean(after), int64(limit)}, scanForm)
}
