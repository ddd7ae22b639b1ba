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
	Cursor string `json:"cursor,omitempty"`
	owner  string // the workspace that the list is of; see bind
	room   int    // what the page may cost, as weigh has it; 0 = what is usual
}

// bind says whose list it is: a cursor of one workspace is none of another.
func (p *page) bind(owner string) { p.owner = owner }

// owned are the arguments that tell a list from others, with whose it is.
func (p *page) owned(args []any) []any {
	return append(args[:len(args):len(args)], "workspace "+p.owner)
}

// listOut is what every list tool answers.
type listOut[T any] struct {
	Items      []T    `json:"items"`
	NextCursor string `json:"next_cursor,omitempty"`
	Truncated  bool   `json:"truncated,omitempty"`
	shortened  bool   // a row alone was too long, and its texts were cut
}

// What the rows of an answer may cost a model, in tokens as weigh estimates them. A caller who does not say how many rows it wants gets
// as many as cost little; nobody gets more than a model can be given at once, which is 8,000 with all that is around the rows.
const (
	littleRoom = 1_400
	mostRoom   = 6_500
)

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
	args = p.owned(args)
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
	room := p.room
	switch {
	case room > 0:
	case p.Limit == 0:
		room = littleRoom
	default:
		room = mostRoom
	}
	n, short, err := cut(rows, limit, room)
	if err != nil {
		return out, err
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
	out.Truncated, out.shortened = out.NextCursor != "" || short, short
	return out, nil
}

// cut tells how many of the first rows there is room for, up to limit and one at least; that one is shortened if it takes more than all.
func cut[T any](rows []T, limit, room int) (n int, short bool, err error) {
	most := room
	if room == littleRoom { // one long row may cost more
		most = mostRoom
	}
	for sum := 0; n < len(rows) && n < limit; n++ {
		b, err := json.Marshal(rows[n])
		if err != nil {
			return 0, false, fmt.Errorf("encode a row: %w", err)
		}
		w := weigh(b) + 1
		if sum += w; sum > room && n > 0 {
			return n, false, nil
		}
		if w > most {
			if rows[n], err = shrunk(rows[n], most); err != nil {
				return 0, false, err
			}
			return n + 1, true, nil
		}
	}
	return n, false, nil
}

// fit is cut for lists that come whole and have no limit: it takes as many rows as there is room for, from where the cursor says.
func fit[T any](s *Server, p page, tool string, args []any, rows []T) (out listOut[T], err error) {
	args = p.owned(args)
	_, at, err := s.page(p, tool, args)
	if err != nil {
		return out, err
	}
	rows = rows[min(at.Skip, len(rows)):]
	n, short, err := cut(rows, len(rows), p.room)
	if err != nil {
		return out, err
	}
	if n < len(rows) {
		out.NextCursor = s.cursor(mark{Skip: at.Skip + n}, tool, args)
	}
	out.Items, out.shortened, out.Truncated = rows[:n], short, short || n < len(rows)
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
