package delivery

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"strings"
	"time"

	"rapport.example/internal/ingest"
	"rapport.example/internal/message"
)

// least is the time that a send must have: with less it would more likely be cut off than answered, and what is cut off
// at the wrong moment is lost as unknown.
const least = time.Second

// run walks one job through render, send, report.
func (w *Worker) run(j waiting) {
	began := w.o.Now()
	seen := Observation{Waited: began.Sub(j.since)}
	mail, r := w.render(j.Job)
	rendered := w.o.Now()
	seen.Rendered = rendered.Sub(began)
	out := ingest.OutcomePayload{}
	if mail != nil {
		if j.Deadline.Sub(rendered) < least {
			w.giveBack(w.reports, j, "it waited too long for a free sender")
			return
		}
		if len(mail.To) > 0 {
			out.Recipient = Address(mail.To[0])
		}
		_, out.Domain, _ = strings.Cut(Address(mail.From), "@")
		out.Subject = mail.Subject
		if r = w.allowed(j.Job, mail, &out); r.State == 0 {
			w.archive(j.Job, mail)
			r = w.send(j.Job, mail)
		}
		if r.State == Bounced && len(mail.To)+len(mail.CC)+len(mail.BCC) == 1 { // of several, any may be the one refused
			out.Refused = out.Recipient
		}
		seen.Sent = w.o.Now().Sub(rendered)
	}
	out.State, out.Reason = uint8(r.State), r.Reason
	if r.State == Queued {
		w.again(j.Job, &out)
	}
	w.finish(w.reports, j, out, seen)
}

// render makes the mail, or says why there is none.
func (w *Worker) render(j *Job) (mail *message.Mail, r Receipt) {
	defer func() {
		if p := recover(); p != nil {
			w.panicked("render", j, p)
			mail, r = nil, Receipt{Failed, "the message could not be rendered"}
		}
	}()
	mail, err := message.Render(j.Email, j.Layout, j.From, j.Scope, w.o.Links(&j.Delivery))
	switch {
	case errors.Is(err, message.ErrNoAddress):
		return nil, Receipt{Suppressed, err.Error()}
	case err != nil:
		return nil, Receipt{Failed, "the message could not be rendered: " + err.Error()}
	}
	return mail, Receipt{}
}

// allowed takes suppressed addresses out of the mail, all but the first: without that one nothing is sent. The zero Receipt
// means that the mail may go.
func (w *Worker) allowed(j *Job, mail *message.Mail, out *ingest.OutcomePayload) Receipt {
	if w.o.Refused == nil {
		return Receipt{}
	}
	ctx, cancel := context.WithTimeout(w.sends, j.Deadline.Sub(w.o.Now()))
	defer cancel()
	first := true
	for _, list := range [...]*[]string{&mail.To, &mail.CC, &mail.BCC} {
		kept := (*list)[:0:0]
		for _, to := range *list {
			reason, err := w.o.Refused(ctx, j.Delivery.Workspace, Address(to), out.Domain)
			switch {
			case err != nil:
				w.o.Logger.Warn("nobody knows whether an address is suppressed; the delivery waits", "delivery", j.Delivery.Public, "error", err)
				return Receipt{Queued, "it could not be looked up whether the address is suppressed"}
			case reason != "" && first:
				return Receipt{Suppressed, reason}
			case reason == "":
				kept = append(kept, to)
			}
			first = false
		}
		*list = kept
	}
	return Receipt{}
}

// send hands over within the job's time. Nobody knows how far a channel came that panicked, so that is unknown.
func (w *Worker) send(j *Job, mail *message.Mail) (r Receipt) {
	defer func() {
		if p := recover(); p != nil {
			w.panicked("send", j, p)
			r = Receipt{OutcomeUnknown, "the hand-over broke off inside the server"}
		}
	}()
	ctx, cancel := context.WithTimeout(w.sends, j.Deadline.Sub(w.o.Now()))
	defer cancel()
	d := &j.Delivery
	return w.o.Channel.Send(ctx, mail, Envelope{
		Workspace: d.Workspace, Delivery: d.ID, Person: d.Person, PublicID: d.Public, At: time.UnixMilli(j.Scope.Now).UTC(),
	})
}

func (w *Worker) panicked(stage string, j *Job, p any) {
	w.o.Logger.Error("a delivery stage panicked", "stage", stage, "delivery", j.Delivery.Public, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
}

// again sets when the job is tried again, or that it is given up.
func (w *Worker) again(j *Job, out *ingest.OutcomePayload) {
	if n := j.Delivery.Attempts; n >= w.o.Attempts {
		out.State, out.Reason = uint8(Failed), fmt.Sprintf("given up after %d attempts: %s", n, out.Reason)
		return
	}
	out.RetryAt = w.o.Now().Add(w.backoff(j.Delivery.Attempts)).UnixMilli()
}

// backoff is the wait behind the nth attempt: between a second and First doubled with each attempt, Longest at most. The
// jitter is full, so that what failed together does not come back together.
func (w *Worker) backoff(attempt int64) time.Duration {
	d := w.o.First
	for ; attempt > 1 && d < w.o.Longest; attempt-- {
		d *= 2
	}
	d = min(d, w.o.Longest)
	const floor = time.Second
	return min(d, floor) + rand.N(max(d-floor, 0)+1)
}

// giveBack lets a job that nothing was done for be claimed again at once.
func (w *Worker) giveBack(ctx context.Context, j waiting, why string) {
	ctx, cancel := context.WithTimeout(ctx, w.o.Grace)
	defer cancel()
	out := ingest.OutcomePayload{State: uint8(Queued), Reason: why, RetryAt: w.o.Now().UnixMilli()}
	w.finish(ctx, j, out, Observation{Waited: w.o.Now().Sub(j.since)})
}

// finish reports and makes room for another job.
func (w *Worker) finish(ctx context.Context, j waiting, out ingest.OutcomePayload, seen Observation) {
	defer w.busy.Add(-1)
	seen.State = State(out.State)
	seen.Reports, seen.Recorded = w.report(ctx, j.Job, out)
	w.o.Observe(seen)
}

// beyond is how long after its lease an outcome is still worth recording: until then the delivery counts as unknown, and
// a late answer of the same claim puts that right.
const beyond = time.Minute

// report repeats until the outcome is durable, ctx ends, or the lease is long over. It says how often it tried.
func (w *Worker) report(ctx context.Context, j *Job, o ingest.OutcomePayload) (tries int, ok bool) {
	d := &j.Delivery
	now := w.o.Now()
	o.Delivery, o.Epoch, o.At = d.ID, d.Epoch, now.UnixMilli()
	ctx, cancel := context.WithTimeout(ctx, time.UnixMilli(d.Lease).Add(beyond).Sub(now))
	defer cancel()
	for wait := 20 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		tries++
		err := w.o.Report(ctx, d.Workspace, o)
		if err == nil {
			return tries, true
		}
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			w.o.Logger.Error("an outcome could not be recorded", "delivery", d.Public, "state", State(o.State).String(), "error", errors.Join(err, ctx.Err()))
			return tries, false
		}
	}
}
