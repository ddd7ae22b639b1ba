package segment

import "slices"

// Heading is what the node's own line in a tree says: "all of", "any of" and "none of" for groups, its sentence for others.
func (n *Node) Heading() string {
	if n == nil {
		return n.Sentence()
	}
	return n.heading
}

// head is what Heading says.
func (n *Node) head() string {
	switch n.kind {
	case all:
		return "all of"
	case anyOf:
		return "any of"
	case none:
		return "none of"
	default:
		return n.Sentence()
	}
}

// Looks lists the attributes of people, devices, objects and relationships, and the properties of events, at which n and what is below
// it looks, each once: as they are written, and what their paths go through.
func (n *Node) Looks() []string {
	var out []string
	add := func(name string) {
		if !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	n.walk(func(n *Node) {
		switch n.kind {
		case attribute, property:
			for _, start := range n.path.Starts() {
				add(start)
			}
			for i := range n.tests {
				for _, inner := range n.tests[i].cond.Looks() { // of the objects that it leads to
					add(inner)
					add(n.path.Starts()[0] + "." + inner)
				}
			}
		case happened:
			for _, name := range n.event.spec.Where.Looks() {
				add(name)
			}
		case device, related:
			for _, where := range [...]*Node{n.things.where, n.things.relationship} {
				for _, name := range where.Looks() {
					add(name)
				}
			}
		default:
		}
	})
	return out
}
