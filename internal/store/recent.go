package store

// recent is a map that holds about as many bytes as it has room for and forgets what was not used lately: entries start
// in the young generation; when that has filled half the room it becomes the old one, and the old one is dropped.
type recent[K comparable, V any] struct {
	room int            // bytes
	cost func(K, V) int // bytes that an entry takes, about
	size int            // of young

	young, old map[K]V
}

func (r *recent[K, V]) get(k K) (V, bool) {
	if v, ok := r.young[k]; ok {
		return v, true
	}
	v, ok := r.old[k]
	if ok {
		r.put(k, v)
	}
	return v, ok
}

func (r *recent[K, V]) put(k K, v V) {
	if r.young == nil {
		r.young = map[K]V{}
	}
	if was, ok := r.young[k]; ok {
		r.size -= r.cost(k, was)
	}
	r.young[k] = v
	if r.size += r.cost(k, v); r.size > r.room/2 {
		r.young, r.old, r.size = nil, r.young, 0
	}
}

func (r *recent[K, V]) remove(k K) {
	if was, ok := r.young[k]; ok {
		r.size -= r.cost(k, was)
		delete(r.young, k)
	}
	delete(r.old, k)
}

func (r *recent[K, V]) reset() { r.young, r.old, r.size = nil, nil, 0 }
