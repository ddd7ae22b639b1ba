package store

import (
	"slices"

	"rapport.example/internal/engine"
	"rapport.example/internal/journey"
	"rapport.example/internal/person"
)

// cacheRoom is about how many bytes the cache of a process's first partition may hold; the second's has room for half of
// that, the n-th's for an n-th: four together for twice cacheRoom. Few partitions are busy, and one has to have room.
const cacheRoom = 160 << 20

// cache holds what a partition's owner has read and written lately: whom a key finds, documents and live journeys in
// their stored form. Only the owner writes these rows, so under an unchanged epoch they are what the database holds; when
// a transaction or savepoint of the owner fails, the cache is thrown away. It is for one transaction at a time.
type cache struct {
	epoch  int64
	keys   recent[person.Key, uint32]
	people recent[person.Ref, hot]
	days   map[int64]bool // that have a table of event ids; nil = not read
}

// hot is a person as stored. A nil journeys means that they were not read; none are an empty list.
type hot struct {
	doc      []byte
	journeys []storedJourney
}

// storedJourney is a journey whose State is still encoded: what the engine holds is its own to change.
type storedJourney struct {
	journey.Journey
	state []byte
}

func newCache(epoch int64, room int) *cache {
	return &cache{
		epoch:  epoch,
		keys:   recent[person.Key, uint32]{room: room / 5, cost: func(k person.Key, _ uint32) int { return 80 + len(k.Value) }},
		people: recent[person.Ref, hot]{room: room - room/5, cost: costOf},
	}
}

func costOf(_ person.Ref, h hot) int {
	n := 120 + len(h.doc)
	for i := range h.journeys {
		n += 200 + len(h.journeys[i].state)
	}
	return n
}

// cacheOf is the cache of a lease whose epoch is checked and whose partition's row is locked.
func (db *DB) cacheOf(lease engine.Lease) *cache {
	db.mu.Lock()
	defer db.mu.Unlock()
	c := db.caches[lease.Partition]
	if c == nil || c.epoch != lease.Epoch {
		delete(db.caches, lease.Partition)
		c = newCache(lease.Epoch, db.room/(len(db.caches)+1))
		db.caches[lease.Partition] = c
	}
	return c
}

// forget throws a partition's cache away.
func (db *DB) forget(partition int32, epoch int64) {
	db.mu.Lock()
	defer db.mu.Unlock()
	if c := db.caches[partition]; c != nil && c.epoch == epoch {
		delete(db.caches, partition)
	}
}

func (c *cache) reset() { c.keys.reset(); c.people.reset(); c.days = nil }

// written brings the cache to what the changes have made of the database, in the order in which they are carried out.
// docs are those of PutPeople, blobs their stored form.
func (c *cache) written(ch *engine.Changes, docs []*person.Document, blobs [][]byte) {
	for _, k := range ch.DropKeys {
		c.keys.remove(k)
	}
	for _, k := range ch.PutKeys {
		c.keys.put(k.Key, k.Person)
	}
	for _, ref := range ch.NewPeople {
		c.people.put(ref, hot{journeys: []storedJourney{}})
	}
	passed := make(map[person.Ref]bool, len(ch.Passed))
	for _, ref := range ch.Passed {
		passed[ref] = true
	}
	for i, d := range docs {
		h, known := c.people.get(d.Ref)
		if !known && passed[d.Ref] {
			continue
		}
		h.doc = slices.Clone(blobs[i]) // the block that it was encoded into holds many
		c.people.put(d.Ref, h)
	}
	for _, r := range ch.DropJourneys {
		c.journeys(r.Workspace, r.Person, func(list []storedJourney) []storedJourney { return without(list, r.ID) })
	}
	for _, j := range ch.PutJourneys {
		c.journeys(j.Workspace, j.Person, func(list []storedJourney) []storedJourney { return append(without(list, j.ID), stored(j)) })
	}
	for _, d := range ch.DropPeople {
		c.people.remove(d.Ref)
	}
}

// journeys changes the list of a person whose journeys are known.
func (c *cache) journeys(ws int64, who uint32, change func([]storedJourney) []storedJourney) {
	ref := person.Ref{Workspace: ws, Ordinal: who}
	if h, ok := c.people.get(ref); ok && h.journeys != nil {
		h.journeys = change(h.journeys)
		c.people.put(ref, h)
	}
}

func stored(j journey.Journey) storedJourney {
	state := encodeJourney(j)
	j.Node, j.Visits, j.Event = "", nil, nil
	return storedJourney{j, state}
}

func without(list []storedJourney, id int64) []storedJourney {
	return slices.DeleteFunc(list, func(j storedJourney) bool { return j.ID == id })
}

// decode is the journey as the engine takes it.
func (s *storedJourney) decode() (journey.Journey, error) {
	j := s.Journey
	return j, decodeJourney(&j, s.state)
}
