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
		s.previewTool(),
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
