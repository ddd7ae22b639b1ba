package rowset_test

import (
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	_ "modernc.org/sqlite"

	"rapport.example/internal/store/rowset"
)

func open(t *testing.T) *sql.DB {
	t.Helper()
	if err := rowset.Register(); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", "file:"+filepath.Join(t.TempDir(), "rows.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func show(v any) string { return fmt.Sprintf("%T %q", v, fmt.Sprint(v)) }

// read is all rows of a query with a loan as its only parameter, as text.
func read(t rapid.TB, db *sql.DB, query string, columns ...any) (out [][]string) {
	t.Helper()
	err := rowset.Lend(columns, func(number int64) error {
		rows, err := db.Query(query, number)
		if err != nil {
			return err
		}
		defer rows.Close()
		names, err := rows.Columns()
		if err != nil {
			return err
		}
		for rows.Next() {
			line, at := make([]any, len(names)), make([]any, len(names))
			for i := range line {
				at[i] = &line[i]
			}
			if err := rows.Scan(at...); err != nil {
				return err
			}
			var texts []string
			for _, v := range line {
				texts = append(texts, show(v))
			}
			out = append(out, texts)
		}
		return rows.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestRows: what is lent is what SQLite reads, whatever it is, straight away and by way of a table.
func TestRows(t *testing.T) {
	t.Parallel()
	db := open(t)
	if _, err := db.ExecContext(t.Context(), `CREATE TABLE kept (id INTEGER PRIMARY KEY, n, s, b, yes)`); err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 300).Draw(t, "rows")
		ids, ints, texts, blobs, bools := make([]int64, n), make([]int64, n), make([]string, n), make([][]byte, n), make([]bool, n)
		var want [][]string
		for i := range n {
			ids[i], ints[i] = int64(i), rapid.Int64().Draw(t, "int")
			texts[i] = rapid.OneOf(rapid.String(), rapid.Just(""), rapid.Just(strings.Repeat("long ", 2000))).Draw(t, "text")
			blobs[i] = rapid.OneOf(rapid.SliceOf(rapid.Byte()), rapid.Just([]byte(nil)), rapid.Just([]byte{})).Draw(t, "blob")
			bools[i] = rapid.Bool().Draw(t, "bool")
			blob, truth := show(blobs[i]), 0
			if blobs[i] == nil {
				blob = `<nil> "<nil>"`
			}
			if bools[i] {
				truth = 1
			}
			want = append(want, []string{fmt.Sprintf("int64 %q", fmt.Sprint(ints[i])), fmt.Sprintf("string %q", texts[i]), blob, fmt.Sprintf(`int64 "%d"`, truth)})
		}
		if got := read(t, db, rowset.Select(4), ints, texts, blobs, bools); !cmp.Equal(got, want) {
			t.Fatal(cmp.Diff(want, got))
		}
		if _, err := db.Exec(`DELETE FROM kept`); err != nil {
			t.Fatal(err)
		}
		read(t, db, `INSERT INTO kept `+rowset.Select(5)+` WHERE TRUE ON CONFLICT DO NOTHING`, ids, ints, texts, blobs, bools)
		if got := read(t, db, `SELECT n, s, b, yes FROM kept WHERE id IN (`+rowset.Select(1)+`) ORDER BY id`, ids); !cmp.Equal(got, want) {
			t.Fatal(cmp.Diff(want, got))
		}
	})
}

// TestGarbage reads rows that nothing but the loan refers to, while what was theirs is collected and written over.
func TestGarbage(t *testing.T) {
	t.Parallel()
	db := open(t)
	for range 20 {
		texts := make([]string, 2000)
		for i := range texts {
			texts[i] = strings.Clone(fmt.Sprintf("text %d", i))
		}
		columns := []any{texts}
		err := rowset.Lend(columns, func(number int64) error {
			columns[0], texts = nil, nil
			rows, err := db.QueryContext(t.Context(), rowset.Select(1), number)
			if err != nil {
				return err
			}
			defer rows.Close()
			for i := 0; rows.Next(); i++ {
				if i%200 == 0 {
					runtime.GC()
					_ = slices.Repeat([]string{strings.Clone("other")}, 5000)
				}
				var s string
				if err := rows.Scan(&s); err != nil || s != fmt.Sprintf("text %d", i) {
					return fmt.Errorf("row %d is %q: %w", i, s, err)
				}
			}
			return rows.Err()
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	db := open(t)
	boom := errors.New("boom")
	use := func(int64) error { return boom }
	for what, columns := range map[string][]any{
		"no columns": {}, "too many": make([]any, rowset.MaxColumns+1), "another type": {[]float64{1}}, "another length": {[]int64{1}, []string{}},
	} {
		if err := rowset.Lend(columns, use); err == nil || errors.Is(err, boom) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := rowset.Lend([]any{[]int64{1}}, use); !errors.Is(err, boom) {
		t.Errorf("an error of use: %v", err)
	}
	var last int64
	err := rowset.Lend([]any{[]int64{1}}, func(number int64) error {
		last = number
		for _, query := range []string{"SELECT c1 FROM rapport_rows(?)", rowset.Select(2)} {
			if err := db.QueryRowContext(t.Context(), query, number).Scan(new(any)); err == nil {
				t.Errorf("%s of a set with one column: no error", query)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.QueryRowContext(t.Context(), rowset.Select(1), last).Scan(new(any)); err == nil {
		t.Error("a loan that has ended can be read")
	}
	if err := db.QueryRowContext(t.Context(), "SELECT c0 FROM rapport_rows").Scan(new(any)); err == nil {
		t.Error("rows without a loan can be read")
	}
}

// TestEach shows the rows of a query, whatever they are, and ends with the visitor's error or panic; the connection can be used afterwards.
func TestEach(t *testing.T) {
	t.Parallel()
	db := open(t)
	db.SetMaxOpenConns(1)
	if _, err := db.ExecContext(t.Context(), `CREATE TABLE kept (id INTEGER PRIMARY KEY, b)`); err != nil {
		t.Fatal(err)
	}
	each := func(query string, visit func(int64, []byte) error) error {
		return rowset.Each(visit, func(number int64) error {
			return db.QueryRowContext(t.Context(), rowset.EachOf(query, 2), int64(7), number).Scan(new(any))
		})
	}
	const all = `SELECT id AS n, b AS b FROM kept WHERE id <> $1 ORDER BY id`
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 300).Draw(t, "rows")
		ids, blobs := make([]int64, n), make([][]byte, n)
		for i := range n {
			ids[i], blobs[i] = int64(i)+10, rapid.OneOf(rapid.SliceOf(rapid.Byte()), rapid.Just([]byte(nil)), rapid.Just(make([]byte, 20_000))).Draw(t, "blob")
		}
		if _, err := db.Exec(`DELETE FROM kept`); err != nil {
			t.Fatal(err)
		}
		read(t, db, `INSERT INTO kept `+rowset.Select(2), ids, blobs)
		i := 0
		err := each(all, func(id int64, b []byte) error {
			if id != ids[i] || !slices.Equal(b, blobs[i]) {
				return fmt.Errorf("row %d is %d %q, want %d %q", i, id, b, ids[i], blobs[i])
			}
			i++
			return nil
		})
		if err != nil || i != n {
			t.Fatal(i, n, err)
		}
		if n == 0 {
			return
		}
		boom, last := errors.New("boom"), rapid.IntRange(1, n).Draw(t, "last")
		i = 0
		if err := each(all, func(int64, []byte) error { // ends early
			if i++; i == last {
				return boom
			}
			return nil
		}); !errors.Is(err, boom) || i != last {
			t.Fatal(i, last, err)
		}
		func() {
			defer func() {
				if r := recover(); r != "boom" {
					t.Fatal(r)
				}
			}()
			_ = each(all, func(int64, []byte) error { panic("boom") })
		}()
	})
	if err := each(`SELECT nothing`, func(int64, []byte) error { return nil }); err == nil {
		t.Error("a statement that fails: no error")
	}
	var last int64
	if err := rowset.Each(nil, func(number int64) error { last = number; return nil }); err != nil {
		t.Fatal(err)
	}
	for _, number := range []int64{last, last + 1000} {
		if err := db.QueryRowContext(t.Context(), rowset.EachOf(`SELECT 1 AS n, x'00' AS b`, 1), number).Scan(new(any)); err == nil {
			t.Error("nobody looks, and there is no error")
		}
	}
}
