package catalog

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"unicode"

	"rapport.example/internal/fault"
)

// Query asks for services.
type Query struct {
	Intent   string // what is to be done, in words; "" ranks everything
	Category string // "" = all
	Access   Access // "" = all; else exactly this class
	Limit    int    // 1 to 100; 0 = 5
}

// Hit is a service that fits a query.
type Hit struct {
	Ranked
	Match float64  `json:"match"` // 0 without an intent
	Why   []string `json:"why"`   // words of the intent that were found, and where
}

// maxIntent is the longest intent, in bytes.
const maxIntent = 500

// The weights of the fields, and of readiness beside the match; b and k1 of BM25 as usual.
const (
	k1, b     = 1.2, 0.75
	readyPart = 0.3
)

var weights = []struct {
	field  string
	weight float64
	text   func(*Service) string
}{
	{"name", 4, func(s *Service) string { return s.Name + " " + s.ID }},
	{"aliases", 4, func(s *Service) string { return strings.Join(s.Aliases, " ") }},
	{"category", 2, func(s *Service) string { return s.Category }},
	{"summary", 1, func(s *Service) string { return s.Summary }},
	{"tasks", 3, func(s *Service) string { return strings.Join(s.Tasks, " ") }},
}

// Search lists the services that fit, the best first: an exact name or alias, then by match and readiness. Without an
// intent it is the ranking. Nothing fits where no word of the intent is found. Its error is Invalid.
func (c *Catalog) Search(q Query) ([]Hit, error) {
	if q.Limit == 0 {
		q.Limit = 5
	}
	switch {
	case q.Limit < 1 || q.Limit > 100:
		return nil, fault.Field("limit", "must be 1 to 100")
	case len(q.Intent) > maxIntent:
		return nil, fault.Field("intent", "must be at most %d bytes", maxIntent)
	case q.Access != "" && q.Access != Verified && q.Access != Connectable && q.Access != InfoOnly:
		return nil, fault.Field("agent_ready", "must be verified, connectable or info_only")
	case q.Category != "" && !slices.Contains(c.Categories(), q.Category):
		return nil, fault.Field("category", "must be one of: %s", strings.Join(c.Categories(), ", "))
	}
	words := slices.Compact(slices.Sorted(slices.Values(tokens(q.Intent))))
	ranked := c.Rank(q.Category)
	ix := newIndex(ranked)
	var out []Hit
	for i, r := range ranked {
		if q.Access != "" && r.Access != q.Access {
			continue
		}
		h := Hit{Ranked: r, Why: []string{}}
		if q.Intent != "" {
			h.Match, h.Why = ix.score(i, words)
			h.Match = round(h.Match * (1 - readyPart + readyPart*r.Readiness.Score.Score))
			if h.Match == 0 {
				continue
			}
		}
		out = append(out, h)
	}
	if q.Intent != "" {
		slices.SortStableFunc(out, func(a, b Hit) int {
			return cmp.Or(-compareBool(isNamed(a.Service, q.Intent), isNamed(b.Service, q.Intent)), cmp.Compare(b.Match, a.Match), cmp.Compare(a.Place, b.Place))
		})
	}
	return out[:min(len(out), q.Limit)], nil
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// isNamed tells whether the intent is the name of the service and nothing else.
func isNamed(s *Service, intent string) bool {
	want := strings.Join(tokens(intent), " ")
	for _, name := range append([]string{s.Name, s.ID}, s.Aliases...) {
		if strings.Join(tokens(name), " ") == want {
			return true
		}
	}
	return false
}

// index holds the words of every field of every service.
type index struct {
	words [][]map[string]int // service, field: word to count
	size  [][]int
	mean  []float64
	with  []map[string]int // field: word to number of services
	n     float64
}

func newIndex(list []Ranked) *index {
	ix := &index{mean: make([]float64, len(weights)), with: make([]map[string]int, len(weights)), n: float64(len(list))}
	for f := range weights {
		ix.with[f] = map[string]int{}
	}
	for _, r := range list {
		counts, sizes := make([]map[string]int, len(weights)), make([]int, len(weights))
		for f, w := range weights {
			counts[f] = map[string]int{}
			for _, t := range tokens(w.text(r.Service)) {
				if counts[f][t]++; counts[f][t] == 1 {
					ix.with[f][t]++
				}
				sizes[f]++
			}
			ix.mean[f] += float64(sizes[f]) / ix.n
		}
		ix.words, ix.size = append(ix.words, counts), append(ix.size, sizes)
	}
	return ix
}

// score is BM25 over the fields, each with its weight, and the words that were found.
func (ix *index) score(i int, words []string) (total float64, why []string) {
	why = []string{}
	for _, w := range words {
		for f := range weights {
			tf := float64(ix.words[i][f][w])
			if tf == 0 {
				continue
			}
			df := float64(ix.with[f][w])
			idf := math.Log(1 + (ix.n-df+0.5)/(df+0.5))
			norm := 1 - b + b*float64(ix.size[i][f])/max(ix.mean[f], 1)
			total += weights[f].weight * idf * tf * (k1 + 1) / (tf + k1*norm)
			why = append(why, w+" in "+weights[f].field)
		}
	}
	return total, why
}

// stop are words that tell services apart in nothing.
var stop = strings.Fields("a an and are as at be by can do for from how i in into is it me my of on or our service so that the this to use using we when with you your api want need")

// tokens are the words of a text: lower case, without plural endings, without stop words. A name such as Customer.io gives
// customer, io and customerio.
func tokens(text string) []string {
	var out []string
	for _, chunk := range strings.Fields(strings.ToLower(text)) {
		parts := strings.FieldsFunc(chunk, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
		if len(parts) > 1 {
			parts = append(parts, strings.Join(parts, ""))
		}
		for _, p := range parts {
			if !slices.Contains(stop, p) {
				out = append(out, stem(p))
			}
		}
	}
	return out
}

// stem takes usual endings off, so that message, messages and messaging are one word.
func stem(w string) string {
	for _, end := range []string{"ing", "ed", "es", "s", "e"} {
		if cut, ok := strings.CutSuffix(w, end); ok && len(cut) >= 4 && !strings.HasSuffix(cut, "s") {
			return cut
		}
	}
	return w
}
