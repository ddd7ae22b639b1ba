package definition

import (
	"slices"

	"rapport.example/internal/fault"
	"rapport.example/internal/ingest"
	"rapport.example/internal/journey"
	"rapport.example/internal/value"
)

// Apply says which rows saving p makes of rows, the ones that Tx.Definitions gives: a new version for each document that
// differs from what is there, a last version marked Deleted for each that goes. A document that is there already, key
// order aside, gives no row. Nothing is compiled: see Check. nextID gives the next number of a kind, or of ActionIDs, that
// was never given before; a slug that comes back after a deletion is a new thing and gets a new number.
// Errors are of kind Invalid and name kind and slug.
func Apply(rows []Row, p ingest.DefinePayload, gen, now int64, nextID func(kind string) int64) (changed []Row, err error) {
	at := index(rows)
	seen := map[key]bool{}
	claim := func(d ingest.Definition) (key, error) {
		k := key{d.Kind, d.Slug}
		if !slices.Contains(Kinds(), d.Kind) {
			return k, fault.New(fault.Invalid, "%s is no kind of definition", d.Kind)
		}
		if seen[k] {
			return k, fault.Field(d.Kind+"."+d.Slug, "is named twice")
		}
		seen[k] = true
		return k, nil
	}
	for _, d := range p.Put {
		k, err := claim(d)
		if err != nil {
			return nil, err
		}
		if d.Body.Kind() != value.Object || d.Body.Get("id").Text() != d.Slug {
			return nil, fault.Field(d.Kind+"."+d.Slug, "must be a mapping whose id is %s", d.Slug)
		}
		if row, ok := put(at[k], d, nextID); ok {
			row.Gen, row.Updated = gen, now
			if row.Version == 1 {
				row.Created = now
			}
			changed = append(changed, row)
		}
	}
	for _, d := range p.Delete {
		k, err := claim(d)
		if err != nil {
			return nil, err
		}
		old := at[k]
		if old == nil {
			continue // gone already
		}
		row := *old
		row.Version, row.Gen, row.Updated, row.Deleted = old.Version+1, gen, now, true
		changed = append(changed, row)
	}
	return changed, nil
}

type key struct{ kind, slug string }

// index finds the current, living rows by kind and slug.
func index(rows []Row) map[key]*Row {
	at := make(map[key]*Row, len(rows))
	for i := range rows {
		if r := &rows[i]; r.Current && !r.Deleted {
			at[key{r.Kind, r.Slug}] = r
		}
	}
	return at
}

// put is the row that saving d makes, ok false if it changes nothing.
func put(old *Row, d ingest.Definition, nextID func(string) int64) (row Row, ok bool) {
	if old != nil && same(old.Body, d.Body) {
		return row, false
	}
	row = Row{Kind: d.Kind, Slug: d.Slug, Version: 1, Current: true, Body: d.Body}
	var before value.Value
	if old != nil {
		row.Workspace, row.ID, row.Version, row.Created = old.Workspace, old.ID, old.Version+1, old.Created
		before = old.Body
	} else {
		row.ID = nextID(d.Kind)
	}
	if d.Kind == Campaigns {
		row.Body = AssignActions(before, d.Body, func() int64 { return nextID(ActionIDs) })
	}
	return row, true
}

// ActionIDs is the counter behind the numeric ids of workflow steps, as Apply asks nextID for it.
const ActionIDs = "actions"

// AssignActions returns the campaign document body with a number for each of its workflow steps, under the private key
// journey.ActionsKey. Steps keep the number that their id has in before, the version that body replaces, and ids that
// body no longer has keep theirs in the map: a step that comes back is the same step, and no number is used twice.
func AssignActions(before, body value.Value, next func() int64) value.Value {
	var actions, out value.Builder
	known := map[string]bool{}
	for slug, n := range before.Get(journey.ActionsKey).Fields() {
		known[slug] = true
		actions.Set(slug, n)
	}
	for _, slug := range steps(body.Get("workflow"), nil) {
		if !known[slug] {
			known[slug] = true
			actions.Set(slug, value.Int(next()))
		}
	}
	for k, v := range body.Fields() {
		if k != journey.ActionsKey {
			out.Set(k, v)
		}
	}
	return out.Set(journey.ActionsKey, actions.Value()).Value()
}

// steps collects the ids of a list of workflow steps in document order. It takes any JSON: what is malformed is refused
// when the document is compiled. Recursion is bounded by value.MaxDepth.
func steps(list value.Value, ids []string) []string {
	for step := range list.Elements() {
		if id := step.Get("id"); id.Kind() == value.String {
			ids = append(ids, id.Text())
		}
		for arm := range step.Get("branch").Elements() {
			ids = steps(arm.Get("else"), steps(arm.Get("then"), ids))
		}
	}
	return ids
}

// Document is the row's body as its author wrote it: without private keys.
func (r *Row) Document() value.Value { return public(r.Body) }

func public(body value.Value) value.Value {
	if body.Get(journey.ActionsKey) == nil {
		return body
	}
	var out value.Builder
	for k, v := range body.Fields() {
		if k != journey.ActionsKey {
			out.Set(k, v)
		}
	}
	return out.Value()
}
