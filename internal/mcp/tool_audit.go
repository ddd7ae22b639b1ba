package mcp

import (
	"context"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"rapport.example/internal/audit"
	"rapport.example/internal/workspace"
)

type (
	searchAuditIn struct {
		Tool    string `json:"tool,omitempty" jsonschema:"only calls of it; http for calls of the API without one"`
		Actor   string `json:"actor,omitempty" jsonschema:"number of an agent key"`
		Outcome string `json:"outcome,omitempty" jsonschema:"ok, dry_run or an error code"`
		Since   string `json:"since,omitempty" jsonschema:"RFC 3339"`
		page
	}
	auditRow struct {
		Seq       int64          `json:"seq"`
		At        string         `json:"at"`
		ID        string         `json:"audit_id"`
		Actor     string         `json:"actor"`
		Client    text           `json:"client,omitempty"`
		Tool      text           `json:"tool"`
		Outcome   text           `json:"outcome"`
		Rule      text           `json:"rule,omitempty"`
		Arguments map[string]any `json:"arguments,omitempty"`
		Calls     []string       `json:"calls,omitempty"`
	}
)

func (s *Server) auditTools() error {
	return declare(s, spec{
		setAdmin, "search_audit_log", "Search the record", "What agents did and were refused in this workspace, newest first: by tool, key, outcome and time. Arguments are without personal data.",
		workspace.Audit, reads, s.o.Recorded == nil,
	}, s.searchAudit)
}

// Bounds of looking through the record for one page.
const auditPages, auditPage = 10, 500

func (s *Server) searchAudit(ctx context.Context, c *Client, in searchAuditIn) (out listOut[auditRow], err error) {
	args := in.owned([]any{in.Tool, in.Actor, in.Outcome, in.Since})
	limit, at, err := s.page(in.page, "search_audit_log", args)
	if err != nil {
		return out, err
	}
	since, err := seconds("since", in.Since)
	if err != nil {
		return out, err
	}
	if in.Actor != "" {
		if err := number("actor", in.Actor); err != nil {
			return out, err
		}
	}
	seq := int64(at.Skip)
	if seq == 0 {
		seq = math.MaxInt64
	}
	out.Items = []auditRow{}
	room := mostRoom
	if in.Limit == 0 {
		room = littleRoom
	}
	for range auditPages {
		list, err := s.recorded(ctx, c, seq)
		if err != nil {
			return out, err
		}
		for i := range list {
			e := &list[i]
			if since > 0 && e.At < since*1000 {
				return out, nil
			}
			if in.Tool != "" && e.Tool != in.Tool || in.Actor != "" && strconv.FormatInt(e.Key, 10) != in.Actor || in.Outcome != "" && e.Outcome != in.Outcome {
				seq = e.Seq
				continue
			}
			row := rowOf(e)
			n := weightOf(row)
			if len(out.Items) == limit || n > room && len(out.Items) > 0 {
				out.NextCursor, out.Truncated = s.cursor(mark{Skip: int(seq)}, "search_audit_log", args), true
				return out, nil
			}
			out.Items, seq, room = append(out.Items, row), e.Seq, room-n
		}
		if len(list) < auditPage {
			return out, nil
		}
	}
	out.NextCursor, out.Truncated = s.cursor(mark{Skip: int(seq)}, "search_audit_log", args), true
	return out, nil
}

func rowOf(e *audit.Entry) auditRow {
	r := auditRow{
		Seq: e.Seq, At: time.UnixMilli(e.At).UTC().Format(time.RFC3339), ID: clean(e.ID), Actor: strconv.FormatInt(e.Key, 10), Client: text(clean(e.Client)),
		Tool: text(clean(e.Tool)), Outcome: text(e.Outcome), Rule: text(clean(e.Rule)),
	}
	r.Arguments, _ = cleanAll(e.Arguments).(map[string]any)
	for _, c := range e.Calls[:min(len(e.Calls), 10)] {
		r.Calls = append(r.Calls, c.Method+" "+clean(c.Path)+" "+strconv.Itoa(c.Status))
	}
	return r
}

// recorded are up to auditPage entries before a sequence number, the newest first.
func (s *Server) recorded(ctx context.Context, c *Client, before int64) ([]audit.Entry, error) {
	if s.o.Recorded != nil {
		var last []audit.Entry // a ring of the newest ones
		n := 0
		err := s.o.Recorded(func(e *audit.Entry) error {
			switch {
			case e.Seq >= before:
			case len(last) < auditPage:
				last = append(last, *e)
				n++
			default:
				last[n%auditPage] = *e
				n++
			}
			return ctx.Err()
		})
		out := make([]audit.Entry, 0, len(last))
		for i := range last {
			out = append(out, last[(n-1-i)%auditPage])
		}
		return out, err
	}
	if err := s.recorder(c).flush(ctx); err != nil { // the caller's own reads before this
		return nil, err
	}
	var l struct {
		Entries []audit.Entry `json:"entries"`
	}
	q := url.Values{"newest": {"true"}, "limit": {strconv.Itoa(auditPage)}}
	if before != math.MaxInt64 {
		q.Set("seq", strconv.FormatInt(before, 10))
	}
	_, err := c.do(ctx, call{class: auditClass, method: http.MethodGet, path: "/agents/v1/audit", query: q, again: true}, &l)
	return l.Entries, err
}
