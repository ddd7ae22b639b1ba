package engine_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rapport.example/internal/api/app"
	"rapport.example/internal/delivery"
	"rapport.example/internal/event"
	"rapport.example/internal/id"
	"rapport.example/internal/ingest"
	"rapport.example/internal/store"
	"rapport.example/internal/store/storetest"
)

// mail is one message of a world whose outbox says nothing by itself.
type mail struct {
	*world
	who, public string
}

// newMail makes a person and sends them a message.
func newMail(w *world, who string) *mail {
	w.t.Helper()
	send := w.op(ingest.Send, ingest.SendPayload{By: ingest.By{ID: who}, To: "a@example.com", From: "b@example.com", Subject: "s", Body: "b"})
	w.do(w.op(ingest.Identify, ingest.IdentifyPayload{By: ingest.By{ID: who}}), send)
	return &mail{w, who, id.Delivery(w.db.Secret(), w.ws, "op:"+send.ID)}
}

// claimed waits until the message is in flight.
func (m *mail) claimed() (job delivery.Job) {
	m.t.Helper()
	m.eventually("a claim", func() bool {
		m.out.mu.Lock()
		defer m.out.mu.Unlock()
		i := slices.IndexFunc(m.out.jobs, func(j delivery.Job) bool { return j.Delivery.Public == m.public })
		if i >= 0 {
			job = m.out.jobs[i]
		}
		return i >= 0
	})
	return job
}

// report is a report by the delivery's public id, so many seconds after the world's begin; 0 = now.
func (m *mail) report(metric string, at int64, reason string) ingest.Op {
	m.t.Helper()
	if at != 0 {
		at += epoch.Unix()
	}
	return m.op(ingest.Metric, ingest.MetricPayload{Public: m.public, Metric: metric, Timestamp: at, Reason: reason})
}

func (m *mail) outcome(j delivery.Job, state delivery.State, reason string) ingest.Op {
	m.t.Helper()
	pl := ingest.OutcomePayload{Delivery: j.Delivery.ID, Epoch: j.Delivery.Epoch, State: uint8(state), Recipient: "a@example.com", Reason: reason}
	if state == delivery.Queued {
		pl.RetryAt = m.clock().Add(time.Hour).UnixMilli()
	}
	return m.op(ingest.Outcome, pl)
}

// state is the message's state, its reason, and its metrics in the order of their first report.
func (m *mail) state() string {
	m.t.Helper()
	d, err := m.db.Delivery(m.t.Context(), m.ws, m.public)
	if err != nil || d == nil {
		m.t.Fatalf("delivery %v, %v", d, err)
	}
	var names []string
	for name := range d.Metrics.Fields() {
		names = append(names, name)
	}
	return strings.TrimSpace(fmt.Sprintf("%s [%s] %s", d.State, strings.Join(names, " "), d.Reason))
}

// TestReports holds what reports make of a message's state, in whatever order they and the outcome of the hand-over come.
func TestReports(t *testing.T) {
	t.Parallel()
	table := []struct {
		name string
		ops  func(m *mail, j delivery.Job) []ingest.Op
		want string
	}{
		{"outcome first", func(m *mail, j delivery.Job) []ingest.Op {
			return []ingest.Op{m.outcome(j, delivery.Sent, ""), m.report("delivered", 0, ""), m.report("opened", 0, "")}
		}, "sent [created sent delivered opened]"},
		{"open before the outcome", func(m *mail, j delivery.Job) []ingest.Op {
			return []ingest.Op{m.report("opened", 0, ""), m.outcome(j, delivery.Sent, "")}
		}, "sent [created opened sent]"},
		{"click is an open", func(m *mail, j delivery.Job) []ingest.Op {
			return []ingest.Op{m.outcome(j, delivery.Sent, ""), m.report("clicked", 0, "")}
		}, "sent [created sent opened clicked]"},
		{"bounce after the outcome", func(m *mail, j delivery.Job) []ingest.Op {
			return []ingest.Op{m.outcome(j, delivery.Sent, ""), m.report("bounced", 0, "no such user")}
		}, "bounced [created sent bounced] no such user"},
		{"bounce before the outcome", func(m *mail, j delivery.Job) []ingest.Op {
			return []ingest.Op{m.report("bounced", 0, "no such user"), m.outcome(j, delivery.Sent, "")}
		}, "bounced [created bounced sent] no such user"},
		{"bounce twice", func(m *mail, j delivery.Job) []ingest.Op {
			return []ingest.Op{m.outcome(j, delivery.Sent, ""), m.report("bounced", 0, "first"), m.report("bounced", 0, "second")}
		}, "bounced [created sent bounced] first"},
		{"drop before the outcome", func(m *mail, j delivery.Job) []ingest.Op {
			return []ingest.Op{m.report("dropped", 0, "on the list"), m.outcome(j, delivery.Sent, "")}
		}, "suppressed [created dropped sent] on the list"},
		{"delivered after a bounce", func(m *mail, j delivery.Job) []ingest.Op {
			return []ingest.Op{m.outcome(j, delivery.Sent, ""), m.report("bounced", 0, "gone"), m.report("delivered", 0, "")}
		}, "bounced [created sent bounced delivered] gone"},
		{"deferred", func(m *mail, j delivery.Job) []ingest.Op {
			return []ingest.Op{m.outcome(j, delivery.Sent, ""), m.report("deferred", 0, "busy"), m.report("delivered", 0, "")}
		}, "sent [created sent deferred delivered]"},
		{"unknown, then opened", func(m *mail, j delivery.Job) []ingest.Op {
			return []ingest.Op{m.outcome(j, delivery.OutcomeUnknown, "cut off"), m.report("opened", 0, "")}
		}, "sent [created opened]"},
		{"opened, then unknown", func(m *mail, j delivery.Job) []ingest.Op {
			return []ingest.Op{m.report("opened", 0, ""), m.outcome(j, delivery.OutcomeUnknown, "cut off")}
		}, "sent [created opened]"},
		{"unknown, then deferred", func(m *mail, j delivery.Job) []ingest.Op {
			return []ingest.Op{m.outcome(j, delivery.OutcomeUnknown, "cut off"), m.report("deferred", 0, "busy")}
		}, "outcome unknown [created deferred] cut off"},
		{"retried, then delivered", func(m *mail, j delivery.Job) []ingest.Op {
			return []ingest.Op{m.outcome(j, delivery.Queued, "busy"), m.report("delivered", 0, "")}
		}, "sent [created attempted delivered]"},
		{"delivered, then retried", func(m *mail, j delivery.Job) []ingest.Op {
			return []ingest.Op{m.report("delivered", 0, ""), m.outcome(j, delivery.Queued, "busy")}
		}, "sent [created delivered attempted]"},
		{"retried, then bounced", func(m *mail, j delivery.Job) []ingest.Op {
			return []ingest.Op{m.outcome(j, delivery.Queued, "busy"), m.report("bounced", 0, "gone")}
		}, "bounced [created attempted bounced] gone"},
		{"failed, then opened", func(m *mail, j delivery.Job) []ingest.Op {
			return []ingest.Op{m.outcome(j, delivery.Failed, "refused"), m.report("opened", 0, "")}
		}, "failed [created failed opened] refused"},
		{"a stale outcome", func(m *mail, j delivery.Job) []ingest.Op {
			j.Delivery.Epoch--
			return []ingest.Op{m.report("opened", 0, ""), m.outcome(j, delivery.Failed, "")}
		}, "in flight [created opened]"},
		{"spam", func(m *mail, j delivery.Job) []ingest.Op {
			return []ingest.Op{m.report("spammed", 0, ""), m.report("converted", 0, ""), m.outcome(j, delivery.Sent, "")}
		}, "sent [created spammed converted sent]"},
	}
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		for _, tt := range table {
			together := newMail(w, tt.name)
			w.do(tt.ops(together, together.claimed())...)
			apart := newMail(w, tt.name+", in frames of their own")
			for _, op := range tt.ops(apart, apart.claimed()) {
				w.do(op)
			}
			for _, m := range []*mail{together, apart} {
				if got := m.state(); got != tt.want {
					t.Errorf("%s: %s, want %s", m.who, got, tt.want)
				}
			}
		}
	})
}

// TestReportTimes keeps the earliest moment of each metric, however late and often it is reported, within the message's life.
func TestReportTimes(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		m := newMail(newWorld(t, db), "1")
		m.do(m.outcome(m.claimed(), delivery.Sent, ""))
		m.advance(3 * time.Hour)
		m.do(m.report("opened", 7200, ""), m.report("opened", 3600, ""), m.report("opened", 9000, ""))
		m.do(m.report("opened", 7200, ""), m.report("delivered", -3600, ""), m.report("converted", 1_000_000_000, ""))
		d, err := db.Delivery(t.Context(), m.ws, m.public)
		if err != nil {
			t.Fatal(err)
		}
		at := func(metric string) time.Duration {
			n, _ := d.Metrics.Get(metric).Number()
			return time.Duration(int64(n)-epoch.Unix()) * time.Second
		}
		if got := at("opened"); got != time.Hour {
			t.Errorf("opened after %v, want an hour: the earliest report", got)
		}
		if got := at("delivered"); got < 0 || got > time.Minute {
			t.Errorf("delivered after %v, want the moment when the message was made", got)
		}
		if got := at("converted"); got < 3*time.Hour || got > 4*time.Hour {
			t.Errorf("converted after %v, want the moment of the report", got)
		}
		if got := slices.Repeat([]string{"opened_email"}, 4); !slices.Equal(m.named("opened_email"), got) {
			t.Errorf("activities %v, want one for each report", m.named("opened_email"))
		}
	})
}

// named lists the names of the message activities that are called name.
func (m *mail) named(name string) []string {
	m.t.Helper()
	var out []string
	for _, a := range m.activities() {
		if a.Type == event.Message && a.Name == name {
			out = append(out, a.Name)
		}
	}
	return out
}

func (m *mail) activities() []event.Activity {
	m.t.Helper()
	list, _, err := m.db.Activities(m.t.Context(), m.ws, app.ActivityQuery{Limit: 1000})
	if err != nil {
		m.t.Fatal(err)
	}
	return list
}

// TestReportNowhere leaves an activity with a reason of reports that nothing can be made of.
func TestReportNowhere(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.identify("1", `{"email":"a@example.com","unsubscribed":true}`)
		off := false
		send := w.op(ingest.Send, ingest.SendPayload{By: ingest.By{ID: "1"}, To: "a@example.com", From: "b@example.com", Subject: "s", Body: "b", SendToUnsubscribed: &off})
		m := &mail{w, "1", id.Delivery(db.Secret(), w.ws, "op:"+send.ID)}
		// The message is not handed over: a report of one that was made in the same frame comes before any claim.
		w.do(send, m.report("opened", 0, ""))
		m.public = "nobody's"
		w.do(m.report("opened", 0, ""))
		var got []string
		for _, a := range m.activities() {
			if a.Type == event.FailedChange {
				got = append(got, a.Data.Get("reason").Text())
			}
		}
		slices.Sort(got)
		want := []string{"no delivery has this id", "the message was not sent, so nothing can have become of it"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("reasons (-want +got):\n%s", diff)
		}
	})
}

// TestReportAfterDeletion counts what is reported of a deleted person's message, and keeps nothing that is readable of them.
func TestReportAfterDeletion(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		m := newMail(newWorld(t, db), "1")
		j := m.claimed()
		m.do(m.op(ingest.Delete, ingest.PersonPayload{By: ingest.By{ID: "1"}}))
		m.do(m.outcome(j, delivery.Sent, ""),
			m.op(ingest.Metric, ingest.MetricPayload{Public: m.public, Metric: "clicked", Href: "https://secret.example/", Data: parse(t, `{"a":"secret"}`)}),
			m.report("bounced", 0, "<secret@example.com> is unknown"), m.report("unsubscribed", 0, ""))
		if got, want := m.state(), "bounced [created sent opened clicked bounced unsubscribed]"; got != want {
			t.Errorf("%s, want %s", got, want)
		}
		for _, a := range m.activities() {
			if strings.Contains(string(a.Data), "secret") || a.Person != 0 {
				t.Errorf("activity of a deleted person: %+v", a)
			}
		}
		if m.person("1") != nil {
			t.Error("a report brought the person back")
		}
	})
}

// TestConsentStays keeps what the person said last against writes that are from before, also where it changed nothing.
func TestConsentStays(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		m := newMail(newWorld(t, db), "1")
		m.claimed()
		m.do(m.report("unsubscribed", 0, ""))
		m.advance(2 * time.Hour)
		m.do(m.report("unsubscribed", 0, ""))
		before := epoch.Add(time.Hour).Unix()
		m.do(m.op(ingest.Identify, ingest.IdentifyPayload{By: ingest.By{ID: "1"}, Attributes: parse(t, `{"unsubscribed":false}`), Timestamp: before}))
		if !m.person("1").Unsubscribed {
			t.Error("a write from before the second unsubscribe took it back")
		}
		m.do(m.report("resubscribed", 0, ""))
		if m.person("1").Unsubscribed {
			t.Error("the person's own word changed nothing")
		}
	})
}

// TestReportsOfOneFrame applies many reports of few messages of one frame as one after the other would.
func TestReportsOfOneFrame(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		var ops []ingest.Op
		var mails []*mail
		for i := range 5 {
			m := newMail(w, fmt.Sprint(i))
			m.claimed()
			mails = append(mails, m)
		}
		for range 20 {
			for _, m := range mails {
				ops = append(ops, m.report("delivered", 0, ""), m.report("clicked", 0, ""))
			}
		}
		w.do(ops...)
		for _, m := range mails {
			if got, want := m.state(), "in flight [created delivered opened clicked]"; got != want {
				t.Errorf("%s, want %s", got, want)
			}
		}
		if got := len(mails[0].named("clicked_email")); got != 100 {
			t.Errorf("%d clicks, want 100", got)
		}
	})
}
