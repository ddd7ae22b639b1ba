package segment

// Why is a condition with what each part of it came to for a person, as a tree.
type Why struct {
	Line
	Parts []Why // in the condition's order; none for lines that are not groups
}

// Tree is Explain as a tree: the root's Match and Next are those of Eval. The nil Node has no parts, matches, and says
// "always".
func (n *Node) Tree(s Subject, now int64) Why {
	lines := n.Explain(s, now)
	if len(lines) == 0 {
		return Why{Line: Line{Sentence: n.Sentence(), Match: true}}
	}
	root, _ := grow(lines)
	return root
}

// grow takes the first line and all that are below it, and returns the lines that follow.
func grow(lines []Line) (Why, []Line) {
	w, rest := Why{Line: lines[0]}, lines[1:]
	for len(rest) > 0 && rest[0].Depth > w.Depth {
		var part Why
		part, rest = grow(rest)
		w.Parts = append(w.Parts, part)
	}
	return w, rest
}
