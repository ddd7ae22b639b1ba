package engine

import (
	"cmp"
	"context"
	"slices"

	"github.com/oklog/ulid/v2"

	"rapport.example/internal/event"
	"rapport.example/internal/ingest"
	"rapport.example/internal/person"
)

// An event's id is known for thirty days after it was applied. Ids are kept by day, each day in a table of its own, so that
// whole days are dropped. The day is that of the id's own time, which a repeat has too: one day is looked at for it and not
// thirty. An id whose time is far from when it came, as that of an import or of a wrong clock, is kept under the day on
// which it came, and all days are asked for it. An id without a time, as one made of another's hash, is kept under the last
// day of the ten in which it came, so that four days are asked for it.
const (
	dayLength  = 24 * 60 * 60 * 1000
	repeatDays = 30
	idBehind   = 7              // days that an id may be older than its receipt and still be kept under its own day
	idAhead    = repeatDays + 1 // days that it may be newer: then a repeat within thirty days is newer than its receipt by a day
	idDaysKept = repeatDays + idBehind + 2
	timeless   = 10 // days
)

// EventID is an event's id as it is remembered.
type EventID struct {
	Workspace int64
	Day       int64 // since 1970, real time, under which it is kept
	ID        [16]byte
	Received  int64 // when its event was received, Unix ms of the workspace's clock; not looked at in look-ups
}

type idKey struct {
	workspace int64
	id        ulid.ULID
}

func dayOf(ms int64) int64 { return ms / dayLength }

// home is the day under which an id that came at a moment (Unix ms, real time) is kept.
func home(id ulid.ULID, received int64) int64 {
	if id.Time() == 0 {
		return lastOf(dayOf(received))
	}
	if own := dayOf(int64(id.Time())); own >= dayOf(received)-idBehind && own <= dayOf(received)+idAhead {
		return own
	}
	return dayOf(received)
}

// homes are the days under which an id may be that came in the thirty days before a moment.
func homes(id ulid.ULID, received int64) []int64 {
	own, today := dayOf(int64(id.Time())), dayOf(received)
	var days []int64
	if id.Time() == 0 {
		for d := lastOf(today - repeatDays); d <= lastOf(today); d += timeless {
			days = append(days, d)
		}
		return days
	}
	if own < today-idBehind || own > today+1 { // it may have been too far off when it came
		for d := today - repeatDays; d <= today; d++ {
			days = append(days, d)
		}
	}
	if own >= today-repeatDays-idBehind && own <= today+idAhead && !slices.Contains(days, own) {
		days = append(days, own)
	}
	return days
}

// lastOf is the last of the ten days that a day is in.
func lastOf(day int64) int64 { return day/timeless*timeless + timeless - 1 }

// named reads the id of an event.
func (w *work) named(id string) {
	if id == "" {
		return
	}
	if u, err := ulid.ParseStrict(id); err == nil {
		w.event, w.hasEvent = u, true
	}
}

// loadEventIDs reads which of the events' ids are known.
func (b *batch) loadEventIDs(ctx context.Context, tx Tx, works []*work) error {
	var ask []EventID
	for _, w := range works {
		if !w.hasEvent {
			continue
		}
		for _, d := range homes(w.event, w.op.Received) {
			ask = append(ask, EventID{Workspace: w.t.ID, Day: d, ID: w.event})
		}
	}
	if len(ask) == 0 {
		return nil
	}
	slices.SortFunc(ask, CompareEventIDs)
	known, err := tx.EventIDs(ctx, slices.Compact(ask))
	if err != nil {
		return err
	}
	for _, e := range known {
		k := idKey{e.Workspace, e.ID}
		b.events[k] = max(b.events[k], e.Received)
	}
	return nil
}

// CompareEventIDs orders ids as they are kept: by day, workspace and id.
func CompareEventIDs(x, y EventID) int {
	return cmp.Or(cmp.Compare(x.Day, y.Day), cmp.Compare(x.Workspace, y.Workspace), slices.Compare(x.ID[:], y.ID[:]))
}

// repeated reports whether the op's event was applied before, and says so in an activity. If it was not, its id is known
// from now on.
func (b *batch) repeated(w *work, s *subject, pl *ingest.EventPayload) bool {
	if !w.hasEvent {
		return false
	}
	k := idKey{w.t.ID, w.event}
	if at, known := b.events[k]; known && w.now-at <= repeatDays*dayLength {
		b.note(w.t, s, event.Activity{
			Type: event.FailedEvent, At: w.now, Received: w.now,
			Data: object("reason", "an event with this id was applied in the last 30 days", "op", w.op.ID, "event_id", pl.ID),
		})
		return true
	}
	b.events[k] = w.now
	e := EventID{Workspace: w.t.ID, Day: home(w.event, w.op.Received), ID: w.event, Received: w.now}
	b.c.EventIDs = append(b.c.EventIDs, e)
	return false
}

// known reports whether the identifier may be somebody: a cio_id that nobody has leaves its reason.
func (b *batch) known(w *work, s *subject, who person.Identifier) bool {
	if s != nil || who.Type != person.ByCIO {
		return true
	}
	b.failed(w, nil, "no person has this cio_id", who)
	return false
}
