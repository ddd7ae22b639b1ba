package audience

import (
	"context"

	"rapport.example/internal/definition"
	"rapport.example/internal/segment"
)

// Past is what the documents of some people have not counted, for Scan and Recount to take instead of following these people's chains.
// It says nothing about whom following is quicker for. It holds for documents that have not changed since it was counted. It is safe for concurrent use.
type Past struct {
	from, to uint32
	now      int64
	history  *history // nil where chains are to be followed
}

// Count counts for people with ordinals in [from, to) what the trees ask for as of now or later. It ends before to, where about room
// bytes of memory would not do.
func Count(ctx context.Context, src Source, workspace int64, set *definition.Set, trees []*segment.Node, now int64, from, to uint32, room int64) (*Past, error) {
	var lines []line
	for _, tree := range trees {
		lines = append(lines, lay(tree)...)
	}
	return newPast(ctx, src, workspace, countedOf(set, trees), afterOf(lines, now), now, from, to, room)
}

// CountAll is Count for every event condition of the set, whenever the events were.
func CountAll(ctx context.Context, src Source, workspace int64, set *definition.Set, from, to uint32, room int64) (*Past, error) {
	return newPast(ctx, src, workspace, countedAll(set), nil, 0, from, to, room)
}

func newPast(ctx context.Context, src Source, workspace int64, specs []counted, after map[uint64]int64, now int64, from, to uint32, room int64) (*Past, error) {
	h, err := readHistory(ctx, src, nil, room, workspace, specs, after, from, to)
	if err != nil {
		return nil, err
	}
	p := &Past{from: from, to: to, now: now, history: h}
	if h != nil {
		p.to = h.to
	}
	return p, nil
}

// Covers reports whether it was counted for the person, or found that their chains are to be followed. That of nil was for nobody.
func (p *Past) Covers(ordinal uint32) bool { return p != nil && p.from <= ordinal && ordinal < p.to }

// To is the first ordinal behind those that it was counted for.
func (p *Past) To() uint32 { return p.to }

// Now is the moment before which nothing is to be evaluated with it, 0 if there is none.
func (p *Past) Now() int64 {
	if p == nil {
		return 0
	}
	return p.now
}

func (p *Past) counted() *history {
	if p == nil {
		return nil
	}
	return p.history
}
