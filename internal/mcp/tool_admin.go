package mcp

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"rapport.example/internal/workspace"
)

type (
	removePersonIn struct {
		who
		Action    string `json:"action" jsonschema:"suppress deletes and blocks the identifiers" enum:"delete,suppress,unsuppress"`
		ConfirmID string `json:"confirm_id" jsonschema:"the id again"`
		writing
	}
	mergeIn struct {
		Primary       string `json:"primary" jsonschema:"who stays"`
		PrimaryType   string `json:"primary_type,omitempty" jsonschema:"default id" enum:"id,email,cio_id"`
		Secondary     string `json:"secondary" jsonschema:"who is merged into the primary and deleted"`
		SecondaryType string `json:"secondary_type,omitempty" jsonschema:"default id" enum:"id,email,cio_id"`
		writing
	}
	batchIn struct {
		Operations []map[string]any `json:"operations" jsonschema:"Track v2 operations: type, action, identifiers, …; at most 500 KB, each 32 KB"`
		writing
	}
	deleteSegmentIn struct {
		SegmentID   string `json:"segment_id"`
		ConfirmName string `json:"confirm_name" jsonschema:"the segment's name"`
		writing
	}
)

func (s *Server) adminTools() error {
	return errors.Join(
		declare(s, spec{
			setPeopleAdmin, "remove_person", "Delete or suppress a person", "Delete a person with all their data, or suppress the address or id so that nobody can add it again, or free it. A deletion cannot be undone.",
			workspace.WriteLive, changes, false,
		}, s.removePerson),
		declare(s, spec{
			setPeopleAdmin, "merge_people", "Merge two people", "Merges the secondary person into the primary one and deletes the secondary. It cannot be undone.",
			workspace.WriteLive, removals, false,
		}, s.mergePeople),
		declare(s, spec{
			setPeopleAdmin, "batch_people", "Send many operations", "Send many profile updates in one request, like an import, and get those that failed. It can start campaigns and delete people.",
			workspace.WriteLive, anything, false,
		}, s.batchPeople),
		s.explainTool(),
		declare(s, spec{
			setSegmentsAdmin, "delete_segment", "Delete a manual segment", "Deletes a manual segment that no campaign uses. The people stay. It cannot be undone.",
			workspace.WriteLive, changes, false,
		}, s.deleteSegment),
	)
}

func (s *Server) removePerson(ctx context.Context, c *Client, in removePersonIn) (out writeOut, err error) {
	seg, _, err := in.path()
	if err != nil {
		return out, err
	}
	if in.ConfirmID != in.ID {
		return out, invalid("confirm_id", "must be the id again")
	}
	r := call{class: trackClass, method: http.MethodPost, path: "/api/v1/customers/" + seg, again: true}
	out = writeOut{Changes: []change{{Field: "person", After: in.Action}}, Undo: "it cannot be undone"}
	switch in.Action {
	case "delete":
		r.method = http.MethodDelete
	case "suppress":
		r.path += "/suppress"
	case "unsuppress":
		r.path += "/unsuppress"
		out.Undo = "remove_person with suppress"
	default:
		return out, invalid("action", "must be delete, suppress or unsuppress")
	}
	err = c.send(ctx, in.writing, r, &out, nil)
	return out, err
}

func (s *Server) mergePeople(ctx context.Context, c *Client, in mergeIn) (out writeOut, err error) {
	first, second := who{in.Primary, in.PrimaryType}, who{in.Secondary, in.SecondaryType}
	for field, p := range map[string]who{"primary": first, "secondary": second} {
		if _, _, err := p.path(); err != nil {
			return out, invalid(field, "is not a person's identifier: %s", strings.TrimPrefix(err.Error(), "invalid_input: "))
		}
	}
	if first == second {
		return out, invalid("secondary", "must be somebody else than the primary")
	}
	out = writeOut{Changes: []change{{Field: "secondary", After: "merged into the primary and deleted"}}, Undo: "it cannot be undone"}
	err = c.send(ctx, in.writing, call{
		class: trackClass, method: http.MethodPost, path: "/api/v1/merge_customers", body: map[string]any{"primary": first.body(), "secondary": second.body()},
	}, &out, nil)
	return out, err
}

func (s *Server) batchPeople(ctx context.Context, c *Client, in batchIn) (out writeOut, err error) {
	if len(in.Operations) == 0 || len(in.Operations) > 1000 {
		return out, invalid("operations", "must be 1 to 1,000 operations")
	}
	total := 0
	for i, op := range in.Operations {
		size := len(textOf(op))
		if total += size; size > 32<<10 || total > 500<<10 {
			return out, &toolError{Code: "payload_too_large", Field: "operations", Message: "an operation has at most 32 KB, a call 500 KB", Hint: "send them in several calls"}
		}
		if textOf(op["type"]) != "person" {
			return out, invalid("operations", "must be about people: operation %d has another type", i)
		}
		if err := ownWill(op); err != nil {
			return out, err
		}
	}
	var a struct {
		Errors []map[string]any `json:"errors"`
	}
	out.Undo = "operations cannot be taken back together"
	err = c.send(ctx, in.writing, call{class: trackClass, method: http.MethodPost, path: "/api/v2/batch", body: map[string]any{"batch": in.Operations}}, &out, &a)
	for _, e := range a.Errors {
		item, _ := cleanAll(e).(map[string]any)
		out.Errors = append(out.Errors, item)
	}
	return out, err
}

func (s *Server) deleteSegment(ctx context.Context, c *Client, in deleteSegmentIn) (out writeOut, err error) {
	if err := number("segment_id", in.SegmentID); err != nil {
		return out, err
	}
	var a struct {
		Segment segmentRow `json:"segment"`
	}
	path := "/v1/segments/" + escaped(in.SegmentID)
	if err := c.read(ctx, path, nil, &a); err != nil {
		return out, err
	}
	if string(a.Segment.Name) != in.ConfirmName {
		return out, invalid("confirm_name", "is not the segment's name")
	}
	var u struct {
		UsedBy map[string][]int64 `json:"used_by"`
	}
	if err := c.read(ctx, path+"/used_by", nil, &u); err != nil {
		return out, err
	}
	for _, ids := range u.UsedBy {
		if len(ids) > 0 {
			return out, &toolError{Code: "conflict", Message: "the segment is used", Hint: "get_segment with include used_by shows where; take it out there first"}
		}
	}
	out = writeOut{Changes: []change{{Field: "segment", Before: string(a.Segment.Name)}}, Undo: "it cannot be undone"}
	err = c.send(ctx, in.writing, call{class: appClass, method: http.MethodDelete, path: path}, &out, nil)
	return out, err
}
