package audience

import (
	"context"

	"rapport.example/internal/definition"
	"rapport.example/internal/segment"
)

// Explain answers a condition for one person, line by line; set is the one that the person's document counts for. ok is
// false if there is no document with the ordinal. What the document has not counted is read from the person's history.
func Explain(ctx context.Context, src Source, workspace int64, set *definition.Set, tree *segment.Node, ordinal uint32, now int64) (why segment.Why, ok bool, err error) {
	tree, err = set.Resolve(tree)
	if err != nil {
		return segment.Why{}, false, err
	}
	trees := []*segment.Node{tree}
	members, err := membersOf(ctx, src, workspace, set, trees)
	if err != nil {
		return segment.Why{}, false, err
	}
	err = Scan(ctx, src, workspace, set, trees, nil, members, ordinal, ordinal+1, func(p *Person) error {
		why, ok = tree.Tree(p, now), true
		return nil
	})
	return why, ok, err
}
