package journey

import (
	"fmt"
	"time"

	"rapport.example/internal/person"
	"rapport.example/internal/segment"
	"rapport.example/internal/value"
)

// Decide says what happens to journey j of campaign c, the version that j runs on, when stimulus s reaches it at now
// (Unix ms of the workspace's clock). It is pure. entry is what is known of the person's earlier entries, subj the person
// together with the triggering event's data.
//
// The actions are to be carried out in order; each that decides something has an outcome and a reason for the trace. A
// next journey with Status 0 has ended; its timer and row are to be dropped. A stimulus that finds nothing to do returns
// j unchanged and no actions.
func Decide(c *Campaign, j Journey, s Stimulus, entry person.Entry, subj segment.Subject, now int64) (next Journey, acts []Action) {
	w := walk{c: c, j: j, subj: subj, now: now}
	switch {
	case s == Begin && j.Status == 0:
		w.begin(entry)
	case j.Status == Retrying && (s == Changed || s == Due):
		w.retry(entry, s == Due && now >= j.Due)
	case j.Status == Waiting && s == Due && now >= j.Due:
		w.resume()
	}
	return w.j, w.acts
}

// walk is one decision in the making.
type walk struct {
	c    *Campaign
	j    Journey
	subj segment.Subject
	now  int64
	acts []Action
}

func (w *walk) say(a Action) { w.acts = append(w.acts, a) }

// begin decides about a journey whose trigger has just fired.
func (w *walk) begin(entry person.Entry) {
	if w.c.State != Running {
		w.refuse("the campaign is "+w.c.State+", not running", nil)
		return
	}
	if w.again(entry) {
		return
	}
	switch {
	case w.passes():
		w.enter()
	case w.c.Trigger.Event == "":
		reason, detail := explain(w.c.Filter, w.subj, w.now)
		w.refuse("the filter is not met: "+reason, detail)
	default:
		// The identify that makes the filter true often arrives just after the event.
		reason, detail := explain(w.c.Filter, w.subj, w.now)
		w.j.Status, w.j.Due = Retrying, w.now+RetryFor
		w.say(Action{
			Kind: Schedule, Due: w.j.Due, Outcome: "waiting", Detail: detail,
			Reason: "the filter is not met yet: " + reason + "; it is looked at again whenever the person changes, for 30 minutes",
		})
	}
}

// retry looks again at a filter that was false at the trigger. With last there will be no further look.
func (w *walk) retry(entry person.Entry, last bool) {
	switch {
	case w.again(entry):
	case w.passes():
		w.enter()
	case last:
		reason, detail := explain(w.c.Filter, w.subj, w.now)
		w.refuse("the filter was not met within 30 minutes: "+reason, detail)
	}
}

// again refuses a second journey of a campaign that starts once per person.
func (w *walk) again(entry person.Entry) bool {
	if !w.c.Once || entry.Times == 0 {
		return false
	}
	var d value.Builder
	d.Set("frequency", value.Quote("once")).Set("times", value.Int(entry.Times)).Set("last", value.Int(entry.Last/1000))
	w.refuse("the frequency is once, and the person started this campaign on "+date(entry.Last), d.Value())
	return true
}

func (w *walk) passes() bool { return w.c.Filter == nil || w.c.Filter.Eval(w.subj, w.now).Match }

func (w *walk) refuse(reason string, detail value.Value) {
	w.j.Status, w.j.Due = 0, 0
	w.say(Action{Kind: End, Outcome: "not started", Reason: reason, Detail: detail})
}

// enter starts the journey and walks on from the first node.
func (w *walk) enter() {
	cause := "entering the segment " + w.c.Trigger.Segment
	if w.c.Trigger.Event != "" {
		cause = "the event " + w.c.Trigger.Event
	}
	a := Action{Kind: Enter, Outcome: "started", Reason: "triggered by " + cause + "; there is no filter"}
	if w.c.Filter != nil {
		var reason string
		reason, a.Detail = explain(w.c.Filter, w.subj, w.now)
		a.Reason = "triggered by " + cause + "; the filter is met: " + reason
	}
	w.say(a)
	w.j.Entered = w.now
	w.from(w.c.First)
}

// resume walks on from the delay that is over.
func (w *walk) resume() {
	i, ok := w.c.byslug[w.j.Node]
	if !ok {
		w.end(w.j.Node, "exited", "the step that the person waited in is not part of this version")
		return
	}
	w.from(w.c.Nodes[i].Next)
}

// from walks the nodes from index i until one holds the person or the workflow ends. It cannot loop: links lead down
// the document only.
func (w *walk) from(i int) {
	for i != none {
		n := &w.c.Nodes[i]
		switch n.Kind {
		case KindEmail:
			w.say(Action{Kind: Send, Node: n.Slug, Visit: w.visit(n.Slug), Outcome: "queued", Reason: "the journey reached this message"})
			i = n.Next
		case KindDelay:
			w.j.Status, w.j.Node, w.j.Due = Waiting, n.Slug, w.now+n.Delay
			var d value.Builder
			d.Set("delay", value.Int(n.Delay/1000)).Set("until", value.Int(w.j.Due/1000))
			w.say(Action{
				Kind: Schedule, Node: n.Slug, Due: w.j.Due, Outcome: "waiting", Detail: d.Value(),
				Reason: "waits " + segment.Duration(n.Delay) + ", until " + date(w.j.Due),
			})
			return
		case KindBranch:
			i = w.branch(n)
		case KindExit:
			w.end(n.Slug, "exited", "the journey reached this exit")
			return
		default: // Parse makes no others
			i = n.Next
		}
	}
	w.end("", "finished", "the journey reached the end of the workflow")
}

// branch takes the first arm whose condition is true on arrival.
func (w *walk) branch(n *Node) int {
	reason := ""
	var detail value.Value
	for k, a := range n.Arms {
		if a.If == nil {
			w.say(Action{Kind: Trace, Node: n.Slug, Outcome: "branched", Reason: "took else: " + reason, Detail: armDetail(-1, detail)})
			return a.First
		}
		match := a.If.Eval(w.subj, w.now).Match
		why, lines := explain(a.If, w.subj, w.now)
		if match {
			w.say(Action{Kind: Trace, Node: n.Slug, Outcome: "branched", Reason: fmt.Sprintf("took path %d: %s", k+1, why), Detail: armDetail(k, lines)})
			return a.First
		}
		if reason != "" {
			reason += "; "
		}
		reason, detail = reason+why, lines
	}
	w.say(Action{Kind: Trace, Node: n.Slug, Outcome: "branched", Reason: "took no path and went on behind the branch: " + reason, Detail: armDetail(-1, detail)})
	return n.Next
}

func armDetail(arm int, lines value.Value) value.Value {
	var b value.Builder
	path := value.Quote("else")
	if arm >= 0 {
		path = value.Int(int64(arm) + 1)
	}
	return b.Set("path", path).Set("conditions", lines).Value()
}

// visit counts one more pass through a message node. The slice is copied: j is the caller's.
func (w *walk) visit(node string) int64 {
	visits := make([]Visit, len(w.j.Visits), len(w.j.Visits)+1)
	copy(visits, w.j.Visits)
	w.j.Visits = visits
	for i := range visits {
		if visits[i].Node == node {
			visits[i].Times++
			return visits[i].Times
		}
	}
	w.j.Visits = append(visits, Visit{Node: node, Times: 1})
	return 1
}

func (w *walk) end(node, outcome, reason string) {
	w.j.Status, w.j.Node, w.j.Due = 0, node, 0
	w.say(Action{Kind: End, Node: node, Outcome: outcome, Reason: reason})
}

func date(ms int64) string { return time.UnixMilli(ms).UTC().Format("2006-01-02 15:04:05 UTC") }
