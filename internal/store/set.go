package store

import (
	"slices"
	"strings"

	"rapport.example/internal/store/rowset"
)

// set is a list of rows kept column by column; each column is []int64, []string, [][]byte or []bool, all of one length.
// In a statement {rows} stands for it: PostgreSQL takes it as one array a column (SELECT * FROM unnest($1::bigint[], …)),
// SQLite reads the slices themselves (SELECT c0, c1 FROM rapport_rows(?), see rowset), and writes them in parts. So a statement with
// {rows} takes no other arguments, and must mean the same run once or in parts.
type set []any

// bulk is a statement that writes a set.
type bulk struct {
	sql  string
	rows set
}

const rowsMark = "{rows}"

func (s set) len() int {
	if len(s) == 0 {
		return 0
	}
	switch c := s[0].(type) {
	case []int64:
		return len(c)
	case []string:
		return len(c)
	case [][]byte:
		return len(c)
	case []bool:
		return len(c)
	default:
		return 0
	}
}

// part is the rows from one to below another.
func (s set) part(from, to int) set {
	out := make(set, len(s))
	for i := range s {
		switch c := s[i].(type) {
		case []int64:
			out[i] = c[from:to]
		case []string:
			out[i] = c[from:to]
		case [][]byte:
			out[i] = c[from:to]
		case []bool:
			out[i] = c[from:to]
		}
	}
	return out
}

// unnest is sql for PostgreSQL.
func (s set) unnest(sql string) string {
	var b strings.Builder
	b.WriteString("SELECT * FROM unnest(")
	for i, c := range s {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteByte('$')
		b.WriteString(digits(i + 1))
		switch c.(type) {
		case []int64:
			b.WriteString("::bigint[]")
		case []string:
			b.WriteString("::text[]")
		case [][]byte:
			b.WriteString("::bytea[]")
		case []bool:
			b.WriteString("::boolean[]")
		}
	}
	b.WriteByte(')')
	return strings.Replace(sql, rowsMark, b.String(), 1)
}

func digits(n int) string {
	if n < 10 {
		return string(rune('0' + n))
	}
	return digits(n/10) + digits(n%10)
}

// lent is sql for SQLite. WHERE TRUE is there for INSERT … {rows} ON CONFLICT, where ON could else belong to a join. OR FAIL, because
// what a failed statement has written is undone with all of its transaction or savepoint: SQLite need not keep each page as it
// was, in order to undo the statement alone.
func (s set) lent(sql string) string {
	sql = strings.Replace(sql, rowsMark, rowset.Select(len(s))+" WHERE TRUE", 1)
	if insert, ok := strings.CutPrefix(sql, "INSERT INTO"); ok {
		return "INSERT OR FAIL INTO" + insert
	}
	return sql
}

// col is one column of a set.
func col[T, V any](items []T, f func(T) V) []V {
	out := make([]V, len(items))
	for i, it := range items {
		out[i] = f(it)
	}
	return out
}

// repeat is a column that holds v n times.
func repeat[V any](v V, n int) []V { return slices.Repeat([]V{v}, n) }

// sorted returns items in the order of cmp, copied only if they are not so already: writers that touch several rows do
// so in key order, which suits the trees and keeps two of them from waiting for each other.
func sorted[T any](items []T, cmp func(a, b T) int) []T {
	if slices.IsSortedFunc(items, cmp) {
		return items
	}
	out := slices.Clone(items)
	slices.SortFunc(out, cmp)
	return out
}
