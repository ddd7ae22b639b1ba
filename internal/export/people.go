package export

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"rapport.example/internal/fault"
	"rapport.example/internal/filter"
	"rapport.example/internal/person"
	"rapport.example/internal/value"
)

// MaxColumns bounds the columns for attributes. Further attributes, those that come last by name, share one more column, Rest, as
// a JSON object: nothing is left out, however many names there are.
const MaxColumns = 2000

// Rest is the name of that column.
const Rest = "_other_attributes"

// fixed are the columns that every file of people begins with. Those of attributes follow, by name in byte order.
var fixed = [...]string{"id", "email", "cio_id", "created_at", "_created_in_customerio_at", "unsubscribed"}

// derived are what a person has beside attributes and is shown as one, if it is set.
var derived = [...]string{"phone", "anonymous_id"}

// columns collects names of attributes. It holds at most twice MaxColumns.
type columns struct {
	names map[string]struct{}
	most  int
	more  bool // there are names beyond
}

func newColumns(most int) *columns { return &columns{names: map[string]struct{}{}, most: most} }

func (c *columns) add(name string) {
	if name == "created_at" {
		return
	}
	c.names[name] = struct{}{}
	if len(c.names) >= 2*c.most {
		c.sorted()
	}
}

// sorted keeps the first names there are and lists them.
func (c *columns) sorted() []string {
	out := slices.Sorted(maps.Keys(c.names))
	if len(out) > c.most {
		for _, name := range out[c.most:] {
			delete(c.names, name)
		}
		out, c.more = out[:c.most], true
	}
	return out
}

// shown calls each with all that a person is shown to have beside the fixed columns, and created_at.
func shown(d *person.Document, each func(name string, v value.Value)) {
	for i := range d.Attributes {
		if a := &d.Attributes[i]; !slices.Contains(derived[:], a.Name) {
			each(a.Name, a.Value)
		}
	}
	for _, name := range derived {
		if v := d.Get(name); v != nil {
			each(name, v)
		}
	}
}

// writePeople goes over the people twice: to count them and to learn the columns, then to write.
func writePeople(ctx context.Context, s Snapshot, spec *Spec, f *file) error {
	who, err := people(spec)
	if err != nil {
		return err
	}
	names, n := newColumns(MaxColumns), int64(0)
	err = s.People(ctx, who, func(d *person.Document) error {
		n++
		if spec.Format == CSV {
			shown(d, func(name string, _ value.Value) { names.add(name) })
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := f.total(ctx, n); err != nil {
		return err
	}
	if spec.Format == JSONL {
		return writeLines(ctx, s, who, f)
	}
	return writeTable(ctx, s, who, names, f)
}

// people is the filter of an order.
func people(spec *Spec) (*filter.Filter, error) {
	if spec.Filter == nil || spec.Filter.Kind() == value.Null {
		return nil, nil
	}
	f, err := filter.People(spec.Filter, "filters")
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "the filter cannot be read")
	}
	return f, nil
}

func writeTable(ctx context.Context, s Snapshot, who *filter.Filter, names *columns, f *file) error {
	head := append(slices.Clone(fixed[:]), names.sorted()...)
	at := map[string]int{"created_at": slices.Index(head, "created_at")}
	for i := len(fixed); i < len(head); i++ {
		at[head[i]] = i
	}
	if names.more {
		head = append(head, Rest)
	}
	t, err := newTable(f, head)
	if err != nil {
		return err
	}
	cells := make([]string, len(head))
	err = s.People(ctx, who, func(d *person.Document) error {
		clear(cells)
		fill(cells, at, d)
		return t.row(ctx, cells)
	})
	if err != nil {
		return err
	}
	return t.end(ctx)
}

// fill sets the cells of a person. at says where an attribute stands; what it does not name goes into the last cell.
func fill(cells []string, at map[string]int, d *person.Document) {
	cells[0], cells[1], cells[2] = d.ID, d.Email, d.CIO
	cells[4], cells[5] = strconv.FormatInt(d.Created/1000, 10), strconv.FormatBool(d.Unsubscribed)
	var rest value.Builder
	some := false
	shown(d, func(name string, v value.Value) {
		if i, ok := at[name]; ok {
			if v.Kind() != value.Null { // nothing is an empty cell
				cells[i] = v.Text()
			}
			return
		}
		rest.Set(name, v)
		some = true
	})
	if some {
		cells[len(cells)-1] = string(rest.Value())
	}
}

// writeLines writes JSON Lines, with the attributes as they are.
func writeLines(ctx context.Context, s Snapshot, who *filter.Filter, f *file) error {
	err := s.People(ctx, who, func(d *person.Document) error {
		if _, err := f.Write(line(d)); err != nil {
			return fmt.Errorf("write a line: %w", err)
		}
		return f.row(ctx)
	})
	if err != nil {
		return err
	}
	return f.end(ctx)
}

func line(d *person.Document) []byte {
	var b, attributes value.Builder
	for _, name := range [...]string{"id", "email", "cio_id"} {
		v := d.Get(name)
		if v == nil {
			v = value.NullValue
		}
		b.Set(name, v)
	}
	shown(d, func(name string, v value.Value) { attributes.Set(name, v) })
	b.Set("_created_in_customerio_at", value.Int(d.Created/1000)).Set("unsubscribed", value.OfBool(d.Unsubscribed))
	return append(b.Set("attributes", attributes.Value()).Value(), '\n')
}
