package store_test

import (
	"encoding/hex"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"rapport.example/internal/engine"
	"rapport.example/internal/store"
	"rapport.example/internal/store/storetest"
	"rapport.example/internal/timer"
)

func segmentTimer(person uint32, due int64) timer.Timer {
	return timer.Timer{Workspace: 1, Person: person, Kind: timer.Segment, Due: due}
}

// TestTimersOfBlocks holds what falls due, whether it was written as rows or packed, to a list in memory.
func TestTimersOfBlocks(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l := lease(t, db)
		for seed := range uint64(20) {
			r := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // a test
			var want []timer.Timer
			id := int64(seed) * 100
			draw := func(most int) (out []timer.Timer) {
				for range 1 + r.IntN(most) {
					out = append(out, segmentTimer(1+r.Uint32N(50), 100+r.Int64N(100)))
				}
				slices.SortFunc(out, timer.Timer.Compare)
				return slices.Compact(out)
			}
			c := &engine.Changes{PutTimers: draw(10)}
			want = append(want, c.PutTimers...)
			for range r.IntN(12) {
				id++
				part := draw(20)
				want = append(want, part...)
				c.TimerBlocks = append(c.TimerBlocks, engine.TimerBlock{Workspace: 1, ID: id, Timers: part})
			}
			write(t, db, l, c)
			slices.SortFunc(want, timer.Timer.Compare)
			want = slices.Compact(want)
			for now := int64(100); len(want) > 0; now += r.Int64N(40) {
				limit := 1 + r.IntN(30)
				within(t, db, l, func(tx engine.Tx) error {
					first, err := tx.NextTimer(t.Context(), 1)
					if first != want[0].Due || err != nil {
						t.Errorf("seed %d: the first is due at %d, %v, want %d", seed, first, err, want[0].Due)
					}
					got, err := tx.Timers(t.Context(), 1, now, limit)
					n := 0
					for n < min(limit, len(want)) && want[n].Due <= now {
						n++
					}
					if err != nil || !slices.Equal(got, want[:n]) {
						t.Errorf("seed %d: due at %d, %d at most: %v, %v\nwant %v", seed, now, limit, got, err, want[:n])
					}
					want = want[n:]
					return tx.Write(t.Context(), &engine.Changes{DropTimers: got})
				})
				if t.Failed() {
					return
				}
			}
			if left := count(t, db, "timers") + count(t, db, "timer_blocks"); left != 0 {
				t.Fatalf("seed %d: %d rows are left", seed, left)
			}
		}
	})
}

// TestTimerBlockFormat holds what a block looks like, counts the timers of blocks as well, and reads no damaged one.
func TestTimerBlockFormat(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l, ctx := lease(t, db), t.Context()
		list := []timer.Timer{segmentTimer(3, 1000), segmentTimer(300, 1000), segmentTimer(1, 1130)}
		write(t, db, l, &engine.Changes{TimerBlocks: []engine.TimerBlock{{Workspace: 1, ID: 1, Timers: list}}})
		var doc []byte
		err := db.QuerySet(ctx, `WITH k (id) AS ({rows}) SELECT b.doc FROM k CROSS JOIN timer_blocks b WHERE b.id = k.id`, store.Set{[]int64{1}}, func(r store.Row) error { return r.Scan(&doc) })
		const want = "01" + "0003" + "00ac02" + "820101"
		if got := hex.EncodeToString(doc); err != nil || got != want {
			t.Errorf("a block is %s, %v, want %s", got, err, want)
		}
		if c, err := db.Counts(ctx, 1); err != nil || c.Timers != 3 {
			t.Errorf("%d timers are counted, %v, want 3", c.Timers, err)
		}
		for _, bad := range []string{"", "02" + "0003", "01" + "00", "01" + "80"} {
			data, err := hex.DecodeString(bad)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := store.DecodeTimers(1, 1000, data); err == nil || !strings.Contains(err.Error(), "damaged") {
				t.Errorf("a block of %q: %v, want that it is damaged", bad, err)
			}
		}
	})
}
