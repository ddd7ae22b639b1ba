package mcp

import (
	"context"
	"encoding/json"
	"net/url"
	"strconv"

	"rapport.example/internal/workspace"
)

type (
	previewIn struct {
		SegmentID  string         `json:"segment_id,omitempty" jsonschema:"or filter, conditions"`
		Filter     map[string]any `json:"filter,omitempty" jsonschema:"as in search_people"`
		Conditions map[string]any `json:"conditions,omitempty" jsonschema:"{\"all\":[{\"attribute\":\"plan\",\"is\":\"pro\"},{\"event\":\"bought\",\"within\":\"30d\"}]}; not hosted"`
		Channel    string         `json:"channel,omitempty" jsonschema:"default email" enum:"email,sms"`
		Sample     int            `json:"sample,omitempty" jsonschema:"0-10 of the people reached"`
	}
	previewOut struct {
		Size      int64            `json:"size"`
		Exact     bool             `json:"exact" jsonschema:"false: lower bounds"`
		Reachable int64            `json:"reachable" jsonschema:"with address, not unsubscribed"`
		Excluded  map[string]int64 `json:"excluded" jsonschema:"by reason; one person may count twice"`
		Sample    []personRow      `json:"sample"`
		Sentence  string           `json:"sentence,omitempty"`
		Lines     []countedLine    `json:"lines,omitempty" jsonschema:"line, people, alone: people it alone keeps out"`
		Warnings  []string         `json:"warnings,omitempty"`
		Truncated bool             `json:"truncated,omitempty"`
	}
	// countedLine is a line of a condition, deeper ones indented, with for how many people it is true and how many it alone keeps out. A map
	// has a schema of few words.
	countedLine map[string]any

	explainIn struct {
		who
		SegmentID string `json:"segment_id"`
	}
	explainOut struct {
		Member    bool         `json:"member"`
		Since     string       `json:"since,omitempty"`
		State     string       `json:"state" jsonschema:"not ready: lines may differ from member"`
		Next      string       `json:"next,omitempty" jsonschema:"when it could change by itself"`
		Lines     []reasonLine `json:"lines" jsonschema:"the segment's conditions, deeper ones indented; none for manual segments"`
		Truncated bool         `json:"truncated,omitempty"`
	}
	// reasonLine is a line of a condition with what a person has.
	reasonLine struct {
		Line  string `json:"line"`
		Value string `json:"value,omitempty"`
		True  *bool  `json:"true,omitempty"`
		Next  string `json:"next,omitempty"`
	}
)

func (s *Server) previewTool() error {
	return declare(s, spec{
		setSegments, "preview_audience", "Preview an audience", "Estimate the size of an audience, a segment or filter: how many people email or SMS can reach, and why the others are left out. Exact up to 20,000, and of conditions.",
		workspace.Read, reads, false,
	}, s.previewAudience)
}

func (s *Server) explainTool() error {
	return declare(s, spec{
		setSegmentsAdmin, "explain_membership", "Explain a membership", "Explain why a person is a member of a segment or is not in the segment, and since when: each condition of the segment, what the person has, when it changes.",
		workspace.Read, reads, true,
	}, s.explainMembership)
}

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
	given := 0
	for _, is := range []bool{in.SegmentID != "", len(in.Filter) > 0, len(in.Conditions) > 0} {
		if is {
			given++
		}
	}
	switch {
	case given != 1:
		return out, invalid("segment_id", "or filter or conditions must be given, and not more than one")
	case address == "":
		return out, invalid("channel", "must be email or sms")
	case in.Sample < 0 || in.Sample > 10:
		return out, invalid("sample", "must be 0 to 10")
	}
	if len(in.Conditions) > 0 {
		return s.previewConditions(ctx, c, in, address)
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

// previewed is what the preview of a condition answers.
type previewed struct {
	Count       int64             `json:"count"`
	Sentence    text              `json:"sentence"`
	Tree        previewedLine     `json:"tree"`
	Identifiers []map[string]text `json:"identifiers"`
	Warnings    []previewedNote   `json:"warnings"`
}

type previewedNote struct {
	Field   text `json:"field"`
	Message text `json:"message"`
}

type previewedLine struct {
	Condition text            `json:"condition"`
	Count     int64           `json:"count"`
	Alone     *int64          `json:"alone"`
	Parts     []previewedLine `json:"parts"`
}

// previewConditions asks for the conditions, and then for who of them has an address and wants mail.
func (s *Server) previewConditions(ctx context.Context, c *Client, in previewIn, address string) (out previewOut, err error) {
	if s.o.Hosted != nil {
		return out, &toolError{Code: "unsupported_on_connection", Field: "conditions", Message: "the hosted service cannot count conditions", Hint: "give a filter or a segment_id"}
	}
	asked := 0.0
	ask := func(conditions map[string]any, samples int) (p previewed, err error) {
		err = c.ask(ctx, "/v1/segments/preview", nil, map[string]any{"conditions": conditions, "samples": samples}, &p)
		asked++
		progress(ctx, asked, 4, "counting people")
		return p, err
	}
	among := func(attribute, word string, v any) map[string]any {
		return map[string]any{"all": []map[string]any{in.Conditions, {"attribute": attribute, word: v}}}
	}
	whole, err := ask(in.Conditions, 0)
	if err != nil {
		return out, err
	}
	unsubscribed, err := ask(among("unsubscribed", "is", true), 0)
	if err != nil {
		return out, err
	}
	nowhere, err := ask(among(address, "exists", false), 0)
	if err != nil {
		return out, err
	}
	reached := among(address, "exists", true)
	reached["all"] = append(reached["all"].([]map[string]any), map[string]any{"attribute": "unsubscribed", "is_not": true})
	some, err := ask(reached, in.Sample)
	if err != nil {
		return out, err
	}
	out = previewOut{
		Size: whole.Count, Exact: true, Reachable: some.Count, Excluded: map[string]int64{"unsubscribed": unsubscribed.Count, "no_" + address: nowhere.Count},
		Sample: []personRow{}, Sentence: cutTo(string(whole.Sentence), mostSentence),
	}
	for _, m := range some.Identifiers {
		delete(m, "email") // who they are is asked for by id
		out.Sample = append(out.Sample, personRow{Identifiers: texts(m)})
	}
	for _, w := range whole.Warnings[:min(len(whole.Warnings), 10)] {
		out.Warnings = append(out.Warnings, cutTo(string(w.Field+": "+w.Message), mostSentence))
	}
	room := mostRoom - weightOf(out)
	whole.Tree.each("", func(line string, l *previewedLine) {
		one := countedLine{"line": cutTo(line, mostSentence), "people": l.Count}
		if l.Alone != nil {
			one["alone"] = *l.Alone
		}
		if room -= weightOf(one); room < 0 {
			out.Truncated = true
			return
		}
		out.Lines = append(out.Lines, one)
	})
	return out, nil
}

// mostSentence is how many bytes of a sentence an answer has.
const mostSentence = 1000

// each visits the line and those below it, which are indented.
func (l *previewedLine) each(indent string, visit func(line string, l *previewedLine)) {
	visit(indent+string(l.Condition), l)
	for i := range l.Parts {
		l.Parts[i].each(indent+"  ", visit)
	}
}

// explained is a line of a condition with what it came to.
type explained struct {
	Condition text        `json:"condition"`
	Value     text        `json:"value"`
	True      bool        `json:"true"`
	Hidden    bool        `json:"hidden"`
	Next      json.Number `json:"next_change"`
	Parts     []explained `json:"parts"`
}

func (l *explained) each(indent string, visit func(reasonLine)) {
	r := reasonLine{Line: cutTo(indent+string(l.Condition), mostSentence), Value: string(l.Value), Next: rfc3339(l.Next)}
	if r.True = &l.True; l.Hidden {
		r.True = nil
		if len(l.Parts) == 0 {
			r.Value = hidden
		}
	}
	visit(r)
	for i := range l.Parts {
		l.Parts[i].each(indent+"  ", visit)
	}
}

func (s *Server) explainMembership(ctx context.Context, c *Client, in explainIn) (out explainOut, err error) {
	person, q, err := in.path()
	if err != nil {
		return out, err
	}
	if err := number("segment_id", in.SegmentID); err != nil {
		return out, err
	}
	var a struct {
		Member bool        `json:"member"`
		Since  json.Number `json:"since"`
		State  text        `json:"state"`
		Next   json.Number `json:"next_change"`
		Why    *explained  `json:"why"`
	}
	if err := c.read(ctx, "/v1/customers/"+person+"/segments/"+in.SegmentID, q, &a); err != nil {
		return out, err
	}
	out = explainOut{Member: a.Member, Since: rfc3339(a.Since), State: string(a.State), Next: rfc3339(a.Next), Lines: []reasonLine{}}
	if a.Why == nil {
		return out, nil
	}
	room := mostRoom
	a.Why.each("", func(l reasonLine) {
		if room -= weightOf(l); room < 0 {
			out.Truncated = true
			return
		}
		out.Lines = append(out.Lines, l)
	})
	return out, nil
}
