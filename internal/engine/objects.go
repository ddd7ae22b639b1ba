package engine

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"rapport.example/internal/event"
	"rapport.example/internal/id"
	"rapport.example/internal/ingest"
	objects "rapport.example/internal/object"
	"rapport.example/internal/person"
	"rapport.example/internal/value"
)

// ObjectKey finds an object of a workspace.
type ObjectKey struct {
	Workspace int64
	objects.Key
}

// ObjectRef names an object by number.
type ObjectRef struct{ Workspace, Number int64 }

// RelationRef names a relationship.
type RelationRef struct {
	person.Ref
	Object int64
}

// Visit is a relationship that waits for its visitor to become a person.
type Visit struct {
	Workspace  int64
	Anonymous  string // the visitor's anonymous id
	Object     int64
	Received   int64 // Unix ms of the workspace's clock
	Attributes objects.Attributes
}

// things are the objects and relationships in hand.
type things struct {
	named     map[ObjectKey]*objects.Object // by both keys; nil = there is none
	changed   map[ObjectRef]*objects.Object // to write
	relations map[person.Ref]map[int64]*relation
	visits    map[person.Key]map[int64]*Visit // by anonymous id
	waiting   map[person.Key]bool             // anonymous ids whose visits are to be written anew
	numbered  map[ObjectRef]*objects.Object   // nil = of no type that conditions look at
	missing   map[ObjectRef]bool              // objects to read
	holders   map[ObjectRef][]person.Ref      // who in hand is related to an object, or was
	spread    map[ObjectRef]bool              // objects whose people are to be looked at
}

// relation is a relationship in hand.
type relation struct {
	objects.Relationship
	stored, dirty bool
}

func newThings() things {
	return things{
		named: map[ObjectKey]*objects.Object{}, changed: map[ObjectRef]*objects.Object{}, relations: map[person.Ref]map[int64]*relation{},
		visits: map[person.Key]map[int64]*Visit{}, waiting: map[person.Key]bool{},
		numbered: map[ObjectRef]*objects.Object{}, missing: map[ObjectRef]bool{}, holders: map[ObjectRef][]person.Ref{}, spread: map[ObjectRef]bool{},
	}
}

// readObject names whom and what an op about an object touches.
func (w *work) readObject() error {
	pl, err := ingest.Decode[ingest.ObjectPayload](w.op)
	if err != nil {
		return err
	}
	w.objects = append(w.objects, pl.Object)
	w.relates(pl.Relations)
	if w.op.Kind == ingest.DeleteObject {
		w.do = func(b *batch, w *work) error { return b.deleteObject(w, pl.Object) }
	} else {
		w.do = func(b *batch, w *work) error { return b.identifyObject(w, pl) }
	}
	return nil
}

// readRelate is readObject for relationships alone.
func (w *work) readRelate() error {
	pl, err := ingest.Decode[ingest.RelatePayload](w.op)
	if err != nil {
		return err
	}
	pl.Drop = w.op.Kind == ingest.Unrelate
	if pl.By != (ingest.By{}) {
		w.want(pl.By)
		w.related = append(w.related, pl.By.Identifier())
	} else {
		w.objects = append(w.objects, pl.Object)
	}
	w.relates(pl.Relations)
	w.do = func(b *batch, w *work) error { return b.relate(w, pl) }
	return nil
}

// identifyRelates names what an identify's relationships touch.
func (w *work) identifyRelates(pl *ingest.IdentifyPayload) (rel ingest.RelatePayload, err error) {
	if len(pl.Relate) == 0 {
		return rel, nil
	}
	if err := json.Unmarshal(pl.Relate, &rel); err != nil {
		return rel, fmt.Errorf("relationships of op %s: %w", w.op.ID, err)
	}
	rel.By, rel.Timestamp = pl.By, pl.Timestamp
	if who := pl.By.Identifier(); who.Type != 0 {
		w.related = append(w.related, who)
	} else if i, ok := bodyIdentifier(pl.Attributes, "anonymous_id"); ok {
		for n := range rel.Relations {
			rel.Relations[n].Anonymous = i.Value
		}
	}
	for _, name := range w.t.identifying() {
		if i, ok := bodyIdentifier(pl.Attributes, name); ok {
			w.related = append(w.related, i)
		}
	}
	w.relates(rel.Relations)
	return rel, nil
}

func (w *work) relates(list []ingest.Relation) {
	for _, r := range list {
		if r.Object != (objects.Key{}) {
			w.objects = append(w.objects, r.Object)
		}
		i := r.By.Identifier()
		if r.Anonymous != "" {
			i = person.Identifier{Type: person.ByAnonymous, Value: r.Anonymous}
			w.visitors = append(w.visitors, i.Key(w.t.ID))
		}
		if i.Type != 0 {
			w.keys = append(w.keys, i.Key(w.t.ID))
			w.related = append(w.related, i)
		}
	}
}

// loadObjects reads the objects that ops name, and loadRelations all relationships of the people whom they relate, merge or
// give an anonymous id that objects wait for.
func (b *batch) loadObjects(ctx context.Context, tx Tx, works []*work) error {
	var keys []ObjectKey
	for _, w := range works {
		for _, k := range w.objects {
			key := ObjectKey{w.t.ID, k}
			if _, seen := b.named[key]; !seen {
				b.named[key] = nil
				keys = append(keys, key)
			}
		}
	}
	if len(keys) > 0 {
		found, err := tx.Objects(ctx, keys)
		if err != nil {
			return err
		}
		for i := range found {
			b.remember(&found[i])
		}
	}
	if err := b.loadVisits(ctx, tx, works); err != nil {
		return err
	}
	if err := b.loadRelations(ctx, tx, works); err != nil {
		return err
	}
	return b.loadNumbered(ctx, tx)
}

// remember makes an object found by both of its keys and its number.
func (b *batch) remember(o *objects.Object) {
	ref := ObjectRef{o.Workspace, o.Number}
	if have := b.numbered[ref]; have != nil {
		o = have
	}
	b.numbered[ref] = o
	for _, k := range [...]objects.Key{{Type: o.Type, ID: o.ID}, {CIO: o.CIO}} {
		b.named[ObjectKey{o.Workspace, k}] = o
	}
}

// relating lists those of the op's people whose relationships matter to it.
func (w *work) relating(b *batch) []person.Identifier {
	list := w.related
	if w.secondary.Type != 0 && w.t.counters["relationship"] > 0 {
		list = append(slices.Clip(list), w.primary, w.secondary)
	}
	if w.anonymous.Type != 0 && len(b.visits[w.anonymous]) > 0 {
		for _, k := range w.keys {
			list = append(list, person.Identifier{Type: k.Type, Value: k.Value})
		}
	}
	return list
}

func (b *batch) loadRelations(ctx context.Context, tx Tx, works []*work) error {
	var refs []person.Ref
	b.meant(works, func(w *work) []person.Identifier { return w.relating(b) }, func(_ *work, s *subject) {
		if b.relations[s.doc.Ref] != nil {
			return
		}
		b.relations[s.doc.Ref] = map[int64]*relation{}
		if s.stored {
			refs = append(refs, s.doc.Ref)
		}
	})
	return b.readRelations(ctx, tx, refs)
}

// loadVisits reads the relationships that wait under the anonymous ids that ops name.
func (b *batch) loadVisits(ctx context.Context, tx Tx, works []*work) error {
	var keys []person.Key
	want := func(k person.Key) {
		if _, seen := b.visits[k]; !seen {
			b.visits[k] = map[int64]*Visit{}
			keys = append(keys, k)
		}
	}
	for _, w := range works {
		for _, k := range w.visitors {
			want(k)
		}
		if w.anonymous.Type != 0 && w.t.counters["visit"] > 0 {
			want(w.anonymous)
		}
	}
	if len(keys) == 0 {
		return nil
	}
	list, err := tx.Visits(ctx, keys)
	if err != nil {
		return err
	}
	for i := range list {
		v := &list[i]
		b.visits[person.Identifier{Type: person.ByAnonymous, Value: v.Anonymous}.Key(v.Workspace)][v.Object] = v
		if o := (ObjectRef{v.Workspace, v.Object}); b.numbered[o] == nil {
			b.missing[o] = true
		}
	}
	return nil
}

// relationsLoaded reports whether the relationships of everybody whom the op relates are in hand. Those of a person who came to
// bear an identifier by an earlier op of the batch may not be.
func (b *batch) relationsLoaded(w *work) bool {
	for _, i := range w.relating(b) {
		if s := b.find(w.t, i); s != nil && s.stored && b.relations[s.doc.Ref] == nil {
			return false
		}
	}
	return true
}

// relationsOf are the relationships of a person, whose are loaded or who is new.
func (b *batch) relationsOf(s *subject) map[int64]*relation {
	m := b.relations[s.doc.Ref]
	if m == nil {
		m = map[int64]*relation{}
		b.relations[s.doc.Ref] = m
	}
	return m
}

// object finds the object or, unless it is named by cio_object_id, makes it; nil with the reason if there is none.
func (b *batch) object(w *work, k objects.Key) (*objects.Object, string) {
	if o := b.named[ObjectKey{w.t.ID, k}]; o != nil {
		return o, ""
	}
	if k.CIO != "" {
		return nil, "no object has this cio_object_id"
	}
	kind := "objects:" + strconv.FormatInt(k.Type, 10)
	if w.t.counters[kind] == 0 && w.t.counters["object_type"] >= objects.MaxTypes {
		return nil, "a workspace has at most " + strconv.Itoa(objects.MaxTypes) + " object types"
	}
	if b.next(w.t, kind) == 1 {
		b.next(w.t, "object_type")
	}
	n := b.next(w.t, "object")
	o := &objects.Object{Workspace: w.t.ID, Number: n, Type: k.Type, ID: k.ID, CIO: id.Object(b.p.e.o.Secret, w.t.ID, n), Created: w.now, Updated: w.now}
	b.remember(o)
	b.keep(o)
	b.noteObject(w, o, "created", nil)
	return o, ""
}

// keep has the object written.
func (b *batch) keep(o *objects.Object) { b.things.changed[ObjectRef{o.Workspace, o.Number}] = o }

// noteObject leaves an activity about an object, which names attributes but not their values.
func (b *batch) noteObject(w *work, o *objects.Object, what string, names []string) {
	var d value.Builder
	nameObject(&d, o)
	if len(names) > 0 {
		list := []byte{'['}
		for i, n := range names {
			if i > 0 {
				list = append(list, ',')
			}
			list = append(list, value.Quote(n)...)
		}
		d.Set("attributes", append(list, ']'))
	}
	b.note(w.t, nil, event.Activity{Type: event.ObjectChange, Name: what, At: w.now, Received: w.now, Data: d.Value()})
}

func nameObject(d *value.Builder, o *objects.Object) {
	d.Set("object_type_id", text(strconv.FormatInt(o.Type, 10))).Set("object_id", text(o.ID)).Set("cio_object_id", text(o.CIO))
}

// identifyObject makes or changes an object and relates people to it.
func (b *batch) identifyObject(w *work, pl ingest.ObjectPayload) error {
	if exists := b.named[ObjectKey{w.t.ID, pl.Object}] != nil; pl.Only != "" && exists != (pl.Only == ingest.OnlyExisting) {
		return nil
	}
	o, why := b.object(w, pl.Object)
	if o == nil {
		b.failed(w, nil, why, person.Identifier{})
		return nil
	}
	names, refused := o.Attributes.Set(pl.Attributes, w.seconds(pl.Timestamp))
	if len(pl.Attributes) > len("{}") {
		b.keep(o)
	}
	if len(names) > 0 {
		o.Updated = w.now
		b.noteObject(w, o, "updated", names)
		if w.t.spreads(o.Type, names...) {
			if err := b.changedObject(w, o, b.peopleOf(ObjectRef{o.Workspace, o.Number})); err != nil {
				return err
			}
		}
	}
	b.refusals(w, nil, refused)
	return b.relate(w, ingest.RelatePayload{Object: pl.Object, Relations: pl.Relations, Timestamp: pl.Timestamp})
}

// seconds is the time of a write in Unix seconds.
func (w *work) seconds(timestamp int64) int64 {
	if timestamp == 0 {
		return w.now / 1000
	}
	return timestamp
}

func (b *batch) refusals(w *work, s *subject, refused []string) {
	for _, why := range refused {
		b.failed(w, s, why, person.Identifier{})
	}
}

// deleteObject deletes an object with its relationships.
func (b *batch) deleteObject(w *work, k objects.Key) error {
	o := b.named[ObjectKey{w.t.ID, k}]
	if o == nil {
		b.failed(w, nil, "there is no such object", person.Identifier{})
		return nil
	}
	ref := ObjectRef{o.Workspace, o.Number}
	people := b.peopleOf(ref)
	b.numbered[ref] = nil
	b.named[ObjectKey{o.Workspace, objects.Key{Type: o.Type, ID: o.ID}}], b.named[ObjectKey{o.Workspace, objects.Key{CIO: o.CIO}}] = nil, nil
	delete(b.things.changed, ref)
	b.c.DropObjects = append(b.c.DropObjects, ref)
	for who, list := range b.relations {
		if who.Workspace == o.Workspace {
			delete(list, o.Number)
		}
	}
	for k, list := range b.visits {
		if k.Workspace == o.Workspace {
			delete(list, o.Number)
		}
	}
	b.noteObject(w, o, "deleted", nil)
	if !w.t.spreads(o.Type, "") {
		return nil
	}
	return b.changedObject(w, o, people)
}

// identifyAndRelate is identify, and then relate for the person, if there is one.
func (b *batch) identifyAndRelate(w *work, pl ingest.IdentifyPayload, rel ingest.RelatePayload) error {
	if err := b.identify(w, pl); err != nil {
		return err
	}
	if who := pl.By.Identifier(); who.Type != 0 && b.find(w.t, who) == nil {
		return nil // identify has noted why
	}
	return b.relate(w, rel)
}

// relate joins people and objects, or parts them. People and objects that do not exist are made, except by a canonical id.
func (b *batch) relate(w *work, pl ingest.RelatePayload) error {
	at, changed := w.seconds(pl.Timestamp), relinked{}
	for _, r := range pl.Relations {
		by, k := r.By, r.Object
		if pl.By != (ingest.By{}) {
			by = pl.By
		}
		if pl.Object != (objects.Key{}) {
			k = pl.Object
		}
		b.relateOne(w, by, k, r, pl.Drop, at, &changed)
	}
	return b.settleRelinked(w, &changed)
}

// relinked says whose relationships an op has changed, in order, and what of it touches segments.
type relinked struct {
	who  []*subject
	what map[*subject]*touched
}

func (c *relinked) of(s *subject) *touched {
	if c.what == nil {
		c.what = map[*subject]*touched{}
	}
	if c.what[s] == nil {
		c.who, c.what[s] = append(c.who, s), &touched{}
	}
	return c.what[s]
}

func (c *relinked) add(s *subject, typ int64) {
	if what := c.of(s); !slices.Contains(what.objects, typ) {
		what.objects = append(what.objects, typ)
	}
}

func (b *batch) settleRelinked(w *work, c *relinked) error {
	for _, s := range c.who {
		if err := b.settle(s, w.now, *c.what[s]); err != nil {
			return err
		}
	}
	return nil
}

func (b *batch) relateOne(w *work, by ingest.By, k objects.Key, r ingest.Relation, drop bool, at int64, changed *relinked) {
	who := by.Identifier()
	if r.Anonymous != "" {
		who = person.Identifier{Type: person.ByAnonymous, Value: r.Anonymous}
	}
	if who.Type != person.ByAnonymous && b.blocked(w, who) {
		return
	}
	s := b.find(w.t, who)
	if drop {
		b.part(w, s, b.named[ObjectKey{w.t.ID, k}], who, changed)
		return
	}
	if s == nil && who.Type == person.ByCIO {
		b.failed(w, nil, "no person has this cio_id", who)
		return
	}
	if s != nil && b.named[ObjectKey{w.t.ID, k}] == nil && len(b.relationsOf(s)) >= objects.MaxOfPerson {
		b.overfull(w, s, 1) // before the object comes to be for nothing
		return
	}
	o, why := b.object(w, k)
	switch {
	case o == nil:
		b.failed(w, s, why, person.Identifier{})
	case s != nil:
		b.join(w, s, o, r.Attributes, at, changed)
	case who.Type == person.ByAnonymous:
		b.await(w, who.Key(w.t.ID), o, r.Attributes, at)
	default:
		s = b.create(w.t, w.now, who)
		b.note(w.t, s, event.Activity{Type: event.Created, At: w.now, Received: w.now})
		changed.of(s).all = true
		b.join(w, s, o, r.Attributes, at, changed)
	}
}

// join relates a person to an object, or changes what is known of that.
func (b *batch) join(w *work, s *subject, o *objects.Object, attributes value.Value, at int64, changed *relinked) {
	list := b.relationsOf(s)
	r := list[o.Number]
	created := r == nil
	if created && len(list) >= objects.MaxOfPerson {
		b.overfull(w, s, 1)
		return
	}
	if created {
		b.next(w.t, "relationship")
		r = &relation{Relationship: objects.Relationship{Workspace: o.Workspace, Person: s.doc.Ordinal, Object: o.Number, Created: w.now}, dirty: true}
		b.own(s.doc.Ref, r)
	}
	names, refused := r.Attributes.Set(attributes, at)
	r.dirty = r.dirty || len(attributes) > len("{}")
	b.refusals(w, s, refused)
	if !created && len(names) == 0 {
		return
	}
	b.noteRelation(w, s, event.AddRelation, o, r.Attributes.Values())
	changed.add(s, o.Type)
}

func (b *batch) noteRelation(w *work, s *subject, t event.Type, o *objects.Object, attributes value.Value) {
	var d value.Builder
	nameObject(&d, o)
	if len(attributes) > len("{}") {
		d.Set("relationship_attributes", attributes)
	}
	b.note(w.t, s, event.Activity{Type: t, At: w.now, Received: w.now, Data: d.Value()})
}

// part ends a relationship.
func (b *batch) part(w *work, s *subject, o *objects.Object, who person.Identifier, changed *relinked) {
	if s == nil && o != nil && who.Type == person.ByAnonymous {
		k := who.Key(w.t.ID)
		if b.visits[k][o.Number] != nil {
			delete(b.visits[k], o.Number)
			b.waiting[k] = true
			b.noteRelation(w, nil, event.DeleteRelation, o, nil)
			return
		}
	}
	var r *relation
	if s != nil && o != nil {
		r = b.relationsOf(s)[o.Number]
	}
	if r == nil {
		b.failed(w, s, "there is no such relationship", person.Identifier{})
		return
	}
	delete(b.relations[s.doc.Ref], o.Number)
	if r.stored {
		b.c.DropRelations = append(b.c.DropRelations, RelationRef{s.doc.Ref, o.Number})
	}
	b.noteRelation(w, s, event.DeleteRelation, o, nil)
	changed.add(s, o.Type)
}

// await keeps a relationship of a visitor who is nobody yet.
func (b *batch) await(w *work, k person.Key, o *objects.Object, attributes value.Value, at int64) {
	list := b.visits[k]
	v := list[o.Number]
	if v == nil {
		if len(list) >= objects.MaxOfPerson {
			b.failed(w, nil, "a visitor has at most "+strconv.Itoa(objects.MaxOfPerson)+" relationships", person.Identifier{})
			return
		}
		b.next(w.t, "visit")
		v = &Visit{Workspace: w.t.ID, Anonymous: k.Value, Object: o.Number}
		list[o.Number] = v
	}
	v.Received = w.now
	_, refused := v.Attributes.Set(attributes, at)
	b.waiting[k] = true
	b.refusals(w, nil, refused)
}

// receiveVisits gives the person what waited under their anonymous id, and returns the types of objects that may be among it. What the
// person has already stays as it is.
func (b *batch) receiveVisits(w *work, s *subject, k person.Key) (types []int64) {
	visits := b.visits[k]
	if len(visits) == 0 {
		return nil
	}
	list := b.relationsOf(s)
	came, full := int64(0), int64(0)
	for _, n := range slices.Sorted(maps.Keys(visits)) {
		v, r := visits[n], list[n]
		if v.Received < w.now-objects.Retained*1000 { // like events of nobody
			continue
		}
		if r == nil && len(list) >= objects.MaxOfPerson {
			full++
			continue
		}
		if r == nil {
			b.next(w.t, "relationship")
			r = &relation{Relationship: objects.Relationship{Workspace: s.doc.Workspace, Person: s.doc.Ordinal, Object: n, Created: w.now}}
			b.own(s.doc.Ref, r)
		}
		r.Attributes.Fill(v.Attributes)
		r.dirty = true
		came++
	}
	b.forgetVisits(k)
	b.overfull(w, s, full)
	if came > 0 {
		b.note(w.t, s, event.Activity{Type: event.AddRelation, At: w.now, Received: w.now, Data: object("anonymous_id", k.Value, "relationships", came)})
		types = w.t.objectTypes()
	}
	return types
}

// forgetVisits deletes what waits under an anonymous id.
func (b *batch) forgetVisits(k person.Key) {
	clear(b.visits[k])
	b.waiting[k] = true
}

// overfull notes relationships that a person has no room for.
func (b *batch) overfull(w *work, s *subject, n int64) {
	if n > 0 {
		b.failed(w, s, strconv.FormatInt(n, 10)+" relationships were left out: a person has at most "+strconv.Itoa(objects.MaxOfPerson), person.Identifier{})
	}
}

// receiveRelations moves the relationships of a merged person; of two to one object, the primary person's attributes count.
// It says how many of them are new to p.
func (b *batch) receiveRelations(w *work, p, s *subject) (came int64) {
	theirs := b.relations[s.doc.Ref]
	if len(theirs) == 0 {
		return 0
	}
	own, full := b.relationsOf(p), int64(0)
	for _, n := range slices.Sorted(maps.Keys(theirs)) {
		r := theirs[n]
		switch mine := own[n]; {
		case mine != nil:
			mine.Attributes.Fill(r.Attributes)
			mine.dirty = true
		case len(own) < objects.MaxOfPerson:
			moved := &relation{Relationship: r.Relationship, dirty: true}
			moved.Person = p.doc.Ordinal
			b.own(p.doc.Ref, moved)
			came++
		default:
			full++
		}
	}
	b.overfull(w, p, full)
	clear(theirs)
	return came
}

// thingsOf gathers objects and relationships for the write.
func (b *batch) thingsOf() {
	for _, o := range b.things.changed {
		b.c.PutObjects = append(b.c.PutObjects, *o)
	}
	slices.SortFunc(b.c.PutObjects, func(x, y objects.Object) int {
		return cmp.Or(cmp.Compare(x.Workspace, y.Workspace), cmp.Compare(x.Number, y.Number))
	})
	for ref, list := range b.relations {
		if s := b.people[ref]; s == nil || s.gone {
			continue
		}
		for _, r := range list {
			if r.dirty {
				b.c.PutRelations = append(b.c.PutRelations, r.Relationship)
			}
		}
	}
	slices.SortFunc(b.c.PutRelations, func(x, y objects.Relationship) int {
		return cmp.Or(cmp.Compare(x.Workspace, y.Workspace), cmp.Compare(x.Person, y.Person), cmp.Compare(x.Object, y.Object))
	})
	for k := range b.waiting {
		b.c.DropVisits = append(b.c.DropVisits, k)
		for _, v := range b.visits[k] {
			b.c.PutVisits = append(b.c.PutVisits, *v)
		}
	}
	slices.SortFunc(b.c.DropVisits, compareKeys)
	slices.SortFunc(b.c.PutVisits, func(x, y Visit) int {
		return cmp.Or(cmp.Compare(x.Workspace, y.Workspace), cmp.Compare(x.Anonymous, y.Anonymous), cmp.Compare(x.Object, y.Object))
	})
}
