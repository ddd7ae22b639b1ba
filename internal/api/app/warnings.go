package app

import (
	"context"
	"fmt"

	"rapport.example/internal/definition"
	"rapport.example/internal/event"
	"rapport.example/internal/fault"
	"rapport.example/internal/person"
	"rapport.example/internal/segment"
)

// Warning is about what is allowed, but may be a slip.
type Warning struct {
	Field   string `json:"field"` // conditions.all[0].attribute
	Message string `json:"message"`
}

// WarningOf is a warning of what an error says.
func WarningOf(f *fault.Error) Warning { return Warning{f.Field, f.Msg} }

// Names are the reads that tell with which names a workspace's data was seen.
type Names interface {
	// NewestPeople lists up to limit people with ordinals up to and including from, the newest first; from 0 is the newest.
	NewestPeople(ctx context.Context, workspace int64, from uint32, limit int) ([]*person.Document, error)
	// Described lists the descriptions of a kind by name, up to limit behind one.
	Described(ctx context.Context, workspace int64, kind, after string, limit int) ([]Description, error)
}

// seenIn is how many of the newest people names are gathered from.
const seenIn = 500

// Seen gathers the names that a workspace's data has: those of the newest people, and those that are described.
func Seen(ctx context.Context, store Names, workspace int64) (*definition.Seen, error) {
	var out definition.Seen
	people, err := store.NewestPeople(ctx, workspace, 0, seenIn)
	if err != nil || len(people) == 0 {
		return &out, err
	}
	for _, d := range people {
		out.Person(d)
	}
	for _, kind := range [...]string{"attribute", "event"} {
		described, err := store.Described(ctx, workspace, kind, "", seenIn)
		if err != nil {
			return nil, err
		}
		for _, d := range described {
			if kind == "event" {
				out.Event(event.Track, d.Name)
			} else {
				out.Attribute(d.Name)
			}
		}
	}
	return &out, nil
}

// warn warns of segments that are being built, and of single lines that say nothing, which are mostly slips of the pen: names that nothing was
// seen with, lines that nobody or everybody meets.
func (a *Audience) warn(ctx context.Context, store Names, workspace int64, set *definition.Set) error {
	unseen := map[string]string{} // by field
	if a.odd(a.Tree, &a.Lines) {
		seen, err := Seen(ctx, store, workspace)
		if err != nil {
			return err
		}
		for _, f := range seen.Unseen(a.Tree) {
			unseen[f.Field] = f.Msg
		}
	}
	a.notice(a.Tree, &a.Lines, unseen, set)
	return nil
}

// says tells whether a line with names in it shows that there are such: it is true for some people, and not for others. A line that asks how
// old profiles are is that of any name.
func (a *Audience) says(shape *segment.Shape, l *Line) bool {
	aged := shape.Event != nil && shape.Event.Aged
	return *l.Count > 0 && *l.Count < a.Answer.People && !aged
}

// odd tells whether there is a line that says nothing.
func (a *Audience) odd(n *segment.Node, l *Line) bool {
	shape := n.Shape()
	for i, c := range shape.Children {
		if a.odd(c, &l.Parts[i]) {
			return true
		}
	}
	return shape.Group == segment.NoGroup && a.Answer.People > 0 && !a.says(&shape, l)
}

func (a *Audience) notice(n *segment.Node, l *Line, unseen map[string]string, set *definition.Set) {
	shape := n.Shape()
	for i, c := range shape.Children {
		a.notice(c, &l.Parts[i], unseen, set)
	}
	if shape.Group != segment.NoGroup {
		return
	}
	add := func(format string, args ...any) {
		a.Warnings = append(a.Warnings, Warning{shape.At, fmt.Sprintf(format, args...)})
	}
	if shape.Segment != "" && set.SegmentBySlug(shape.Segment).Building {
		add("segment %s is being built: its membership of before is what counts until that is done", shape.Segment)
	}
	message, strange := unseen[shape.At]
	switch {
	case a.Answer.People == 0:
	case strange && !a.says(&shape, l):
		add("%s", message)
	case *l.Count == 0:
		add("nobody meets: %s (names and values are case-sensitive)", l.Condition)
	case *l.Count == a.Answer.People:
		add("everybody meets: %s", l.Condition)
	}
}
