package catalog

// Detail is all that the guide says of one service.
type Detail struct {
	Service       *Service       `json:"service"`
	Access        Access         `json:"access"`
	Readiness     Readiness      `json:"readiness"`
	Compatibility Compatible     `json:"aeo_score"`
	Place         int            `json:"place"`    // in its category
	Of            int            `json:"place_of"` // services in the category
	Recipes       []Recipe       `json:"recipes"`
	Test          *Rate          `json:"tests,omitempty"`  // of executed runs; nil below five
	Probe         *Rate          `json:"probes,omitempty"` // of probes; nil below five
	byKey         map[string]int // number of each fact, from 1, as the pages show it
}

// Rate is a share of success, of one provenance only.
type Rate struct {
	Rate  float64 `json:"success_rate"`
	Count int     `json:"runs"`
}

// Compatible is the compatibility score with what it was computed from.
type Compatible struct {
	Score
	Inputs      Inputs     `json:"inputs"`
	AsPublished *Published `json:"as_published,omitempty"`
}

// Published is a directory's score, and the same score computed here from the inputs of that time.
type Published struct {
	Directory  string  `json:"directory"`
	AsOf       string  `json:"as_of"`
	Score      float64 `json:"score"`
	Grade      string  `json:"grade"`
	Recomputed Score   `json:"recomputed"`
	Inputs     Inputs  `json:"inputs"`
	Inferred   string  `json:"inferred,omitempty"`
}

// Detail is all about one service; nil if there is none with that id.
func (c *Catalog) Detail(id string) *Detail {
	s := c.Service(id)
	if s == nil {
		return nil
	}
	d := &Detail{Service: s, Access: AccessOf(s), Readiness: Ready(s), Recipes: c.RecipesFor(id), byKey: map[string]int{}}
	d.Compatibility = Compatible{Inputs: CompatibilityInputs(s)}
	d.Compatibility.Score = Compatibility(d.Compatibility.Inputs)
	if in, ok := AsPublished(s); ok {
		d.Compatibility.AsPublished = &Published{
			Directory: s.Directory.Name, AsOf: s.Directory.AsOf, Score: s.Directory.Score, Grade: s.Directory.Grade,
			Recomputed: Compatibility(in), Inputs: in, Inferred: s.Directory.Inferred,
		}
	}
	if d.Recipes == nil {
		d.Recipes = []Recipe{}
	}
	d.Test, d.Probe = rateOf(s.Runs, "test"), rateOf(s.Runs, "probe")
	for _, r := range c.Rank(s.Category) {
		d.Of++
		if r.ID == id {
			d.Place = r.Place
		}
	}
	for i, f := range s.Facts {
		d.byKey[f.Key] = i + 1
	}
	return d
}

func rateOf(runs []Runs, provenance string) *Rate {
	rate, ok := SuccessRate(runs, provenance)
	if !ok {
		return nil
	}
	n := 0
	for _, r := range runs {
		if r.Provenance == provenance {
			n += r.Count
		}
	}
	return &Rate{rate, n}
}

// Number is the number under which a page lists a fact; 0 for one that is not there.
func (d *Detail) Number(key string) int { return d.byKey[key] }
