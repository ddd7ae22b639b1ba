package segment

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"rapport.example/internal/event"
)

// TestTree holds the tree to the lines of Explain in their order, and its root to Eval.
func TestTree(t *testing.T) {
	t.Parallel()
	n := mustParse(t, `{"all":[{"attribute":"plan","is":"pro"},{"none":[{"any":[{"segment":"vip"},{"event":"b"}]},{"segment":"old"}]},
		{"event":"a","at_least":2,"within":"1d"}]}`)
	b := newBody(epoch)
	b.attributes["plan"] = mustValue(t, `"pro"`)
	for i := range int64(2) {
		b.observe(specsOf(n), event.Activity{Type: event.Track, Name: "a", At: epoch + i})
	}
	for _, now := range []int64{epoch + hour, epoch + 2*day} {
		got := n.Tree(b, now)
		if r := n.Eval(b, now); got.Match != r.Match || got.Next != r.Next {
			t.Errorf("root at %d = %t until %d, Eval = %t until %d", now, got.Match, got.Next, r.Match, r.Next)
		}
		if diff := cmp.Diff(n.Explain(b, now), flat(nil, got)); diff != "" {
			t.Errorf("lines at %d (-Explain +Tree):\n%s", now, diff)
		}
	}
	root := n.Tree(b, epoch+hour)
	if len(root.Parts) != 3 || len(root.Parts[1].Parts) != 2 || len(root.Parts[1].Parts[0].Parts) != 2 || root.Parts[2].Parts != nil {
		t.Errorf("Tree = %+v, want the shape of the condition", root)
	}
	var always *Node
	if diff := cmp.Diff(Why{Line: Line{Sentence: "always", Match: true}}, always.Tree(b, epoch)); diff != "" {
		t.Errorf("Tree of no condition (-want +got):\n%s", diff)
	}
}

func flat(out []Line, w Why) []Line {
	out = append(out, w.Line)
	for _, p := range w.Parts {
		out = flat(out, p)
	}
	return out
}
