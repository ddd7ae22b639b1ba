package engine_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"rapport.example/internal/event"
)

// model is what a workspace should be, kept in the simplest way: it is the specification that the tests of identities hold
// the engine to. Times are Unix ms of the workspace's clock.
type model struct {
	people     map[uint32]*modelPerson
	last       uint32          // ordinal given last
	suppressed map[string]bool // names as in modelPerson.names
	nobody     []modelEvent    // events of nobody
}

// modelPerson is a person. Names are written id:…, email:… and phone:….
type modelPerson struct {
	ordinal   uint32
	names     map[string]string // by kind
	plan      string
	anonymous map[string]int64
	history   []modelEvent
	team      bool             // in the manual segment
	entries   map[string]int64 // of campaigns
	live      map[string]int   // journeys under way
	sent      int              // transactional messages
}

type modelEvent struct {
	name, anonymous string
	at, received    int64
}

func newModel() *model {
	return &model{people: map[uint32]*modelPerson{}, suppressed: map[string]bool{}}
}

func kindOf(name string) string { return name[:strings.IndexByte(name, ':')] }

func (m *model) find(name string) *modelPerson {
	for _, p := range m.people {
		if p.names[kindOf(name)] == name {
			return p
		}
	}
	return nil
}

func (m *model) anonymous(id string) *modelPerson {
	for _, p := range m.people {
		if _, ok := p.anonymous[id]; ok {
			return p
		}
	}
	return nil
}

func (m *model) create(name string) *modelPerson {
	m.last++
	p := &modelPerson{
		ordinal: m.last, names: map[string]string{kindOf(name): name}, anonymous: map[string]int64{}, entries: map[string]int64{}, live: map[string]int{},
	}
	m.people[p.ordinal] = p
	return p
}

// identify sets the names in body and the plan, "-" to remove it, "" to leave it.
func (m *model) identify(now int64, path string, body []string, anonymous, plan string) {
	if m.suppressed[path] {
		return
	}
	p := m.find(path)
	for _, name := range body { // ids before emails
		if p != nil || kindOf(name) == kindOf(path) {
			continue
		}
		if q := m.find(name); q != nil && q.names[kindOf(path)] == "" {
			q.names[kindOf(path)] = path
			p = q
		}
	}
	if p == nil {
		p = m.create(path)
	}
	for _, name := range body {
		if p.names[kindOf(name)] == "" && m.find(name) == nil && !m.suppressed[name] {
			p.names[kindOf(name)] = name
		}
	}
	was := p.plan
	if plan != "" {
		p.plan = strings.TrimPrefix(plan, "-")
	}
	if p.plan == "pro" && was != "pro" {
		p.begin("pros", true)
	}
	m.receive(now, p, anonymous)
}

// begin starts a campaign, one that starts once only if it never did.
func (p *modelPerson) begin(campaign string, once bool) {
	if once && p.entries[campaign] > 0 {
		return
	}
	p.entries[campaign]++
	p.live[campaign]++
}

func (p *modelPerson) trigger(now int64, e modelEvent) {
	if e.name == "buy" && now-e.at <= event.TriggerAge {
		p.begin("each", false)
		p.begin("first", true)
	}
}

func (m *model) event(now int64, by, anonymous, name string, at int64) {
	if m.suppressed[by] {
		return
	}
	p := m.find(by)
	if p == nil {
		p = m.create(by)
	}
	m.receive(now, p, anonymous)
	p.happened(now, modelEvent{name, anonymous, at, now})
}

func (p *modelPerson) happened(now int64, e modelEvent) {
	p.history = append(p.history, e)
	p.trigger(now, e)
}

func (m *model) anonymousEvent(now int64, anonymous, name string, at int64) {
	e := modelEvent{name, anonymous, at, now}
	if p := m.anonymous(anonymous); p != nil && now-p.anonymous[anonymous] <= 5*time.Minute.Milliseconds() {
		p.happened(now, e)
		return
	}
	m.nobody = append(m.nobody, e)
}

const month = 30 * 24 * int64(time.Hour/time.Millisecond)

func (m *model) receive(now int64, p *modelPerson, anonymous string) {
	if anonymous == "" || m.anonymous(anonymous) != nil {
		return
	}
	p.anonymous[anonymous] = now
	var mine []modelEvent
	m.nobody = slices.DeleteFunc(m.nobody, func(e modelEvent) bool {
		is := e.anonymous == anonymous && e.received >= now-month
		if is {
			mine = append(mine, e)
		}
		return is
	})
	for _, e := range mine {
		e.received = now
		p.happened(now, e)
	}
}

func (m *model) remove(by string, suppress bool) {
	p := m.find(by)
	if suppress {
		m.suppressed[by] = true
	}
	if p == nil {
		return
	}
	for _, name := range p.names {
		m.suppressed[name] = m.suppressed[name] || suppress
	}
	m.nobody = slices.DeleteFunc(m.nobody, func(e modelEvent) bool { _, is := p.anonymous[e.anonymous]; return is })
	delete(m.people, p.ordinal)
}

func (m *model) merge(now int64, primary, secondary string) {
	p, s := m.find(primary), m.find(secondary)
	if m.suppressed[primary] || m.suppressed[secondary] || p == nil || s == nil || p == s {
		return
	}
	delete(m.people, s.ordinal)
	for kind, name := range s.names {
		if p.names[kind] == "" {
			p.names[kind] = name
		}
	}
	if p.plan == "" {
		p.plan = s.plan // who gets to be pro so does not get there newly
	}
	maps.Copy(p.anonymous, s.anonymous)
	p.sent += s.sent
	p.team = p.team || s.team
	for _, e := range s.history {
		if min(e.at, e.received) >= now-month {
			e.received = now
			p.history = append(p.history, e)
		}
	}
	for campaign, n := range s.live {
		if p.entries[campaign] == 0 {
			p.live[campaign] = n
		}
	}
	for campaign, n := range s.entries {
		p.entries[campaign] += n
	}
}

func (m *model) pick(by string) {
	if p := m.find(by); p != nil {
		p.team = true
	}
}

func (m *model) send(by string) {
	if m.suppressed[by] {
		return
	}
	p := m.find(by)
	if p == nil {
		p = m.create(by)
	}
	p.sent++
}

// state is the workspace in a form that can be compared and read.
type state struct {
	People map[uint32]personState
	Nobody []string // events, in no order of importance
}

type personState struct {
	Names, Anonymous, Segments []string
	Plan                       string
	History                    []string // oldest first
	Entries                    map[string]int64
}

func (e modelEvent) String() string { return fmt.Sprintf("%s at %d as %q", e.name, e.at, e.anonymous) }

func (m *model) state(now int64) state {
	out := state{People: map[uint32]personState{}}
	for _, e := range m.nobody {
		if e.received >= now-month {
			out.Nobody = append(out.Nobody, e.String())
		}
	}
	slices.Sort(out.Nobody)
	for _, p := range m.people {
		s := personState{
			Names: slices.Sorted(maps.Values(p.names)), Anonymous: slices.Sorted(maps.Keys(p.anonymous)), Plan: p.plan, Entries: p.entries,
		}
		for _, e := range p.history {
			s.History = append(s.History, e.String())
			if e.name == "buy" && !slices.Contains(s.Segments, "buyers") {
				s.Segments = append(s.Segments, "buyers")
			}
		}
		if p.plan == "pro" {
			s.Segments = append(s.Segments, "pros")
		}
		if p.team {
			s.Segments = append(s.Segments, "team")
		}
		out.People[p.ordinal] = s
	}
	return out
}

// mails is how many messages each person will have in the end: those sent, and one for each journey under way.
func (m *model) mails() map[uint32]int {
	out := map[uint32]int{}
	for _, p := range m.people {
		n := p.sent
		for _, journeys := range p.live {
			n += journeys
		}
		if n > 0 {
			out[p.ordinal] = n
		}
	}
	return out
}
