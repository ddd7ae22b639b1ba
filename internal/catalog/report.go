package catalog

import (
	"cmp"
	"regexp"
	"slices"
	"strings"

	"rapport.example/internal/fault"
)

// Report says how a task with a service went, as somebody who carried it out tells. Reports are kept by workspace, stay out of
// every public number, and hold no personal data: free text is masked before it is kept.
type Report struct {
	ID         string `json:"id"`
	Service    string `json:"service_id"`
	Recipe     string `json:"recipe_id,omitempty"`
	Task       string `json:"task"`
	Success    bool   `json:"success"`
	ErrorType  string `json:"error_type,omitempty"`
	Latency    int64  `json:"latency_ms,omitempty"` // 0 = not told
	Workaround string `json:"workaround,omitempty"`
	FailedStep int    `json:"failed_step,omitempty"` // of the recipe, from 1
	Model      string `json:"model_family,omitempty"`
	Reporter   string `json:"reporter_hash"` // of the key, so that reporters can be counted
	Provenance string `json:"provenance"`    // agent
	Created    int64  `json:"created_at"`    // Unix ms
}

// Bounds of a report, in bytes.
const (
	maxText    = 500
	maxShort   = 60
	maxLatency = 86_400_000 // ms
)

// KeepReports is how many reports of a service a workspace keeps, the newest.
const KeepReports = 200

// Check holds a report to its bounds and to the catalogue, and masks its texts. Its error is Invalid with the field.
func (c *Catalog) Check(r *Report) error {
	switch {
	case c.Service(r.Service) == nil:
		return fault.Field("service_id", "is not in the catalogue; search_services lists ids")
	case strings.TrimSpace(r.Task) == "" || len(r.Task) > maxText:
		return fault.Field("task", "must be 1 to %d bytes", maxText)
	case len(r.Workaround) > maxText:
		return fault.Field("workaround", "must be at most %d bytes", maxText)
	case len(r.ErrorType) > maxShort:
		return fault.Field("error_type", "must be at most %d bytes", maxShort)
	case len(r.Model) > maxShort:
		return fault.Field("model_family", "must be at most %d bytes", maxShort)
	case r.Latency < 0 || r.Latency > maxLatency:
		return fault.Field("latency_ms", "must be 0 to %d", maxLatency)
	case r.Success && (r.ErrorType != "" || r.FailedStep != 0):
		return fault.Field("success", "must be false where error_type or failed_step is given")
	}
	if err := c.checkRecipe(r); err != nil {
		return err
	}
	for _, text := range []*string{&r.Task, &r.Workaround, &r.ErrorType, &r.Model} {
		*text = Mask(*text)
	}
	return nil
}

func (c *Catalog) checkRecipe(r *Report) error {
	if r.Recipe == "" {
		if r.FailedStep != 0 {
			return fault.Field("failed_step", "needs recipe_id")
		}
		return nil
	}
	for _, x := range c.recipes {
		if x.ID != r.Recipe {
			continue
		}
		if r.FailedStep < 0 || r.FailedStep > len(x.Steps) {
			return fault.Field("failed_step", "must be 1 to %d, the steps of the recipe", len(x.Steps))
		}
		return nil
	}
	return fault.Field("recipe_id", "is not in the catalogue")
}

// masks are what free text must not hold, in the order in which they are looked for.
func masks() []struct {
	find *regexp.Regexp
	put  string
} {
	return []struct {
		find *regexp.Regexp
		put  string
	}{
		{regexp.MustCompile(`(?i)\b(bearer|basic)\s+[a-z0-9+/_.=-]{8,}`), "$1 [key]"},
		{regexp.MustCompile(`(?i)[\p{L}\p{N}._%+-]+(@|%40)[\p{L}\p{N}.-]+`), "[email]"},
		{regexp.MustCompile(`\b\d{1,3}(\.\d{1,3}){3}\b`), "[ip]"},
		{regexp.MustCompile(`(?i)\b[0-9a-f]{0,4}(:[0-9a-f]{0,4}){3,7}\b`), "[ip]"},
		{regexp.MustCompile(`(?i)\b(sk|pk|rk|agk|key|api|xox[a-z]|ghp|whsec|sa_live|phc|re|pat)[-_][a-z0-9_-]{8,}`), "[key]"},
		{regexp.MustCompile(`\b[A-Za-z0-9+/_-]{24,}={0,2}`), "[key]"},
		{regexp.MustCompile(`\+?\d[\d ().-]{6,}\d`), "[phone]"},
	}
}

// Mask replaces addresses, numbers and keys in free text, and takes control characters out.
func Mask(text string) string {
	for _, m := range masks() {
		text = m.find.ReplaceAllString(text, m.put)
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case r < 0x20 || r == 0x7f, r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069:
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, "\uFFFD"))
}

// Reported sums up the reports of one provenance.
type Reported struct {
	Provenance  string         `json:"provenance"`
	Reports     int            `json:"reports"`
	Reporters   int            `json:"reporters"`
	Success     *float64       `json:"success_rate,omitempty"` // left out below five reports
	Latency     int64          `json:"median_latency_ms,omitempty"`
	Errors      map[string]int `json:"error_types,omitempty"`
	Workarounds []string       `json:"workarounds,omitempty"` // of the newest, five at most
}

// SumUp sums up reports, each provenance by itself; reports come the newest first.
func SumUp(reports []Report) []Reported {
	by := map[string][]Report{}
	for _, r := range reports {
		by[r.Provenance] = append(by[r.Provenance], r)
	}
	out := []Reported{}
	for p, list := range by {
		out = append(out, sum(p, list))
	}
	slices.SortFunc(out, func(a, b Reported) int { return cmp.Compare(a.Provenance, b.Provenance) })
	return out
}

func sum(provenance string, list []Report) Reported {
	s := Reported{Provenance: provenance, Reports: len(list), Errors: map[string]int{}}
	who, good := map[string]bool{}, 0
	var times []int64
	for _, r := range list {
		who[r.Reporter] = true
		if r.Success {
			good++
		}
		if r.ErrorType != "" {
			s.Errors[r.ErrorType]++
		}
		if r.Latency > 0 {
			times = append(times, r.Latency)
		}
		if r.Workaround != "" && len(s.Workarounds) < 5 && !slices.Contains(s.Workarounds, r.Workaround) {
			s.Workarounds = append(s.Workarounds, r.Workaround)
		}
	}
	s.Reporters = len(who)
	if len(list) >= topRuns {
		rate := float64(good) / float64(len(list))
		s.Success = &rate
	}
	if len(times) > 0 {
		slices.Sort(times)
		s.Latency = times[len(times)/2]
	}
	return s
}
