package app

import (
	"context"

	"rapport.example/internal/api"
	"rapport.example/internal/audience"
	"rapport.example/internal/definition"
	"rapport.example/internal/fault"
	"rapport.example/internal/segment"
	"rapport.example/internal/value"
)

// Audiences are the reads that answer conditions, for one person and for everybody.
type Audiences interface {
	audience.Source
	Names
	// DefinitionSets are the definitions by which memberships answer, and those that are being built.
	DefinitionSets(ctx context.Context, workspace int64) (live, next *definition.Set, err error)
}

// Asker answers a condition for everybody of a workspace.
type Asker interface {
	Ask(ctx context.Context, q audience.Query) (*audience.Answer, error)
}

// Line is a line of a condition with what it comes to over everybody, and the lines below it.
type Line struct {
	Condition string `json:"condition"`       // one English sentence; "all of", "any of" or "none of" for groups
	Count     *int64 `json:"count,omitempty"` // people for whom the line is true
	Alone     *int64 `json:"alone,omitempty"` // of lines directly in the outermost "all": people whom this line alone keeps out
	Parts     []Line `json:"parts,omitempty"`
}

// Audience is a condition that was asked of everybody.
type Audience struct {
	Tree     *segment.Node
	Answer   *audience.Answer
	Lines    Line
	Warnings []Warning // never nil
}

// maxSamples bounds how many people a preview names.
const maxSamples = 100

// Condition reads a condition of people that stands at path of a body, as a segment of a workspace would have it. Errors name the
// place within and say what to do. set has the segments that it may refer to.
func Condition(doc value.Value, path string, set *definition.Set) (*segment.Node, error) {
	tree, err := definition.Condition(doc, path)
	if err != nil {
		return nil, err
	}
	return tree, set.MayAsk(tree)
}

// Preview asks a condition of everybody as of now, Unix ms of the workspace's clock.
func Preview(ctx context.Context, store Audiences, ask Asker, workspace int64, doc value.Value, path string, samples int, now int64) (*Audience, error) {
	live, next, err := store.DefinitionSets(ctx, workspace)
	if err != nil {
		return nil, err
	}
	out := &Audience{Warnings: []Warning{}}
	if out.Tree, err = Condition(doc, path, next); err != nil {
		return nil, err
	}
	if out.Answer, err = ask.Ask(ctx, audience.Query{Workspace: workspace, Set: live, Tree: out.Tree, Now: now, Samples: min(samples, maxSamples)}); err != nil {
		return nil, err
	}
	out.Lines, _ = lines(out.Tree, out.Answer.Lines, false)
	if err := out.warn(ctx, store, workspace, next); err != nil {
		return nil, err
	}
	return out, nil
}

// lines takes the counts of n and of what is below it, and returns those that follow.
func lines(n *segment.Node, counts []audience.Line, outer bool) (Line, []audience.Line) {
	out := Line{Condition: n.Heading()}
	if len(counts) > 0 {
		if out.Count = &counts[0].Count; outer {
			out.Alone = &counts[0].Alone
		}
		counts = counts[1:]
	}
	shape := n.Shape()
	for _, c := range shape.Children {
		var part Line
		part, counts = lines(c, counts, !outer && shape.Group == segment.All)
		out.Parts = append(out.Parts, part)
	}
	return out, counts
}

// Lines is a condition's tree without counts.
func Lines(n *segment.Node) Line {
	out, _ := lines(n, nil, false)
	return out
}

// Method says how the condition was answered: "columns" from what is kept in memory, "scan" by reading everybody's document.
func (a *Audience) Method() string {
	if a.Answer.Columns {
		return "columns"
	}
	return "scan"
}

// PreviewRequest asks for whom a condition is true.
type PreviewRequest struct {
	Conditions value.Value `json:"conditions"`        // as in a workspace file
	Samples    *int        `json:"samples,omitempty"` // how many people to name, 0 to 100; 10 unless said
}

// ReadPreview reads a PreviewRequest with Samples set.
func ReadPreview(c *api.Call) (in PreviewRequest, err error) {
	if err := c.Decode(&in, true); err != nil {
		return in, err
	}
	if in.Conditions.Kind() == value.Absent {
		return in, fault.Field("conditions", "is required: a condition as in a workspace file, such as {\"attribute\": \"plan\", \"is\": \"pro\"}")
	}
	if in.Samples == nil {
		ten := 10
		in.Samples = &ten
	}
	if *in.Samples < 0 || *in.Samples > maxSamples {
		return in, fault.Field("samples", "must be from 0 to %d", maxSamples)
	}
	return in, nil
}

// Scans answers by reading everybody's documents.
type Scans struct{ Source audience.Source }

// Ask is part of Asker.
func (s Scans) Ask(ctx context.Context, q audience.Query) (*audience.Answer, error) {
	return audience.Read(ctx, s.Source, q)
}
