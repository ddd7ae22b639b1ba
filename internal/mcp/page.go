package mcp

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"fmt"
)

// page is what every list tool takes.
type page struct {
	Limit  int    `json:"limit,omitempty" jsonschema:"1-100, default 20"`
	Cursor string `json:"cursor,omitempty" jsonschema:"next_cursor of the page before"`
}

// listOut is what every list tool answers.
type listOut[T any] struct {
	Items      []T    `json:"items"`
	NextCursor string `json:"next_cursor,omitempty"`
	Truncated  bool   `json:"truncated,omitempty"`
}

// budget is how many bytes of JSON the rows of one answer may take: about 8,000 tokens.
const budget = 30_000

// mark is what a cursor holds: the back end's token of the page that is read next, how many of its rows were answered already, and
// which list that is.
type mark struct {
	Next string `json:"n,omitempty"`
	Skip int    `json:"s,omitempty"`
	Size int    `json:"z,omitempty"` // of that page
	List string `json:"l"`
}

// fetch answers a page of a back end's list, and the token of the one behind it, "" at the end.
type fetch[T any] func(limit int, start string) (rows []T, next string, err error)

// paged answers one page of a list, cut between rows where it would become too long. tool and args say which list it is; a cursor
// of another one is refused. A list that comes whole ignores limit and start and is cut here.
func paged[T any](s *Server, p page, tool string, args []any, f fetch[T]) (out listOut[T], err error) {
	limit, at, err := s.page(p, tool, args)
	if err != nil {
		return out, err
	}
	if at.Size == 0 {
		at.Size = limit
	}
	rows, next, err := f(at.Size, at.Next)
	if err != nil {
		return out, err
	}
	rows = rows[min(at.Skip, len(rows)):]
	n, size := 0, 0
	for n < len(rows) && n < limit {
		b, err := json.Marshal(rows[n])
		if err != nil {
			return out, fmt.Errorf("encode a row: %w", err)
		}
		if size += len(b) + 1; size > budget && n > 0 {
			break
		}
		n++
	}
	if out.Items = rows[:n]; out.Items == nil {
		out.Items = []T{}
	}
	switch {
	case n < len(rows):
		out.NextCursor = s.cursor(mark{Next: at.Next, Skip: at.Skip + n, Size: at.Size}, tool, args)
	case next != "":
		out.NextCursor = s.cursor(mark{Next: next}, tool, args)
	}
	out.Truncated = out.NextCursor != ""
	return out, nil
}

// cursor seals where a list goes on.
func (s *Server) cursor(m mark, tool string, args []any) string {
	m.List = listOf(tool, args)
	b, err := json.Marshal(m)
	if err != nil {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(append(s.seal(b), b...))
}

func (s *Server) seal(b []byte) []byte {
	h := hmac.New(sha256.New, s.o.Secret)
	h.Write([]byte("mcp cursor:"))
	h.Write(b)
	return h.Sum(nil)[:16]
}

func listOf(tool string, args []any) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %q", tool, args))
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}

// page checks limit and cursor and returns where the list goes on.
func (s *Server) page(p page, tool string, args []any) (limit int, at mark, err error) {
	limit = p.Limit
	if limit == 0 {
		limit = 20
	}
	if limit < 1 || limit > 100 {
		return 0, at, invalid("limit", "must be 1 to 100")
	}
	if p.Cursor == "" {
		return limit, at, nil
	}
	b, derr := base64.RawURLEncoding.DecodeString(p.Cursor)
	if derr != nil || len(b) < 16 || subtle.ConstantTimeCompare(b[:16], s.seal(b[16:])) != 1 || json.Unmarshal(b[16:], &at) != nil {
		return 0, at, invalid("cursor", "is not one that this server gave out")
	}
	if at.List != listOf(tool, args) {
		return 0, at, invalid("cursor", "belongs to a call with other arguments")
	}
	return limit, at, nil
}
