package definition

import (
	"cmp"
	"errors"
	"slices"
	"strings"

	"rapport.example/internal/event"
	"rapport.example/internal/fault"
	"rapport.example/internal/ingest"
	"rapport.example/internal/journey"
	"rapport.example/internal/message"
	"rapport.example/internal/segment"
	"rapport.example/internal/value"
)

// Compile makes the runnable forms of one workspace's rows: the current ones, and old versions of campaigns, which
// journeys may still run on. Rows in any order; deleted ones are left out. An error is of kind Invalid, its Field starts
// with kind and slug.
func Compile(rows []Row) (*Set, error) {
	rows = slices.Clone(rows)
	slices.SortFunc(rows, func(a, b Row) int {
		return cmp.Or(strings.Compare(a.Kind, b.Kind), cmp.Compare(a.ID, b.ID), cmp.Compare(a.Version, b.Version))
	})
	c := compiler{set: &Set{
		segmentByID: map[int64]*Segment{}, segmentBySlug: map[string]*Segment{},
		byAttribute: map[string][]*Segment{}, byChain: map[string][]*Segment{}, bySegment: map[string][]*Segment{},
		versions: map[campaignKey]*journey.Campaign{}, byEvent: map[string][]*journey.Campaign{},
		senders: map[string]*message.Sender{}, layouts: map[string]*message.Layout{}, topics: map[string]*Topic{},
		transactionalByID: map[int64]*TransactionalMessage{}, transactionalSlug: map[string]*TransactionalMessage{},
		named: map[string]*journey.Campaign{}, actions: map[int64]value.Value{},
		facts: map[uint64]*Fact{}, factsOf: map[string][]*Fact{},
		byObject: map[int64][]*Segment{}, spreads: map[segment.ObjectField]bool{},
	}}
	for i := range rows {
		r := &rows[i]
		if r.Deleted || !r.Current && r.Kind != Campaigns {
			continue
		}
		if err := c.row(r); err != nil {
			return nil, at(r.Kind, r.Slug, err)
		}
	}
	for _, step := range []func() error{c.messages, c.order, c.references} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	c.facts()
	return c.set, nil
}

// Check says whether the workspace would compile after p was saved; nothing is changed. Errors are those of Apply and
// Compile.
func Check(rows []Row, p ingest.DefinePayload) error {
	after, err := preview(rows, p)
	if err != nil {
		return err
	}
	_, err = Compile(after)
	return err
}

// preview is rows as they would be after p was saved, under numbers of its own.
func preview(rows []Row, p ingest.DefinePayload) ([]Row, error) {
	n := int64(1) << 40 // beyond all real numbers
	changed, err := Apply(rows, p, 1<<40, 0, func(string) int64 { n++; return n })
	if err != nil {
		return nil, err
	}
	after := slices.Clone(rows)
	for i := range after {
		r := &after[i]
		replaced := func(x Row) bool { return x.Kind == r.Kind && x.ID == r.ID }
		r.Current = r.Current && !slices.ContainsFunc(changed, replaced)
	}
	return append(after, changed...), nil
}

type compiler struct{ set *Set }

// at puts kind and slug in front of an error's field.
func at(kind, slug string, err error) error {
	var f *fault.Error
	if !errors.As(err, &f) {
		return fault.Field(kind+"."+slug, "%s", err)
	}
	out := *f
	out.Field = kind + "." + slug
	if f.Field != "" {
		out.Field += "." + f.Field
	}
	return &out
}

func (c *compiler) row(r *Row) error {
	switch r.Kind {
	case Identifying:
		phone, err := parseIdentifying(r.Body)
		c.set.phone = phone
		return err
	case Senders:
		s, err := message.ParseSender(r.Body, "")
		if err != nil {
			return err
		}
		s.ID = r.ID
		c.set.senders[r.Slug] = s
		return slugOf(r)
	case Layouts:
		l, err := message.ParseLayout(r.Body, "")
		if err != nil {
			return err
		}
		l.ID = r.ID
		c.set.layouts[r.Slug] = l
		return slugOf(r)
	case Topics:
		t, err := ParseTopic(r.Body)
		if err != nil {
			return err
		}
		t.ID = r.ID
		c.set.topics[r.Slug] = t
		return nil
	case Segments:
		return c.segment(r)
	case Campaigns:
		return c.campaign(r)
	case Transactionals:
		return c.transactional(r)
	default:
		return fault.New(fault.Invalid, "%s is no kind of definition", r.Kind)
	}
}

func slugOf(r *Row) error {
	_, err := journey.CheckSlug("id", r.Body.Get("id"))
	return err
}

func (c *compiler) segment(r *Row) error {
	s, err := ParseSegment(r.Body)
	if err != nil {
		return err
	}
	s.ID, s.Version, s.Gen, s.Created, s.Updated = r.ID, r.Version, r.Gen, r.Created, r.Updated
	c.set.segments = append(c.set.segments, s)
	c.set.segmentByID[s.ID], c.set.segmentBySlug[s.Slug] = s, s
	return nil
}

func (c *compiler) campaign(r *Row) error {
	j, err := journey.Parse(r.Body)
	if err != nil {
		return err
	}
	j.ID, j.Version, j.Gen = r.ID, r.Version, r.Gen
	if j.State == journey.Running {
		j.Started = j.Gen
		if before := c.set.versions[campaignKey{r.ID, r.Version - 1}]; before != nil && before.Started != 0 {
			j.Started = before.Started
		}
	}
	c.set.versions[campaignKey{r.ID, r.Version}] = j
	if !r.Current {
		return nil
	}
	c.set.versions[campaignKey{r.ID, 0}] = j
	c.set.campaigns = append(c.set.campaigns, j)
	c.set.named[j.Slug], c.set.actions[j.ID] = j, r.Body.Get(journey.ActionsKey)
	if j.Trigger.Event != "" {
		c.set.byEvent[j.Trigger.Event] = append(c.set.byEvent[j.Trigger.Event], j)
	}
	return nil
}

func (c *compiler) transactional(r *Row) error {
	t, err := ParseTransactional(r.Body)
	if err != nil {
		return err
	}
	t.ID, t.Version, t.Created, t.Updated = r.ID, r.Version, r.Created, r.Updated
	fold := strings.ToLower(t.Slug)
	if other := c.set.transactionalSlug[fold]; other != nil {
		return fault.Field("id", "differs from %s in case only", other.Slug)
	}
	c.set.transactional = append(c.set.transactional, t)
	c.set.transactionalByID[t.ID], c.set.transactionalSlug[fold] = t, t
	return nil
}

// facts gathers the event conditions of all segments and of every kept version of campaigns that ran or run: journeys
// may stand before a branch of an old one.
func (c *compiler) facts() {
	for _, s := range c.set.segments {
		c.ask(s.Condition, s.Gen)
		c.spread(s.Condition)
	}
	for k, j := range c.set.versions {
		if k.version == 0 || j.State != journey.Running {
			continue
		}
		for _, n := range j.Conditions() {
			c.ask(n, j.Gen)
		}
		c.spread(j.Filter)
	}
	for _, f := range c.set.facts {
		chain := event.ChainName(f.Type, f.Name)
		c.set.factsOf[chain] = append(c.set.factsOf[chain], f)
	}
	for _, list := range c.set.factsOf {
		slices.SortFunc(list, func(a, b *Fact) int { return cmp.Compare(a.Key, b.Key) })
	}
}

// spread notes what of objects a condition looks at that is asked again when something changes.
func (c *compiler) spread(n *segment.Node) {
	for _, f := range n.Mentions().Objects {
		c.set.spreads[f] = true
	}
}

func (c *compiler) ask(n *segment.Node, gen int64) {
	if n == nil {
		return
	}
	for _, f := range n.Mentions().Objects {
		if i, known := slices.BinarySearch(c.set.objects, f.Type); !known {
			c.set.objects = slices.Insert(c.set.objects, i, f.Type)
		}
	}
	for _, spec := range n.Specs() {
		f := c.set.facts[spec.Key]
		switch {
		case f == nil:
			c.set.facts[spec.Key] = &Fact{FactSpec: spec, Born: gen}
		case spec.Keep > f.Keep:
			f.Keep, f.Born = spec.Keep, gen
		case spec.Keep == f.Keep:
			f.Born = max(f.Born, gen)
		}
	}
}
