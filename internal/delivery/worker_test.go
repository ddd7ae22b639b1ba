package delivery_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"rapport.example/internal/delivery"
	"rapport.example/internal/ingest"
	"rapport.example/internal/message"
	"rapport.example/internal/value"
)

// far is a channel that does what a test says, and the log that outcomes go to.
type far struct {
	mu       sync.Mutex
	send     func(ctx context.Context, n int) delivery.Receipt // of the nth hand-over, from 1
	report   func(n int) error                                 // of the nth report, from 1; nil = durable
	sent     int
	reports  int
	outcomes []ingest.OutcomePayload
	seen     []delivery.Observation
}

func (f *far) Send(ctx context.Context, _ *message.Mail, _ delivery.Envelope) delivery.Receipt {
	f.mu.Lock()
	f.sent++
	n := f.sent
	f.mu.Unlock()
	if f.send == nil {
		return delivery.Receipt{State: delivery.Sent}
	}
	return f.send(ctx, n)
}

func (f *far) Report(ctx context.Context, _ int64, o ingest.OutcomePayload) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reports++
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if f.report != nil {
		if err := f.report(f.reports); err != nil {
			return err
		}
	}
	f.outcomes = append(f.outcomes, o)
	return nil
}

// known are the outcomes and observations so far.
func (f *far) known() ([]ingest.OutcomePayload, []delivery.Observation) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.outcomes), slices.Clone(f.seen)
}

func (f *far) worker(change func(o *delivery.Options)) *delivery.Worker {
	o := delivery.Options{
		Channel: f, Report: f.Report, Links: func(*delivery.Delivery) message.Links { return nil }, Now: time.Now,
		Logger: slog.New(slog.DiscardHandler), Parallel: 2,
		Observe: func(s delivery.Observation) { f.mu.Lock(); f.seen = append(f.seen, s); f.mu.Unlock() },
	}
	if change != nil {
		change(&o)
	}
	return delivery.NewWorker(o)
}

// job is a claim of now, with a lease of a minute.
func job(id int64) delivery.Job {
	return delivery.Job{
		Delivery: delivery.Delivery{Workspace: 1, ID: id, Public: "p", Epoch: 7, Attempts: 1, Lease: time.Now().Add(time.Minute).UnixMilli()},
		Email:    &message.Email{From: "hello@acme.example", To: "{{ customer.email }}", Subject: "Hi {{ customer.name }}", Body: "<p>Hi</p>"},
		Scope:    message.Scope{Customer: value.Value(`{"email":"ada@example.com","name":"Ada"}`)},
		Deadline: time.Now().Add(45 * time.Second),
	}
}

// TestOutcomes holds what is reported for what happens to a message.
func TestOutcomes(t *testing.T) {
	t.Parallel()
	says := func(s delivery.State, reason string) func(context.Context, int) delivery.Receipt {
		return func(context.Context, int) delivery.Receipt { return delivery.Receipt{State: s, Reason: reason} }
	}
	for _, tt := range []struct {
		name   string
		send   func(context.Context, int) delivery.Receipt
		change func(j *delivery.Job)
		want   delivery.State
		reason string
		sent   int
	}{
		{"sent", nil, nil, delivery.Sent, "", 1},
		{"bounced", says(delivery.Bounced, "550 5.1.1 no"), nil, delivery.Bounced, "550 5.1.1 no", 1},
		{"failed", says(delivery.Failed, "554 no"), nil, delivery.Failed, "554 no", 1},
		{"unknown", says(delivery.OutcomeUnknown, "cut off"), nil, delivery.OutcomeUnknown, "cut off", 1},
		{"again", says(delivery.Queued, "451 later"), nil, delivery.Queued, "451 later", 1},
		{
			"given up", says(delivery.Queued, "451 later"), func(j *delivery.Job) { j.Delivery.Attempts = 20 },
			delivery.Failed, "given up after 20 attempts: 451 later", 1,
		},
		{
			"missing variable", nil, func(j *delivery.Job) { j.Scope.Customer = value.Value(`{"email":"ada@example.com"}`) },
			delivery.Failed, "customer.name", 0,
		},
		{
			"no address", nil, func(j *delivery.Job) { j.Scope.Customer = value.Value(`{"email":"","name":"Ada"}`) },
			delivery.Suppressed, message.ErrNoAddress.Error(), 0,
		},
		{"a panic in render", nil, func(j *delivery.Job) { j.Email = nil }, delivery.Failed, "could not be rendered", 0},
		{
			"a panic in send", func(context.Context, int) delivery.Receipt { panic("bug") }, nil,
			delivery.OutcomeUnknown, "broke off", 1,
		},
		{
			"too late", nil, func(j *delivery.Job) { j.Deadline = time.Now().Add(500 * time.Millisecond) },
			delivery.Queued, "waited too long", 0,
		},
		{
			"too late at the last attempt", nil,
			func(j *delivery.Job) { j.Deadline, j.Delivery.Attempts = time.Now(), 20 }, delivery.Queued, "waited too long", 0,
		},
		{
			"time over", func(ctx context.Context, _ int) delivery.Receipt {
				<-ctx.Done()
				return delivery.Receipt{State: delivery.OutcomeUnknown, Reason: "no answer"}
			}, nil, delivery.OutcomeUnknown, "no answer", 1,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := &far{send: tt.send}
				w := f.worker(nil)
				w.Start()
				j, began := job(5), time.Now()
				if tt.change != nil {
					tt.change(&j)
				}
				w.Hand([]delivery.Job{j})
				time.Sleep(50 * time.Second) // longer than the deadline; fake time
				w.Stop()
				if len(f.outcomes) != 1 || f.sent != tt.sent {
					t.Fatalf("%d outcomes and %d hand-overs, want 1 and %d", len(f.outcomes), f.sent, tt.sent)
				}
				o := f.outcomes[0]
				if s := delivery.State(o.State); s != tt.want || !strings.Contains(o.Reason, tt.reason) || (o.Reason == "") != (tt.reason == "") {
					t.Errorf("outcome %s, %q, want %s, %q", s, o.Reason, tt.want, tt.reason)
				}
				if o.Delivery != 5 || o.Epoch != 7 || o.At == 0 || (o.RetryAt != 0) != (tt.want == delivery.Queued) {
					t.Errorf("outcome = %+v", o)
				}
				if tt.sent > 0 && (o.Recipient != "ada@example.com" || o.Subject != "Hi Ada") {
					t.Errorf("outcome of %s, %q", o.Recipient, o.Subject)
				}
				if took := time.UnixMilli(o.At).Sub(began); took > 45*time.Second {
					t.Errorf("the outcome was known after %v, which is behind the deadline", took)
				}
				if len(f.seen) != 1 || f.seen[0].State != tt.want || !f.seen[0].Recorded {
					t.Errorf("observed %+v", f.seen)
				}
			})
		})
	}
}

// TestBackoff: waits grow to a bound, and differ.
func TestBackoff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &far{send: func(context.Context, int) delivery.Receipt {
			return delivery.Receipt{State: delivery.Queued, Reason: "451"}
		}}
		w := f.worker(nil)
		w.Start()
		longest := map[int64]time.Duration{}
		for range 200 {
			for _, attempt := range []int64{1, 2, 5, 15, 19} {
				j := job(1)
				j.Delivery.Attempts = attempt
				w.Hand([]delivery.Job{j})
				synctest.Wait()
				outcomes, _ := f.known()
				wait := time.Until(time.UnixMilli(outcomes[len(outcomes)-1].RetryAt))
				if longest[attempt] = max(longest[attempt], wait); wait < 900*time.Millisecond {
					t.Fatalf("attempt %d waits %v", attempt, wait)
				}
			}
		}
		w.Stop()
		for attempt, most := range map[int64]time.Duration{1: 30 * time.Second, 2: time.Minute, 5: 8 * time.Minute, 15: 3 * time.Hour, 19: 3 * time.Hour} {
			if got := longest[attempt]; got > most || got < most*8/10 {
				t.Errorf("attempt %d waits up to %v, want nearly %v", attempt, got, most)
			}
		}
	})
}

// TestReport: an outcome is reported until it is durable, but the message goes out once.
func TestReport(t *testing.T) {
	t.Parallel()
	down := errors.New("the log is down")
	for _, tt := range []struct {
		name     string
		report   func(n int) error
		recorded bool
	}{
		{"in the end", func(n int) error {
			if n < 30 {
				return down
			}
			return nil
		}, true},
		{"never", func(int) error { return down }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := &far{report: tt.report}
				w := f.worker(nil)
				w.Start()
				w.Hand([]delivery.Job{job(1)})
				time.Sleep(119 * time.Second) // the lease and a little less than what is behind it
				_, seen := f.known()
				if got := len(seen) == 1; got != tt.recorded {
					t.Errorf("finished before the end: %v, want %v", got, tt.recorded)
				}
				time.Sleep(2 * time.Second)
				synctest.Wait()
				if f.sent != 1 || len(f.seen) != 1 || f.seen[0].Recorded != tt.recorded || f.seen[0].Reports < 30 {
					t.Errorf("%d hand-overs, observed %+v", f.sent, f.seen)
				}
				if got := w.Free(); got != 32 {
					t.Errorf("Free() = %d, want all 32", got)
				}
				w.Stop()
			})
		})
	}
}

// TestStop: what is on its way ends, what waits goes back to the queue, and nothing is claimed in vain.
func TestStop(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &far{send: func(ctx context.Context, n int) delivery.Receipt {
			if n == 1 {
				time.Sleep(2 * time.Second) // within the grace
				return delivery.Receipt{State: delivery.Sent}
			}
			<-ctx.Done()
			return delivery.Receipt{State: delivery.OutcomeUnknown, Reason: "cut off"}
		}}
		w := f.worker(nil)
		w.Start()
		jobs := make([]delivery.Job, 10)
		for i := range jobs {
			jobs[i] = job(int64(i + 1))
		}
		if got := w.Free(); got != 32 {
			t.Errorf("Free() = %d, want 32", got)
		}
		w.Hand(jobs)
		synctest.Wait()
		if got := w.Free(); got != 22 {
			t.Errorf("Free() = %d, want 22", got)
		}
		began := time.Now()
		w.Stop()
		if took := time.Since(began); took != 3*time.Second {
			t.Errorf("Stop took %v, want the grace", took)
		}
		w.Stop()
		if got := w.Free(); got != 0 {
			t.Errorf("Free() = %d after Stop, want 0", got)
		}
		w.Hand([]delivery.Job{job(11)}) // claimed while the worker stopped
		got := map[delivery.State]int{}
		for _, o := range f.outcomes {
			if got[delivery.State(o.State)]++; o.State == uint8(delivery.Queued) && o.RetryAt > time.Now().UnixMilli() {
				t.Errorf("a job that was given back waits: %+v", o)
			}
		}
		if diff := cmp.Diff(map[delivery.State]int{delivery.Sent: 1, delivery.OutcomeUnknown: 1, delivery.Queued: 9}, got); diff != "" {
			t.Errorf("outcomes (-want +got):\n%s", diff)
		}
	})
}

// TestStopWithoutLog: a stop does not wait for a log that is gone.
func TestStopWithoutLog(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &far{report: func(int) error { return errors.New("the log is down") }}
		w := f.worker(nil)
		w.Start()
		w.Hand([]delivery.Job{job(1), job(2), job(3)})
		synctest.Wait()
		began := time.Now()
		w.Stop()
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("Stop took %v", took)
		}
		if len(f.seen) != 3 || f.seen[0].Recorded {
			t.Errorf("observed %+v", f.seen)
		}
		if len(f.outcomes) != 0 {
			t.Errorf("outcomes %+v, want none", f.outcomes)
		}
	})
}

func TestStopBeforeStart(t *testing.T) {
	t.Parallel()
	f := &far{}
	w := f.worker(nil)
	w.Stop()
	if got := w.Free(); got != 0 {
		t.Errorf("Free() = %d, want 0", got)
	}
}

// TestRefused hands nothing over to an address that is suppressed, and waits where nobody can tell.
func TestRefused(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, reason string
		err          error
		want         delivery.State
		sent         int
	}{
		{name: "mailable", want: delivery.Sent, sent: 1},
		{name: "suppressed", reason: "it bounced", want: delivery.Suppressed},
		{name: "nobody knows", err: errors.New("the database is down"), want: delivery.Queued},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := &far{}
				w := f.worker(func(o *delivery.Options) {
					o.Refused = func(_ context.Context, ws int64, address, domain string) (string, error) {
						if ws != 1 || address != "ada@example.com" || domain != "acme.example" {
							t.Errorf("asked for %d, %s, %s", ws, address, domain)
						}
						return tt.reason, tt.err
					}
				})
				w.Start()
				w.Hand([]delivery.Job{job(1)})
				synctest.Wait()
				w.Stop()
				got, _ := f.known()
				if len(got) != 1 || delivery.State(got[0].State) != tt.want || f.sent != tt.sent || tt.reason != "" && got[0].Reason != tt.reason {
					t.Errorf("%+v, %d sent; want %s, %d", got, f.sent, tt.want, tt.sent)
				}
				if tt.want == delivery.Queued && got[0].RetryAt == 0 {
					t.Error("it is never tried again")
				}
			})
		})
	}
}
