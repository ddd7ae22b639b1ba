package audience

import (
	"context"
	"runtime"

	"github.com/RoaringBitmap/roaring/v2"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"rapport.example/internal/segment"
)

// pieceBits is the width of an ordinal's place within a piece of 65,536, as that of segments' bitmaps.
const pieceBits = 16

// scanners bounds how many ranges are read at once: two keep two processors busy and leave readers to others.
const scanners = 2

// Read answers by a streamed scan: everybody's document is looked at once, nothing of them is kept. It is right for every tree.
func Read(ctx context.Context, src Source, q Query) (*Answer, error) { return read(ctx, src, nil, q) }

func read(ctx context.Context, src Source, gate *semaphore.Weighted, q Query) (*Answer, error) {
	var err error
	if q.Tree, err = q.Set.Resolve(q.Tree); err != nil {
		return nil, err
	}
	last, err := src.LastPerson(ctx, q.Workspace)
	if err != nil {
		return nil, err
	}
	trees := []*segment.Node{q.Tree}
	members, err := membersOf(ctx, src, q.Workspace, q.Set, trees)
	if err != nil {
		return nil, err
	}
	lines, specs := lay(q.Tree), countedOf(q.Set, trees)
	parts := make([]part, last>>pieceBits+1)
	for i := 0; i < len(parts); {
		past, end, err := piecesHistory(ctx, src, gate, q.Workspace, specs, afterOf(lines, q.Now), i, len(parts))
		if err != nil {
			return nil, err
		}
		err = eachPiece(ctx, i, end, func(ctx context.Context, i int) error {
			from, p := uint32(i)<<pieceBits, &parts[i] //nolint:gosec // ordinals
			p.members, p.lines = roaring.New(), make([]Line, len(lines))
			return scanRange(ctx, src, q.Workspace, specs, typesOf(trees), past, members, from, min(from+1<<pieceBits-1, last)+1, func(who *Person) error {
				p.count(lines, who, q.Now)
				return nil
			})
		})
		past.release()
		if err != nil {
			return nil, err
		}
		i = end
	}
	return gather(parts, q.Samples), nil
}

// eachPiece runs fn for pieces of ordinals, some beside each other.
func eachPiece(ctx context.Context, from, to int, fn func(ctx context.Context, i int) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(min(scanners, runtime.GOMAXPROCS(0)))
	for i := from; i < to; i++ {
		g.Go(func() error { return fn(ctx, i) })
	}
	return g.Wait()
}

// part is what a piece of the ordinals came to.
type part struct {
	people  int64
	members *roaring.Bitmap
	lines   []Line
}

func gather(parts []part, samples int) *Answer {
	out := &Answer{Members: roaring.New(), Lines: make([]Line, len(parts[0].lines))}
	for i := range parts {
		out.People += parts[i].people
		out.Members.Or(parts[i].members)
		for j, l := range parts[i].lines {
			out.Lines[j].Count += l.Count
			out.Lines[j].Alone += l.Alone
		}
	}
	out.Members.RunOptimize()
	out.Count = int64(out.Members.GetCardinality())
	out.Samples = spread(out.Members, samples)
	return out
}

// line is a node of the tree in the order of segment.Node.Explain.
type line struct {
	node  *segment.Node
	shape segment.Shape
	under []int // lines of the children
	outer bool  // directly in the outermost "all"
}

// lay lists the tree's nodes, parents before children.
func lay(tree *segment.Node) []line {
	if tree == nil {
		return nil
	}
	return appendLine(nil, tree)
}

func appendLine(out []line, n *segment.Node) []line {
	at := len(out)
	out = append(out, line{node: n, shape: n.Shape()})
	for _, c := range out[at].shape.Children {
		out[at].under = append(out[at].under, len(out))
		out = appendLine(out, c)
	}
	if at == 0 && out[0].shape.Group == segment.All {
		for _, c := range out[0].under {
			out[c].outer = true
		}
	}
	return out
}

// count asks every line of one person.
func (p *part) count(lines []line, who *Person, now int64) {
	p.people++
	wrong, at := 0, 0
	for i := range lines {
		if lines[i].node.Eval(who, now).Match {
			p.lines[i].Count++
			if i == 0 {
				p.members.Add(who.Ordinal())
			}
		} else if lines[i].outer {
			wrong, at = wrong+1, i
		}
	}
	if wrong == 1 {
		p.lines[at].Alone++
	}
	if len(lines) == 0 {
		p.members.Add(who.Ordinal())
	}
}
