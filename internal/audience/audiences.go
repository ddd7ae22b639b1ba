package audience

import "context"

// Audiences answers queries, from columns where it can.
type Audiences struct {
	src Source
}

// New returns Audiences over a source.
func New(src Source) *Audiences { return &Audiences{src: src} }

// Ask answers a query about as of now: writes that come in meanwhile may be in the answer or not, each person as a whole.
func (a *Audiences) Ask(ctx context.Context, q Query) (*Answer, error) { return Read(ctx, a.src, q) }
