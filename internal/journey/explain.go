package journey

import (
	"strings"

	"rapport.example/internal/segment"
	"rapport.example/internal/value"
)

const maxReasons = 3 // lines of a condition that one sentence repeats; Detail has them all

// explain says why a condition is as it is: one sentence with the lines that decided it, and all lines as detail,
// [{"condition":…,"value":…,"true":…}].
func explain(n *segment.Node, subj segment.Subject, now int64) (string, value.Value) {
	lines := n.Explain(subj, now)
	if len(lines) == 0 {
		return n.Sentence(), nil
	}
	detail := []byte{'['}
	for i, l := range lines {
		if i > 0 {
			detail = append(detail, ',')
		}
		var b value.Builder
		b.Set("condition", value.Quote(l.Sentence))
		if l.Value != "" {
			b.Set("value", value.Quote(l.Value))
		}
		detail = append(detail, b.Set("true", value.OfBool(l.Match)).Value()...)
	}
	var parts []string
	deciding := decisive(lines, 0)
	for k, i := range deciding {
		if k == maxReasons {
			parts = append(parts, "…")
			break
		}
		parts = append(parts, sentence(lines[i]))
	}
	return strings.Join(parts, "; "), append(detail, ']')
}

func sentence(l segment.Line) string {
	is := ": false"
	if l.Match {
		is = ": true"
	}
	if l.Value == "" {
		return l.Sentence + is
	}
	return l.Sentence + is + " (" + l.Value + ")"
}

// decisive returns the indexes of the leaves under line i that made it what it is. Lines are in document order, each
// deeper than the group that it belongs to.
func decisive(lines []segment.Line, i int) []int {
	want := lines[i].Match != (lines[i].Sentence == "none of") // what the children are that decide
	leaf := true
	var out []int
	for k := i + 1; k < len(lines) && lines[k].Depth > lines[i].Depth; k++ {
		leaf = false
		if lines[k].Depth == lines[i].Depth+1 && lines[k].Match == want {
			out = append(out, decisive(lines, k)...)
		}
	}
	if leaf {
		return []int{i}
	}
	return out
}
