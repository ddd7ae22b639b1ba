package definition

import (
	"slices"
	"strconv"

	"rapport.example/internal/fault"
	"rapport.example/internal/journey"
	"rapport.example/internal/segment"
)

// Resolve gives the message conditions of a tree the numbers of the campaigns, steps and transactional messages that they name, so
// that what happened before is found whatever is changed about these. A name that is not there is an error of kind Invalid.
func (s *Set) Resolve(n *segment.Node) (*segment.Node, error) { return n.Resolve(s.number) }

// messages resolves the conditions of segments and campaigns. Versions of campaigns that are no longer current may name what has
// gone meanwhile: that is a condition which no message meets any more.
func (c *compiler) messages() error {
	for _, seg := range c.set.segments {
		n, err := c.set.Resolve(seg.Condition)
		if err != nil {
			return at(Segments, seg.Slug, err)
		}
		seg.Condition = n
	}
	for _, j := range c.set.campaigns {
		if err := resolve(j, c.set.number); err != nil {
			return at(Campaigns, j.Slug, err)
		}
	}
	for _, j := range c.set.versions {
		if c.set.versions[campaignKey{j.ID, 0}] == j {
			continue
		}
		err := resolve(j, func(of segment.Named, path string) (int64, error) {
			id, err := c.set.number(of, path)
			if fault.Is(err, fault.Invalid) {
				return 0, nil
			}
			return id, err
		})
		if err != nil {
			return at(Campaigns, j.Slug, err)
		}
	}
	return nil
}

// resolve changes the conditions of a campaign that is being compiled.
func resolve(j *journey.Campaign, number func(segment.Named, string) (int64, error)) (err error) {
	if j.Filter, err = j.Filter.Resolve(number); err != nil {
		return err
	}
	for i := range j.Nodes {
		for k := range j.Nodes[i].Arms {
			arm := &j.Nodes[i].Arms[k]
			if arm.If, err = arm.If.Resolve(number); err != nil {
				return err
			}
		}
	}
	return nil
}

// number is that of a transactional message, a campaign, or of a step that a campaign has or had.
func (s *Set) number(of segment.Named, path string) (int64, error) {
	if of.Transactional != "" {
		t := s.TransactionalBySlug(of.Transactional)
		if t == nil {
			return 0, fault.Field(dotted(path, "transactional"), "there is no transactional message %s%s", of.Transactional, did(of.Transactional, s.transactionalSlug))
		}
		return t.ID, nil
	}
	j := s.named[of.Campaign]
	switch {
	case j == nil:
		return 0, fault.Field(dotted(path, "campaign"), "there is no campaign %s%s", of.Campaign, did(of.Campaign, s.named))
	case of.Action == "":
		return j.ID, nil
	}
	var slugs []string
	for slug, v := range s.actions[j.ID].Fields() {
		if slug != of.Action {
			slugs = append(slugs, slug)
			continue
		}
		if i := slices.IndexFunc(j.Nodes, func(n journey.Node) bool { return n.Slug == slug }); i >= 0 && j.Nodes[i].Kind != journey.KindEmail {
			return 0, fault.Field(dotted(path, "action"), "%s of campaign %s sends no message", slug, j.Slug)
		}
		id, err := strconv.ParseInt(string(v), 10, 64)
		if err != nil {
			return 0, fault.Wrap(fault.Internal, err, "the campaign's steps have no numbers")
		}
		return id, nil
	}
	near := ""
	if n := fault.Nearest(of.Action, slugs); n != "" {
		near = ", did you mean " + n + "?"
	}
	return 0, fault.Field(dotted(path, "action"), "campaign %s has no step %s%s", j.Slug, of.Action, near)
}
