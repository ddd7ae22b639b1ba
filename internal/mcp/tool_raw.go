package mcp

import (
	"cmp"
	"context"
	"errors"
	"math"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"rapport.example/internal/workspace"
)

type (
	findOperationIn struct {
		Query string `json:"query" jsonschema:"words of what it does, or of its path"`
		API   string `json:"api,omitempty" enum:"app,track"`
		page
	}
	operationRow struct {
		ID     string   `json:"operation_id"`
		Method string   `json:"method"`
		Path   string   `json:"path"`
		Doc    string   `json:"what"`
		Use    string   `json:"use" jsonschema:"the tool for it, or none"`
		Scope  string   `json:"scope,omitempty"`
		Fields []string `json:"body_fields,omitempty"`
	}

	readOperationIn struct {
		ID     string            `json:"operation_id" jsonschema:"from find_operation"`
		Path   map[string]string `json:"path,omitempty" jsonschema:"path parameters by name, not encoded"`
		Query  map[string]string `json:"query,omitempty"`
		Body   map[string]any    `json:"body,omitempty" jsonschema:"of searches"`
		Fields []string          `json:"fields,omitempty" jsonschema:"only these of each item"`
		page
	}
	readOperationOut struct {
		Item       map[string]any `json:"item" jsonschema:"the answer without its list"`
		Items      []any          `json:"items,omitempty" jsonschema:"its list"`
		NextCursor string         `json:"next_cursor,omitempty"`
		Truncated  bool           `json:"truncated,omitempty"`
	}

	writeOperationIn struct {
		ID    string            `json:"operation_id" jsonschema:"from find_operation"`
		Path  map[string]string `json:"path,omitempty" jsonschema:"path parameters by name, not encoded"`
		Query map[string]string `json:"query,omitempty"`
		Body  map[string]any    `json:"body,omitempty"`
		writing
	}
)

func (s *Server) rawTools() error {
	if s.o.Operations == nil {
		return nil
	}
	return errors.Join(
		declare(s, spec{
			setRaw, "find_operation", "Find an API operation", "Find the API operation for a task that no other tool does: searches the operations of the App and Track API by words, and tells which tool runs each.",
			workspace.Read, reads, false,
		}, s.findOperation),
		declare(s, spec{
			setRaw, readTool, "Run a read operation", "Run an API operation that only reads, by the operation_id of find_operation. Sensitive values are hidden without read:sensitive.",
			workspace.Read, reads, false,
		}, s.readOperation),
		declare(s, spec{
			setRaw, writeTool, "Run a write operation",
			"Call an API operation that writes and has no tool of its own, by the operation_id of find_operation. Sending, deleting and merging are refused.",
			workspace.WriteScope, anything, false,
		}, s.writeOperation),
	)
}

func (s *Server) findOperation(_ context.Context, _ *Client, in findOperationIn) (listOut[operationRow], error) {
	if strings.TrimSpace(in.Query) == "" || len(in.Query) > 500 {
		return listOut[operationRow]{}, invalid("query", "must be 1 to 500 bytes")
	}
	return paged(s, in.page, "find_operation", []any{in.Query, in.API}, func(int, string) ([]operationRow, string, error) {
		all := s.operations()
		if in.API != "" {
			all = slices.DeleteFunc(all, func(o *Operation) bool { return o.Track != (in.API == "track") })
		}
		return ranked(in.Query, all), "", nil
	})
}

// ranked are the operations that have a word of the query, those with more and rarer ones first.
func ranked(query string, all []*Operation) []operationRow {
	words, in := make([][]string, len(all)), map[string]float64{}
	for i, o := range all {
		words[i] = wordsOf(o.Method + " " + o.Path + " " + o.Doc)
		for _, w := range words[i] {
			in[w]++
		}
	}
	type found struct {
		row   operationRow
		score float64
	}
	var hits []found
	for i, o := range all {
		r := operationRow{ID: o.ID(), Method: o.Method, Path: o.Path, Doc: o.Doc, Fields: o.Fields}
		r.Use, r.Scope = o.use()
		score := 0.0
		for _, w := range wordsOf(query) {
			if slices.Contains(words[i], w) {
				score += math.Log(1 + float64(len(all))/in[w])
			}
		}
		if query == r.ID {
			score = math.Inf(1)
		}
		if score > 0 {
			hits = append(hits, found{r, score / (1 + float64(len(words[i]))/50)})
		}
	}
	slices.SortStableFunc(hits, func(a, b found) int { return cmp.Compare(b.score, a.score) })
	rows := make([]operationRow, len(hits))
	for i := range hits {
		rows[i] = hits[i].row
	}
	return rows
}

var wordPattern = regexp.MustCompile(`[a-z0-9]+`)

// small are words that say nothing about an operation.
const small = " a an and are as at be by can do for from how i in is it me my of on one or that the their them they to up what when which who with you v1 api id "

// wordsOf are the words of a text, in their simplest form and each once.
func wordsOf(text string) []string {
	words := wordPattern.FindAllString(strings.ToLower(text), -1)
	for i, w := range words {
		switch {
		case strings.HasSuffix(w, "ies"):
			words[i] = w[:len(w)-3] + "y"
		case len(w) > 3 && strings.HasSuffix(w, "s") && !strings.HasSuffix(w, "ss"):
			words[i] = w[:len(w)-1]
		}
	}
	words = slices.DeleteFunc(words, func(w string) bool { return strings.Contains(small, " "+w+" ") })
	slices.Sort(words)
	return slices.Compact(words)
}

// operation finds one that a tool may carry out for the caller, and makes its request.
func (s *Server) operation(ctx context.Context, tool, id string, path, query map[string]string) (o *Operation, r call, err error) {
	all := s.operations()
	i := slices.IndexFunc(all, func(o *Operation) bool { return o.ID() == id })
	if i < 0 {
		return nil, r, &toolError{Code: "not_found", Field: "operation_id", Message: "this connection has no such operation", Hint: "find_operation finds ids"}
	}
	o = all[i]
	switch use, scope := o.use(); {
	case use == noTool:
		return nil, r, &toolError{
			Code: "policy_blocked", Field: "operation_id", Message: "no tool carries this operation out", Hint: "a person does it, in the program or with a key of their own",
		}
	case use != tool:
		return nil, r, &toolError{Code: "policy_blocked", Field: "operation_id", Message: "this operation has another tool", Hint: "use " + use}
	default:
		if err := s.need(ctx, scope); err != nil {
			return nil, r, err
		}
	}
	r = call{class: appClass, method: o.Method, as: o.Path, query: url.Values{}, again: tool == readTool}
	if o.Track {
		r.class = trackClass
	}
	if strings.HasSuffix(o.Path, "/archived_message") {
		r.class = archiveClass
	}
	if r.path, err = fill(o.Path, path); err != nil {
		return nil, r, err
	}
	for k, v := range query {
		r.query.Set(k, v)
	}
	return o, r, nil
}

// fill puts parameters into a path, each as one segment.
func fill(path string, params map[string]string) (string, error) {
	parts, used := strings.Split(path, "/"), 0
	for i, part := range parts {
		name, ok := strings.CutPrefix(part, "{")
		if !ok {
			continue
		}
		v, given := params[strings.TrimSuffix(name, "}")]
		switch {
		case !given || v == "":
			return "", invalid("path", "must give %s", strings.TrimSuffix(name, "}"))
		case len(v) > 500 || clean(v) != v:
			return "", invalid("path", "holds a value that is too long, or has control characters")
		case slices.ContainsFunc(strings.FieldsFunc(v, func(r rune) bool { return r == '/' || r == '\\' }), func(s string) bool { return s == "." || s == ".." }):
			return "", invalid("path", "holds a value that is a path")
		}
		parts[i], used = escaped(v), used+1
	}
	if used != len(params) {
		return "", invalid("path", "names a parameter that the operation does not have")
	}
	return strings.Join(parts, "/"), nil
}

func (s *Server) readOperation(ctx context.Context, c *Client, in readOperationIn) (out readOperationOut, err error) {
	o, r, err := s.operation(ctx, readTool, in.ID, in.Path, in.Query)
	if err != nil {
		return out, err
	}
	if in.Body != nil && o.Method == http.MethodGet {
		return out, invalid("body", "goes with searches only")
	}
	if o.Method != http.MethodGet {
		r.body = in.Body
	}
	var rest map[string]any
	in.room = mostRoom - littleRoom
	l, err := paged(s, in.page, readTool, []any{in.ID, textOf(in.Path), textOf(in.Query), textOf(in.Body), in.Fields}, func(limit int, start string) ([]any, string, error) {
		if start != "" {
			r.query.Set("start", start)
		}
		if in.Limit != 0 {
			r.query.Set("limit", textOf(limit))
		}
		if _, err := c.do(ctx, r, &rest); err != nil {
			return nil, "", err
		}
		rest, _ = s.veiled(ctx, rest).(map[string]any)
		rows, next := listIn(rest)
		for i := range rows {
			rows[i] = only(rows[i], in.Fields)
		}
		return rows, next, nil
	})
	if err != nil {
		return out, err
	}
	out = readOperationOut{Item: rest, NextCursor: l.NextCursor, Truncated: l.Truncated}
	if len(l.Items) > 0 {
		out.Items = l.Items
	} else {
		for k, v := range out.Item {
			out.Item[k] = only(v, in.Fields)
		}
	}
	room := mostRoom - weightOf(out.Items)
	if weightOf(out.Item) > room {
		if out.Item, err = shrunk(out.Item, max(room, littleRoom)); err != nil {
			return out, err
		}
		out.Truncated = true
	}
	return out, nil
}

// listIn takes the longest list and the token of the next page out of an answer.
func listIn(answer map[string]any) (rows []any, next string) {
	key := ""
	for _, k := range sortedKeys(answer) {
		if l, ok := answer[k].([]any); ok && (key == "" || len(l) > len(rows)) {
			key, rows = k, l
		}
	}
	if key != "" {
		delete(answer, key)
	}
	if v, ok := answer["next"].(string); ok {
		next = v
		delete(answer, "next")
	}
	return rows, next
}

// only keeps the fields that were asked for; of a value that is no object all.
func only(v any, fields []string) any {
	object, ok := v.(map[string]any)
	if !ok || len(fields) == 0 {
		return v
	}
	out := map[string]any{}
	for _, f := range fields {
		if v, ok := object[f]; ok {
			out[f] = v
		}
	}
	return out
}

// veiled cleans an answer, and hides values with sensitive names from callers who may not see them.
func (s *Server) veiled(ctx context.Context, v any) any {
	if v = cleanAll(v); slices.Contains(s.scopes(ctx), workspace.ReadSensitive) {
		return v
	}
	var veil func(v any)
	veil = func(v any) {
		switch v := v.(type) {
		case []any:
			for i := range v {
				veil(v[i])
			}
		case map[string]any:
			for k := range v {
				if s, ok := v[k].(string); ok && s == "" {
					continue
				}
				if veil(v[k]); sensitive(k) && v[k] != nil {
					v[k] = hidden
				}
			}
		}
	}
	veil(v)
	return v
}

func (s *Server) writeOperation(ctx context.Context, c *Client, in writeOperationIn) (out writeOut, err error) {
	o, r, err := s.operation(ctx, writeTool, in.ID, in.Path, in.Query)
	if err != nil {
		return out, err
	}
	if err := safe(in.Body); err != nil {
		return out, err
	}
	r.body = in.Body
	out = writeOut{Changes: []change{{Field: "operation", After: o.ID()}}, Undo: "read the values before with " + readTool + " to be able to take it back"}
	err = c.send(ctx, in.writing, r, &out, nil)
	return out, err
}

// safe refuses a body that subscribes somebody, or has the other side fetch something.
func safe(v any) error {
	switch v := v.(type) {
	case []any:
		for _, x := range v {
			if err := safe(x); err != nil {
				return err
			}
		}
	case map[string]any:
		for k, x := range v {
			if k == "optout" && x != true {
				return &toolError{Code: "policy_blocked", Field: "body", Message: "people are not subscribed again this way", Hint: "set_subscription does it, with consent_source"}
			}
			if k == "unsubscribed" || strings.HasPrefix(k, "cio_subscription_preferences") {
				return &toolError{Code: "policy_blocked", Field: "body", Message: "subscriptions have a tool of their own", Hint: "use set_subscription"}
			}
			if k = strings.ToLower(k); k == "url" || strings.HasSuffix(k, "_url") || slices.Contains([]string{"bcc", "cc", "fake_bcc", "recipient", "from_address", "reply_to"}, k) {
				return &toolError{Code: "policy_blocked", Field: "body", Message: "the body holds a field that agents may not set", Hint: "leave out what names a URL or a copy to somebody"}
			}
			if err := safe(x); err != nil {
				return err
			}
		}
	}
	return nil
}
