package auth

import (
	"sync"
	"time"
)

// recent remembers values that were used a short while ago, in bounded memory.
//
// It has two halves. What is used moves to the young half; after a period, or
// when the young half is full, the old one is dropped and the young one takes
// its place. So a value that is in use stays, one that was idle for two periods
// is gone, and neither needs a timer, a goroutine or a list.
type recent[K comparable, V any] struct {
	period time.Duration
	size   int // values in one half at most

	mu         sync.Mutex
	young, old map[K]V
	turned     time.Time
}

func newRecent[K comparable, V any](period time.Duration, size int) *recent[K, V] {
	return &recent[K, V]{period: period, size: size, young: map[K]V{}}
}

// find gives the value of k and keeps it from being forgotten.
func (r *recent[K, V]) find(k K, now time.Time) (V, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.turn(now)
	return r.use(k)
}

// findOrAdd is find with a value for a key that is not there.
func (r *recent[K, V]) findOrAdd(k K, now time.Time, create func() V) V {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.turn(now)
	if v, ok := r.use(k); ok {
		return v
	}
	v := create()
	r.young[k] = v
	return v
}

// put replaces the value of k.
func (r *recent[K, V]) put(k K, now time.Time, v V) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.turn(now)
	r.young[k] = v
}

// forget drops all values.
func (r *recent[K, V]) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.young, r.old = map[K]V{}, nil
}

// use looks a value up and makes it young; r.mu is held.
func (r *recent[K, V]) use(k K) (V, bool) {
	v, ok := r.young[k]
	if ok {
		return v, true
	}
	if v, ok = r.old[k]; ok {
		r.young[k] = v
	}
	return v, ok
}

// turn forgets the old half when it is time; r.mu is held.
func (r *recent[K, V]) turn(now time.Time) {
	idle := now.Sub(r.turned)
	if idle < r.period && len(r.young) < r.size {
		return
	}
	r.old, r.young, r.turned = r.young, map[K]V{}, now
	if idle >= 2*r.period {
		r.old = nil
	}
}
