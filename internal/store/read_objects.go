package store

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"rapport.example/internal/filter"
	"rapport.example/internal/object"
	"rapport.example/internal/value"
)

// ObjectTypes lists the types that objects have or had, ascending.
func (db *DB) ObjectTypes(ctx context.Context, ws int64) ([]int64, error) {
	const sql = `SELECT name FROM counters WHERE workspace = $1 AND name LIKE 'objects:%'` // the engine's, one a type
	var out []int64
	err := db.queryRows(ctx, sql, []any{ws}, func(r row) error {
		var name string
		if err := r.Scan(&name); err != nil {
			return err
		}
		n, err := strconv.ParseInt(strings.TrimPrefix(name, "objects:"), 10, 64)
		out = append(out, n)
		return err
	})
	slices.Sort(out)
	return out, err
}

// CountObjects counts the objects of a workspace.
func (db *DB) CountObjects(ctx context.Context, ws int64) (n int64, err error) {
	_, err = db.queryOne(ctx, `SELECT count(*) FROM objects WHERE workspace = $1`, []any{ws}, &n)
	return n, err
}

// SearchObjects lists up to limit (at least 1) objects of a type that meet the filter, nil is all, with ids after one, by id. next
// is the after of the following page, "" at the end. As SearchPeople, a page costs a bounded number of rows and bytes; it may be
// short, even empty, while next is not "". An object's id never changes.
func (db *DB) SearchObjects(ctx context.Context, ws, typ int64, f *filter.Filter, after string, limit int) (page []object.Object, next string, err error) {
	return db.searchObjects(ctx, ws, typ, f, after, limit, pageBounds())
}

func (db *DB) searchObjects(ctx context.Context, ws, typ int64, f *filter.Filter, after string, limit int, left searchBounds) ([]object.Object, string, error) {
	const sql = `SELECT ` + objectColumns + ` FROM objects o WHERE o.workspace = $1 AND o.type = $2 AND o.id > $3 ORDER BY o.id LIMIT $4`
	const most = 2000
	var page []object.Object
	look := func(o object.Object, size int) error {
		if left.people <= 0 || left.bytes <= 0 {
			return errEnough
		}
		left.people--
		left.bytes -= size
		if f.Match(filter.Attributes(attributesOf(&o))) {
			if len(page) == limit {
				return errEnough
			}
			page = append(page, o)
		}
		after = o.ID
		return nil
	}
	for run := min(limit+1, most); ; run = min(4*run, most) {
		n := 0
		err := db.queryRows(ctx, sql, []any{ws, typ, clean(after), int64(run)}, func(r row) error {
			n++
			o, size, err := scanObjectSize(r)
			if err != nil {
				return err
			}
			return look(o, size)
		})
		switch {
		case errors.Is(err, errEnough):
			return page, after, nil
		case err != nil:
			return nil, "", err
		case n < run:
			return page, "", nil
		}
	}
}

// attributesOf are what filters of objects ask for: attributes, and the identifiers, whose names no attribute can have.
func attributesOf(o *object.Object) func(name string) value.Value {
	return func(name string) value.Value {
		switch name {
		case "object_id":
			return value.Quote(o.ID)
		case "cio_object_id":
			return value.Quote(o.CIO)
		}
		return o.Attributes.Get(name)
	}
}
