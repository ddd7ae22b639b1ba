package definition

import (
	"fmt"
	"slices"

	"rapport.example/internal/journey"
)

// Use is a definition that refers to a segment.
type Use struct {
	Kind string `json:"kind"` // campaigns or segments
	ID   int64  `json:"id"`   // numeric
	Slug string `json:"slug"`
	Name string `json:"name,omitempty"`
}

// SegmentUses lists what refers to each segment, by the segment's slug: campaigns in every state that it triggers or whose filter or
// branches ask for it, and segments whose conditions do. rows are the current ones of a workspace; users keep their order.
func SegmentUses(rows []Row) (map[string][]Use, error) {
	out := map[string][]Use{}
	for i := range rows {
		r := &rows[i]
		var slugs []string
		switch r.Kind {
		case Segments:
			seg, err := ParseSegment(r.Body)
			if err != nil {
				return nil, fmt.Errorf("segment %d: %w", r.ID, err)
			}
			slugs = seg.Condition.Mentions().Segments
		case Campaigns:
			def, err := journey.Parse(r.Body)
			if err != nil {
				return nil, fmt.Errorf("campaign %d: %w", r.ID, err)
			}
			if def.Trigger.Segment != "" {
				slugs = []string{def.Trigger.Segment}
			}
			for _, n := range def.Conditions() {
				slugs = append(slugs, n.Mentions().Segments...)
			}
		}
		slices.Sort(slugs)
		for _, slug := range slices.Compact(slugs) {
			out[slug] = append(out[slug], Use{r.Kind, r.ID, r.Slug, r.Body.Get("name").Text()})
		}
	}
	return out, nil
}
