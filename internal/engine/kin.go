package engine

import (
	"slices"

	"rapport.example/internal/ingest"
	"rapport.example/internal/person"
)

// kinMost bounds whom one identifier may come to mean within a batch, since all that they have is read: when thousands of
// people are sent with one email, those that it does mean in the end wait for the next batch.
const kinMost = 64

// kin are the keys that ops may have handed from one person to another, by each of them.
type kin map[person.Key]*[]person.Key

// of lists the keys whose people the key may mean, or the key alone if they are too many.
func (k kin) of(key person.Key) []person.Key {
	if list := k[key]; list != nil && len(*list) <= kinMost {
		return *list
	}
	return []person.Key{key}
}

// join says that the op may make any of its keys mean the person of another.
func (k kin) join(w *work) {
	if len(w.keys) < 2 || w.op.Kind != ingest.Identify && w.op.Kind != ingest.Merge && w.op.Kind != ingest.Form {
		return
	}
	var all *[]person.Key
	for _, key := range w.keys {
		list := k[key]
		if list == nil {
			list = &[]person.Key{key}
			k[key] = list
		}
		if all == nil || all == list {
			all = list
			continue
		}
		if len(*all) < len(*list) {
			all, list = list, all
		}
		for _, other := range *list {
			k[other] = all
		}
		*all = append(*all, *list...)
	}
}

// meant calls see with everybody whom the names may mean when it is their op's turn: the ops before it in the batch may
// have moved identifiers by then. What is read of people is read of all of them at once.
func (b *batch) meant(works []*work, names func(*work) []person.Identifier, see func(*work, *subject)) {
	if !slices.ContainsFunc(works, func(w *work) bool { return len(names(w)) > 0 }) {
		return
	}
	k := kin{}
	for _, w := range works {
		for _, i := range names(w) {
			for _, key := range k.of(i.Key(w.t.ID)) {
				if s := b.people[person.Ref{Workspace: key.Workspace, Ordinal: b.keys[key]}]; s != nil {
					see(w, s)
				}
			}
		}
		k.join(w)
	}
}
