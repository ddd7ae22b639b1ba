package catalog

import (
	"fmt"
	"math"
	"slices"
)

// Grade is a mark from AAA to D.
type Grade string

var grades = []struct {
	grade Grade
	from  float64
	label string
}{
	{"AAA", 0.90, "best in class"},
	{"AA", 0.80, "strong, minor gaps"},
	{"A", 0.70, "functional agent integration"},
	{"BBB", 0.60, "basic connectivity"},
	{"BB", 0.50, "partial"},
	{"B", 0.40, "significant gaps, or not verified"},
	{"C", 0.30, "many gaps, or not verified"},
	{"D", 0, "little known, or not ready for agents"},
}

// GradeOf is the grade of a score from 0 to 1, before gates.
func GradeOf(score float64) Grade {
	for _, g := range grades {
		if score >= g.from {
			return g.grade
		}
	}
	return "D"
}

// Label is the grade in words.
func (g Grade) Label() string {
	for _, x := range grades {
		if x.grade == g {
			return x.label
		}
	}
	return ""
}

// Inputs are what the compatibility score looks at.
type Inputs struct {
	MCP     string `json:"mcp"`     // official, community or none
	API     bool   `json:"api"`     // the address of an API is known
	Auth    bool   `json:"auth"`    // so is how to authenticate
	Reports bool   `json:"reports"` // three reports or more
	Success bool   `json:"success"` // of these, 80 % or more of success
	Trust   bool   `json:"trust"`   // trust of 0.8 or more
}

// Score is a number with the grade that it gives, and what held the grade down.
type Score struct {
	Score   float64 `json:"score"` // 0 to 1, two decimals
	Grade   Grade   `json:"grade"`
	Label   string  `json:"label"`
	WouldBe Grade   `json:"would_be,omitempty"`
	HeldBy  string  `json:"held_by,omitempty"`
	Formula string  `json:"formula"`
}

// String is "0.93, AA (would be AAA, held by …)".
func (s Score) String() string {
	out := fmt.Sprintf("%.2f, %s", s.Score, s.Grade)
	if s.WouldBe != "" {
		out += fmt.Sprintf(" (would be %s, held by %s)", s.WouldBe, s.HeldBy)
	}
	return out
}

// round keeps two decimals, the half up. The nudge is for sums like 0.3+0.1+0.1+0.1+0.1, which lie a hair under.
func round(x float64) float64 { return math.Floor(x*100+0.5+1e-9) / 100 }

// Compatibility is the score that the directory KanseiLink shows for a service, by its published rule: a base for the way in
// (official MCP server .50, another's .40, an API only .30, nothing .10) and .10 for each of five inputs. AAA needs the reports.
func Compatibility(in Inputs) Score {
	points := 10
	switch {
	case in.MCP == "official":
		points = 50
	case in.MCP == "community":
		points = 40
	case in.API:
		points = 30
	}
	for _, have := range []bool{in.API, in.Auth, in.Reports, in.Reports && in.Success, in.Trust} {
		if have {
			points += 10
		}
	}
	s := Score{Score: float64(points) / 100, Formula: "compatibility " + FormulaVersion}
	s.Grade = GradeOf(s.Score)
	if s.Grade == "AAA" && !in.Reports {
		s.WouldBe, s.Grade, s.HeldBy = s.Grade, "AA", "fewer than three reports"
	}
	s.Label = s.Grade.Label()
	return s
}

// CompatibilityInputs reads the inputs from an entry: the ways in from what it says today, reports and trust from what the
// directory had. Nothing found here counts as a report.
func CompatibilityInputs(s *Service) Inputs {
	in := Inputs{MCP: "none"}
	for _, m := range s.MCP {
		if m.Kind == "official" || in.MCP == "none" {
			in.MCP = m.Kind
		}
	}
	for _, a := range s.APIs {
		in.API = in.API || len(a.BaseURLs) > 0
		in.Auth = in.Auth || len(a.Auth) > 0
	}
	for _, m := range s.MCP {
		in.Auth = in.Auth || m.Auth != ""
	}
	if d := s.Directory; d != nil {
		in.Reports, in.Success, in.Trust = d.Reports, d.Success, d.Trust
	}
	return in
}

// AsPublished are the inputs as the directory had them when it published its score; ok is false without such a record.
func AsPublished(s *Service) (in Inputs, ok bool) {
	if s.Directory == nil {
		return in, false
	}
	in = CompatibilityInputs(s)
	in.MCP = s.Directory.MCP
	return in, true
}

// Domain is a part of the readiness score.
type Domain struct {
	Name     string   `json:"name"`
	Points   float64  `json:"points"`
	Possible float64  `json:"possible"`
	Results  []Result `json:"checks"`
}

// Readiness is the score with everything that it was made from.
type Readiness struct {
	Score
	Points   float64  `json:"points"`
	Possible float64  `json:"possible"`
	Domains  []Domain `json:"domains"`
	Evidence Evidence `json:"evidence"` // level that most earned points rest on
	AsOf     string   `json:"as_of"`    // when the newest of the facts was checked
}

// topRuns are the carried-out tasks without which no service is AAA, and topRate their share of success.
const (
	topRuns = 5
	topRate = 0.8
)

// Ready scores an entry: every passed check earns its points times the factor of its evidence, over the points of all checks
// that can apply.
func Ready(s *Service) Readiness {
	var r Readiness
	byEvidence := map[Evidence]float64{}
	outcome := map[string]Outcome{}
	results := Results(s)
	for _, name := range domains {
		d := Domain{Name: name}
		for _, x := range results {
			if x.Domain != name {
				continue
			}
			d.Results = append(d.Results, x)
			d.Points, d.Possible = d.Points+x.Points, d.Possible+x.Possible
			byEvidence[x.Evidence] += x.Points
			outcome[x.Check] = x.Outcome
		}
		r.Points, r.Possible = r.Points+d.Points, r.Possible+d.Possible
		r.Domains = append(r.Domains, d)
	}
	for i := range r.Domains {
		r.Domains[i].Points = round(r.Domains[i].Points)
	}
	r.Points = round(r.Points)
	r.Evidence = Claimed
	for _, e := range []Evidence{Read, Probed, Executed, Independent} {
		if p := byEvidence[e]; p > 0 && p >= byEvidence[r.Evidence] {
			r.Evidence = e
		}
	}
	for _, f := range s.Facts {
		r.AsOf = max(r.AsOf, f.CheckedAt)
	}
	r.Formula = "readiness " + FormulaVersion
	if r.Possible > 0 {
		r.Score.Score = round(r.Points / r.Possible)
	}
	r.Grade = GradeOf(r.Score.Score)
	if held := held(outcome, s.Runs); r.Grade == "AAA" && held != "" {
		r.WouldBe, r.Grade, r.HeldBy = r.Grade, "AA", held
	}
	r.Label = r.Grade.Label()
	return r
}

// held names the gate that keeps a service from AAA; "" if none does.
func held(outcome map[string]Outcome, runs []Runs) string {
	if outcome["runtime.idempotency"] != Pass {
		return "idempotent writes not shown"
	}
	if outcome["runtime.errors"] != Pass {
		return "a stable shape of errors not shown"
	}
	rate, ok := SuccessRate(runs, "test")
	switch {
	case !ok:
		return fmt.Sprintf("fewer than %d executed runs", topRuns)
	case rate < topRate:
		return fmt.Sprintf("%.0f %% success of executed runs", rate*100)
	}
	return ""
}

// SuccessRate is the share of runs of one provenance that succeeded; ok is false below five runs.
func SuccessRate(runs []Runs, provenance string) (rate float64, ok bool) {
	n, good := 0, 0
	for _, r := range runs {
		if r.Provenance == provenance {
			n, good = n+r.Count, good+r.Succeeded
		}
	}
	if n < topRuns {
		return 0, false
	}
	return float64(good) / float64(n), true
}

// Access is how far an agent gets with a service.
type Access string

// The classes of Access. A service is in exactly one.
const (
	Verified    Access = "verified"    // executed runs or independent reports, 80 % of success or more
	Connectable Access = "connectable" // an MCP server or an API
	InfoOnly    Access = "info_only"   // neither
)

// AccessOf is the class of an entry.
func AccessOf(s *Service) Access {
	if rate, ok := SuccessRate(s.Runs, "test"); ok && rate >= topRate {
		return Verified
	}
	if len(s.MCP) > 0 || slices.ContainsFunc(s.APIs, func(a API) bool { return len(a.BaseURLs) > 0 }) {
		return Connectable
	}
	return InfoOnly
}
