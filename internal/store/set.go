package store

import (
	"slices"
	"strings"
)

// set is a list of rows kept column by column; each column is []int64, []string, [][]byte or []bool, all of one length.
// In a statement {rows} stands for it: PostgreSQL takes it as one array a column (SELECT * FROM unnest($1::bigint[], …)),
// SQLite as VALUES (?,?), … in pieces of at most maxRows rows, each piece one execution of the same statement. So a
// statement with {rows} takes no other arguments, and must mean the same run once or in pieces.
type set []any

// bulk is a statement that writes a set.
type bulk struct {
	sql  string
	rows set
}

// rows placeholder, and the bounds of one piece on SQLite: longer VALUES lists win nothing any more and cost memory.
const (
	rowsMark  = "{rows}"
	maxRows   = 64
	maxParams = 1024
)

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

// value is the set's value at a row and column, as the SQLite driver takes it.
func (s set) value(column, row int) any {
	switch c := s[column].(type) {
	case []int64:
		return c[row]
	case []string:
		return c[row]
	case [][]byte:
		if c[row] == nil {
			return nil
		}
		return c[row]
	case []bool:
		return c[row]
	default:
		return nil
	}
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

// values is sql for SQLite with n rows. The parameters are nameless on purpose: the driver looks a numbered one up by
// its name, in time linear in their number.
func (s set) values(sql string, n int) string {
	one := "(" + strings.Repeat("?,", len(s)-1) + "?)"
	return strings.Replace(sql, rowsMark, "VALUES "+strings.Repeat(one+",", n-1)+one, 1)
}

// piece is how many of the left rows the next piece holds: few sizes, so that few statements are prepared.
func (s set) piece(left int) int {
	most := min(maxRows, maxParams/len(s))
	for _, n := range [...]int{maxRows, 16, 4, 1} {
		if n <= left && n <= most {
			return n
		}
	}
	return 1
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
