package store_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"rapport.example/internal/engine"
	"rapport.example/internal/journey"
	"rapport.example/internal/person"
	"rapport.example/internal/store"
	"rapport.example/internal/store/storetest"
	"rapport.example/internal/value"
)

// hotState is what a partition's owner reads of eight people.
type hotState struct {
	Keys     map[person.Key]uint32
	People   []*person.Document
	Journeys []journey.Journey
}

var (
	hotPeople = func() (refs []person.Ref) {
		for n := range uint32(8) {
			refs = append(refs, person.Ref{Workspace: 1, Ordinal: n + 1})
		}
		return refs
	}()
	hotKeys = func() (keys []person.Key) {
		for n := range 12 {
			keys = append(keys, person.Key{Workspace: 1, Type: person.ByID, Value: fmt.Sprint("k", n)})
		}
		return keys
	}()
)

func readHot(t *rapid.T, tx engine.Tx) (s hotState) {
	ctx := t.Context()
	var errs [3]error
	s.Keys, errs[0] = tx.Resolve(ctx, hotKeys)
	s.People, errs[1] = tx.People(ctx, hotPeople)
	s.Journeys, errs[2] = tx.Journeys(ctx, hotPeople)
	if err := errors.Join(errs[:]...); err != nil {
		t.Fatal(err)
	}
	return s
}

// changesOf draws one transaction's changes. Journeys belong to people that the transaction leaves.
func changesOf(t *rapid.T) *engine.Changes {
	c := &engine.Changes{}
	any8 := rapid.IntRange(0, 7)
	for _, i := range rapid.SliceOfNDistinct(rapid.IntRange(0, 11), 0, 4, rapid.ID[int]).Draw(t, "keys") {
		if rapid.Bool().Draw(t, "drop") {
			c.DropKeys = append(c.DropKeys, hotKeys[i])
		} else {
			c.PutKeys = append(c.PutKeys, engine.KeyRow{Key: hotKeys[i], Person: uint32(any8.Draw(t, "of") + 1)})
		}
	}
	for _, i := range rapid.SliceOfNDistinct(any8, 0, 4, rapid.ID[int]).Draw(t, "people") {
		ref := hotPeople[i]
		switch rapid.IntRange(0, 5).Draw(t, "do") {
		case 0:
			c.DropPeople = append(c.DropPeople, engine.DropPerson{Ref: ref})
			continue
		case 1:
			c.DropJourneys = append(c.DropJourneys, engine.JourneyRef{Workspace: 1, Person: ref.Ordinal, ID: int64(ref.Ordinal)})
		case 2, 3:
			id := int64(ref.Ordinal) + 100*rapid.Int64Range(0, 1).Draw(t, "journey")
			c.PutJourneys = append(c.PutJourneys, journey.Journey{
				Workspace: 1, ID: id, Person: ref.Ordinal, Campaign: 1, Version: 1, Status: journey.Waiting, Node: "n", Due: rapid.Int64Range(1, 9).Draw(t, "due"),
				Visits: []journey.Visit{{Node: "m", Times: 1}}, Event: value.Value(`{"name":"x"}`),
			})
		}
		d := doc(1, ref.Ordinal)
		d.LastActivity = rapid.Int64Range(1, 1000).Draw(t, "activity")
		c.PutPeople = append(c.PutPeople, d)
	}
	return c
}

// TestCacheHoldsWhatTheDatabaseHolds: whatever is written, undone, failed or taken over, the owner reads what one without a
// cache reads; also when the cache is too small for everybody.
func TestCacheHoldsWhatTheDatabaseHolds(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l, failed := lease(t, db), errors.New("as the test wants it")
		rapid.Check(t, func(t *rapid.T) {
			ctx := t.Context()
			db.SetCacheRoom(rapid.SampledFrom([]int{1 << 20, 4000, 0}).Draw(t, "room"))
			db.Forget(l.Partition, l.Epoch)
			for range rapid.IntRange(1, 6).Draw(t, "transactions") {
				how := rapid.SampledFrom([]string{"commit", "commit", "commit", "fail", "undo a part", "take over"}).Draw(t, "how")
				var warm hotState
				err := db.Transact(ctx, l, func(tx engine.Tx) error {
					readHot(t, tx)
					if err := tx.Write(ctx, changesOf(t)); err != nil {
						return err
					}
					if how == "undo a part" {
						err := tx.Savepoint(ctx, func() error {
							readHot(t, tx)
							return errors.Join(tx.Write(ctx, changesOf(t)), failed)
						})
						if !errors.Is(err, failed) {
							return fmt.Errorf("savepoint: %w", err)
						}
					}
					warm = readHot(t, tx)
					if how == "fail" {
						return failed
					}
					return nil
				})
				if how == "fail" != errors.Is(err, failed) || how != "fail" && err != nil {
					t.Fatalf("%s: %v", how, err)
				}
				if how == "take over" {
					next, ok, err := db.Acquire(ctx, l.Partition, "other", time.Hour, true)
					if err != nil || !ok {
						t.Fatal(ok, err)
					}
					l = next
				}
				again := func() (s hotState) {
					if err := db.Transact(ctx, l, func(tx engine.Tx) error { s = readHot(t, tx); return nil }); err != nil {
						t.Fatal(err)
					}
					return s
				}
				after := again()
				db.Forget(l.Partition, l.Epoch)
				cold := again()
				order := cmpopts.SortSlices(func(a, b any) bool { return fmt.Sprintf("%+v", a) < fmt.Sprintf("%+v", b) })
				if diff := gocmp.Diff(cold, after, order, cmpopts.EquateEmpty()); diff != "" {
					t.Fatalf("%s: behind it (-database +cache):\n%s", how, diff)
				}
				if how == "fail" {
					continue
				}
				if diff := gocmp.Diff(cold, warm, order, cmpopts.EquateEmpty()); diff != "" {
					t.Fatalf("%s: within it (-database +cache):\n%s", how, diff)
				}
			}
		})
	})
}
