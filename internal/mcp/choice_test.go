package mcp

import (
	"cmp"
	"math"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// finder is BM25 over the name, description and field names of tools: a stand-in for the search with which programs that have many
// tools choose the few that they show a model.
type finder struct {
	names []string
	docs  []map[string]float64
	sizes []float64
	mean  float64
	in    map[string]float64 // documents that hold a word
}

// noise are words that say nothing about a task.
var noise = strings.Fields("a an and are as at be been but by can could did do does for from had has have how i if in into is it its me my no not of off on or our own " +
	"out so that the their them then there these they this those to too up us was we were what when where which who whose why will with would you your")

var anyWord = regexp.MustCompile(`[a-z0-9]+`)

// stems are the words of a text without their endings, so that campaigns finds campaign and subscribed subscribe.
func stems(text string) (out []string) {
	for _, w := range anyWord.FindAllString(strings.ToLower(text), -1) {
		if slices.Contains(noise, w) {
			continue
		}
		for _, end := range []string{"ing", "ies", "ed", "es", "s", "e", "y"} {
			if len(w) > len(end)+3 && strings.HasSuffix(w, end) {
				w = strings.TrimSuffix(w, end)
				break
			}
		}
		out = append(out, strings.TrimSuffix(w, "e"))
	}
	return out
}

func newFinder(t *testing.T, s *Server) *finder {
	t.Helper()
	f := &finder{in: map[string]float64{}}
	for _, tool := range listed(t, s, everything).Tools {
		text := strings.ReplaceAll(tool.Name, "_", " ") + " " + tool.Description
		fields, _ := asMap(t, tool.InputSchema)["properties"].(map[string]any)
		for _, name := range sortedKeys(fields) {
			text += " " + strings.ReplaceAll(name, "_", " ")
		}
		doc, n := map[string]float64{}, 0.0
		for _, w := range stems(text) {
			if doc[w] == 0 {
				f.in[w]++
			}
			doc[w]++
			n++
		}
		f.names, f.docs, f.sizes = append(f.names, tool.Name), append(f.docs, doc), append(f.sizes, n)
		f.mean += n
	}
	f.mean /= float64(len(f.docs))
	return f
}

// rank orders the tools for a sentence, the best first.
func (f *finder) rank(sentence string) []string {
	const k1, b = 1.2, 0.75
	score := map[string]float64{}
	for i, doc := range f.docs {
		for _, w := range stems(sentence) {
			if tf := doc[w]; tf > 0 {
				idf := math.Log(1 + (float64(len(f.docs))-f.in[w]+0.5)/(f.in[w]+0.5))
				score[f.names[i]] += idf * tf * (k1 + 1) / (tf + k1*(1-b+b*f.sizes[i]/f.mean))
			}
		}
	}
	out := slices.Clone(f.names)
	slices.SortStableFunc(out, func(a, b string) int { return cmp.Compare(score[b], score[a]) })
	return out
}

// TestToolChoice: for what people ask, the right tool comes first nine times of ten, and always among the first three. The sentences
// were written before the descriptions.
func TestToolChoice(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("testdata/toolchoice.txt")
	if err != nil {
		t.Fatal(err)
	}
	f := newFinder(t, registry(t))
	all, first := 0, 0
	for line := range strings.Lines(string(raw)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		sentence, tool, ok := strings.Cut(line, " -> ")
		got := f.rank(sentence)
		place := slices.Index(got, tool)
		if all++; !ok || place < 0 {
			t.Errorf("%q names no tool", line)
		}
		if place == 0 {
			first++
		} else {
			t.Logf("%q: %s comes at %d, behind %v", sentence, tool, place+1, got[:min(place, 3)])
		}
		if place > 2 {
			t.Errorf("%q: %s is not among the first three, %v", sentence, tool, got[:3])
		}
	}
	t.Logf("%d of %d first", first, all)
	if all < 40 || first*10 < all*9 {
		t.Errorf("the right tool is first for %d of %d sentences, want nine of ten", first, all)
	}
}
