package catalog

import (
	"cmp"
	"slices"
)

// Ranked is a service with its place.
type Ranked struct {
	Place         int       `json:"place"` // 1 is first; within the category asked for
	Service       *Service  `json:"-"`
	ID            string    `json:"id"`
	Name          string    `json:"name"`
	Category      string    `json:"category"`
	Summary       string    `json:"summary"`
	Own           bool      `json:"own,omitempty"`
	Access        Access    `json:"access"`
	Readiness     Readiness `json:"readiness"`
	Compatibility Score     `json:"aeo_score"`
}

// Rank orders the services of a category, or of all for "", by readiness; ties by the level of evidence, then by name.
func (c *Catalog) Rank(category string) []Ranked {
	var out []Ranked
	for i := range c.services {
		s := &c.services[i]
		if category != "" && s.Category != category {
			continue
		}
		out = append(out, Ranked{
			Service: s, ID: s.ID, Name: s.Name, Category: s.Category, Summary: s.Summary, Own: s.Own, Access: AccessOf(s),
			Readiness: Ready(s), Compatibility: Compatibility(CompatibilityInputs(s)),
		})
	}
	slices.SortStableFunc(out, func(a, b Ranked) int {
		return cmp.Or(cmp.Compare(b.Readiness.Score.Score, a.Readiness.Score.Score), cmp.Compare(b.Readiness.Evidence, a.Readiness.Evidence),
			cmp.Compare(a.Name, b.Name))
	})
	for i := range out {
		out[i].Place = i + 1
	}
	return out
}
