package mcp

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"rapport.example/internal/workspace"
)

type (
	listSegmentsIn struct {
		Query string `json:"query,omitempty" jsonschema:"part of the name"`
		Type  string `json:"type,omitempty" enum:"dynamic,manual"`
		page
	}
	segmentRow struct {
		ID          text `json:"id"`
		Name        text `json:"name"`
		Description text `json:"description,omitempty"`
		Type        text `json:"type,omitempty"`
		State       text `json:"state,omitempty"`
	}
	getSegmentIn struct {
		SegmentID string   `json:"segment_id"`
		Include   []string `json:"include,omitempty" enum:"count,used_by,members"`
		page
	}
	getSegmentOut struct {
		Item       segmentItem `json:"item" jsonschema:"as in list_segments"`
		NextCursor string      `json:"next_cursor,omitempty"`
		Truncated  bool        `json:"truncated,omitempty"`
	}
	segmentItem struct {
		segmentRow `schema:"-"`
		Count      *int64             `json:"count,omitempty"`
		UsedBy     map[string][]int64 `json:"used_by,omitempty"`
		Members    []personRow        `json:"members,omitempty"`
	}
	previewIn struct {
		SegmentID string         `json:"segment_id,omitempty" jsonschema:"instead of filter"`
		Filter    map[string]any `json:"filter,omitempty" jsonschema:"as in search_people"`
		Channel   string         `json:"channel,omitempty" jsonschema:"default email" enum:"email,sms"`
		Sample    int            `json:"sample,omitempty" jsonschema:"0-10 of the people reached"`
	}
	previewOut struct {
		Size      int64            `json:"size"`
		Exact     bool             `json:"exact" jsonschema:"false: lower bounds"`
		Reachable int64            `json:"reachable" jsonschema:"with an address, not unsubscribed"`
		Excluded  map[string]int64 `json:"excluded" jsonschema:"reason to number; one person may count twice"`
		Sample    []personRow      `json:"sample"`
	}
	createSegmentIn struct {
		Name        string `json:"name"`
		Description string `json:"description,omitempty"`
		writing
	}
	membersIn struct {
		SegmentID string   `json:"segment_id"`
		Add       []string `json:"add,omitempty" jsonschema:"ids; with remove at most 1,000"`
		Remove    []string `json:"remove,omitempty"`
		IDType    string   `json:"id_type,omitempty" jsonschema:"default id" enum:"id,email,cio_id"`
		writing
	}
)

func (s *Server) segmentTools() error {
	return errors.Join(
		declare(s, spec{
			setSegments, "list_segments", "List segments", "List all segments of the workspace: dynamic segments, made by rules, and manual segments, made of ids. Use get_segment for one.",
			workspace.Read, reads, false,
		}, s.listSegments),
		declare(s, spec{
			setSegments, "get_segment", "Read a segment", "One segment: how many people are in the segment, which campaigns use it, and who its members are, up to 100 a page.",
			workspace.Read, reads, false,
		}, s.getSegment),
		declare(s, spec{
			setSegments, "preview_audience", "Preview an audience", "Estimate the size of an audience, a segment or filter: how many people email or SMS can reach, and why the others are left out. Exact up to 20,000.",
			workspace.Read, reads, false,
		}, s.previewAudience),
		declare(s, spec{
			setSegments, "create_segment", "Create a manual segment", "Make a new empty manual segment with a name. Its people come from update_segment_members.",
			workspace.WriteScope, additions, false,
		}, s.createSegment),
		declare(s, spec{
			setSegments, "update_segment_members", "Change a manual segment", "Put people into a manual segment or take people out of it, up to 1,000 ids a call. It can start campaigns and so send messages.",
			workspace.WriteScope, live, false,
		}, s.updateMembers),
	)
}

func (s *Server) listSegments(ctx context.Context, c *Client, in listSegmentsIn) (listOut[segmentRow], error) {
	return paged(s, in.page, "list_segments", []any{in.Query, in.Type}, func(int, string) ([]segmentRow, string, error) {
		var l struct {
			Segments []segmentRow `json:"segments"`
		}
		err := c.read(ctx, "/v1/segments", nil, &l)
		rows := slices.DeleteFunc(l.Segments, func(r segmentRow) bool {
			return !contains(string(r.Name), in.Query) || in.Type != "" && !strings.EqualFold(in.Type, string(r.Type))
		})
		return rows, "", err
	})
}

func (s *Server) getSegment(ctx context.Context, c *Client, in getSegmentIn) (out getSegmentOut, err error) {
	if err := number("segment_id", in.SegmentID); err != nil {
		return out, err
	}
	path := "/v1/segments/" + in.SegmentID
	var a struct {
		Segment segmentRow `json:"segment"`
	}
	if err := c.read(ctx, path, nil, &a); err != nil {
		return out, err
	}
	out.Item.segmentRow = a.Segment
	for _, part := range in.Include {
		switch part {
		case "count":
			n, err := c.count(ctx, in.SegmentID)
			if err != nil {
				return out, err
			}
			out.Item.Count = &n
		case "used_by":
			var u struct {
				UsedBy map[string][]int64 `json:"used_by"`
			}
			if err := c.read(ctx, path+"/used_by", nil, &u); err != nil {
				return out, err
			}
			out.Item.UsedBy = map[string][]int64{}
			for k, v := range u.UsedBy {
				if len(v) > 0 {
					out.Item.UsedBy[clean(k)] = v[:min(len(v), mostUses)]
					out.Truncated = out.Truncated || len(v) > mostUses
				}
			}
		case "members":
			in.room = mostRoom - littleRoom // beside who uses it
			l, err := paged(s, in.page, "get_segment", []any{in.SegmentID}, func(limit int, start string) ([]personRow, string, error) {
				return readList(ctx, c, path+"/membership", nil, "identifiers", limit, start, func(m map[string]text) personRow { return personRow{Identifiers: texts(m)} })
			})
			if err != nil {
				return out, err
			}
			out.Item.Members, out.NextCursor, out.Truncated = l.Items, l.NextCursor, out.Truncated || l.Truncated
		default:
			return out, invalid("include", "knows count, used_by and members")
		}
	}
	return out, nil
}

// count is how many people are in a segment.
func (c *Client) count(ctx context.Context, segment string) (int64, error) {
	var n struct {
		Count json.Number `json:"count"`
	}
	if err := c.read(ctx, "/v1/segments/"+segment+"/customer_count", nil, &n); err != nil {
		return 0, err
	}
	return n.Count.Int64()
}

// mostUses is how many users of a segment of a kind an answer lists.
const mostUses = 100

// Bounds of counting people who match a filter, which the API can only list.
const (
	countPages = 20
	countLimit = 1000
)

// matching counts the people who match a filter, and returns the first of them. exact is false if there were too many to count.
func (c *Client) matching(ctx context.Context, filter map[string]any) (n int64, first []personRow, exact bool, err error) {
	start := ""
	for range countPages {
		q := url.Values{"limit": {strconv.Itoa(countLimit)}}
		if start != "" {
			q.Set("start", start)
		}
		var l struct {
			Identifiers []map[string]text `json:"identifiers"`
			Next        string            `json:"next"`
		}
		if err := c.ask(ctx, "/v1/customers", q, map[string]any{"filter": filter}, &l); err != nil {
			return 0, nil, false, err
		}
		for _, m := range l.Identifiers {
			if len(first) < 10 {
				first = append(first, personRow{Identifiers: texts(m)})
			}
		}
		if n += int64(len(l.Identifiers)); c.paged != nil {
			c.paged()
		}
		if start = l.Next; start == "" {
			return n, first, true, nil
		}
	}
	return n, first, false, nil
}

func (s *Server) previewAudience(ctx context.Context, c *Client, in previewIn) (out previewOut, err error) {
	address := map[string]string{"": "email", "email": "email", "sms": "phone"}[in.Channel]
	switch {
	case (in.SegmentID == "") == (len(in.Filter) == 0):
		return out, invalid("segment_id", "or filter must be given, and not both")
	case address == "":
		return out, invalid("channel", "must be email or sms")
	case in.Sample < 0 || in.Sample > 10:
		return out, invalid("sample", "must be 0 to 10")
	}
	audience := in.Filter
	if in.SegmentID != "" {
		if err := number("segment_id", in.SegmentID); err != nil {
			return out, err
		}
		audience = map[string]any{"segment": map[string]any{"id": json.Number(in.SegmentID)}}
	}
	attribute := func(name, operator, value string) map[string]any {
		a := map[string]any{"field": name, "operator": operator}
		if value != "" {
			a["value"] = value
		}
		return map[string]any{"attribute": a}
	}
	not := func(f map[string]any) map[string]any { return map[string]any{"not": f} }
	unsubscribed, addressed := attribute("unsubscribed", "eq", "true"), attribute(address, "exists", "")
	out = previewOut{Exact: true, Excluded: map[string]int64{}, Sample: []personRow{}}
	pages := 0.0
	c.paged = func() { // each request for a page counts
		pages++
		progress(ctx, pages, 0, "counting people")
	}
	for _, part := range []struct {
		and  []map[string]any
		into func(n int64, first []personRow)
	}{
		{nil, func(n int64, _ []personRow) { out.Size = n }},
		{[]map[string]any{unsubscribed}, func(n int64, _ []personRow) { out.Excluded["unsubscribed"] = n }},
		{[]map[string]any{not(addressed)}, func(n int64, _ []personRow) { out.Excluded["no_"+address] = n }},
		{[]map[string]any{addressed, not(unsubscribed)}, func(n int64, first []personRow) {
			out.Reachable, out.Sample = n, append(out.Sample, first[:min(in.Sample, len(first))]...)
		}},
	} {
		f := audience
		if part.and != nil {
			f = map[string]any{"and": append([]map[string]any{audience}, part.and...)}
		}
		n, first, exact, err := c.matching(ctx, f)
		if err != nil {
			return out, err
		}
		part.into(n, first)
		out.Exact = out.Exact && exact
	}
	if in.SegmentID != "" && !out.Exact {
		if out.Size, err = c.count(ctx, in.SegmentID); err != nil {
			return out, err
		}
	}
	return out, nil
}

func (s *Server) createSegment(ctx context.Context, c *Client, in createSegmentIn) (out writeOut, err error) {
	if strings.TrimSpace(in.Name) == "" || len(in.Name) > 200 {
		return out, invalid("name", "must be 1 to 200 bytes")
	}
	body := map[string]any{"name": in.Name}
	if in.Description != "" {
		body["description"] = in.Description
	}
	var a struct {
		Segment segmentRow `json:"segment"`
	}
	out = writeOut{Changes: []change{{Field: "segment", After: clean(in.Name)}}, Undo: "delete_segment"}
	err = c.send(ctx, in.writing, call{class: appClass, method: http.MethodPost, path: "/v1/segments", body: map[string]any{"segment": body}}, &out, &a)
	out.ID = string(a.Segment.ID)
	return out, err
}

func (s *Server) updateMembers(ctx context.Context, c *Client, in membersIn) (out writeOut, err error) {
	if err := number("segment_id", in.SegmentID); err != nil {
		return out, err
	}
	switch n := len(in.Add) + len(in.Remove); {
	case n == 0:
		return out, invalid("add", "or remove must name somebody")
	case n > 1000:
		return out, invalid("add", "and remove must name at most 1,000 people, not %d; send them in several calls", n)
	case len(in.Add) > 0 && len(in.Remove) > 0 && in.DryRun:
		return out, invalid("remove", "cannot be shown together with add; dry run one of them")
	}
	kind := in.IDType
	switch kind {
	case "":
		kind = "id"
	case "id", "email", "cio_id":
	default:
		return out, invalid("id_type", "must be id, email or cio_id")
	}
	out.Undo = "update_segment_members with add and remove exchanged, for those who were not in or not out before"
	for _, part := range [...]struct {
		field, path string
		ids         []string
	}{{"add", "add_customers", in.Add}, {"remove", "remove_customers", in.Remove}} {
		if len(part.ids) == 0 {
			continue
		}
		w := in.writing
		if w.IdempotencyKey != "" { // two requests of one call
			w.IdempotencyKey += "." + part.field
		}
		if err := w.check(); err != nil {
			return out, err
		}
		out.Changes = append(out.Changes, change{Field: part.field, After: strconv.Itoa(len(part.ids)) + " people"})
		if err := c.send(ctx, w, call{
			class: trackClass, method: http.MethodPost, path: "/api/v1/segments/" + in.SegmentID + "/" + part.path, query: url.Values{"id_type": {kind}},
			body: map[string]any{"ids": part.ids}, again: true,
		}, &out, nil); err != nil {
			return out, err
		}
	}
	return out, nil
}
