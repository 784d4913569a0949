package aggregator

import (
	"strconv"
	"strings"
	"sync"
)

// progress is what this process believes of how far views have come, whichever
// replica took them there. It says when to look; what is true says the database.
type progress struct {
	mu        sync.Mutex
	positions map[string]int64
	moved     chan struct{} // closed and replaced when a position changes
	wanted    map[string]chan struct{}
}

func newProgress() *progress {
	return &progress{positions: make(map[string]int64), moved: make(chan struct{}), wanted: make(map[string]chan struct{})}
}

// want gives the channel that says, once, that somebody waits for the view.
func (p *progress) want(view string) chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.wanted[view] == nil {
		p.wanted[view] = make(chan struct{}, 1)
	}
	return p.wanted[view]
}

// hurry says that somebody waits for the views.
func (p *progress) hurry(views []string) {
	for _, v := range views {
		select {
		case p.want(v) <- struct{}{}:
		default: // it was said already
		}
	}
}

func (p *progress) known(view string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, ok := p.positions[view]
	return ok
}

// position is how far a view has come; 0 for one that nobody knows.
func (p *progress) position(view string) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.positions[view]
}

// advance takes a view forward.
func (p *progress) advance(view string, position int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if old, ok := p.positions[view]; !ok || old < position {
		p.put(view, position)
	}
}

// correct takes a view to where the database says it is, also back: a
// notification may have lied. Not for every look, because one that was slow
// would take the view back too.
func (p *progress) correct(view string, position int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.positions[view] != position {
		p.put(view, position)
	}
}

// disprove takes a view back from where it was believed to be when somebody began
// to look, and found less.
func (p *progress) disprove(view string, believed, found int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if found < believed && p.positions[view] == believed {
		p.put(view, found)
	}
}

func (p *progress) put(view string, position int64) {
	p.positions[view] = position
	close(p.moved)
	p.moved = make(chan struct{})
}

// reached reports whether all views are at the position, and gives a channel
// that says when to look again.
func (p *progress) reached(views []string, position int64) (bool, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, v := range views {
		if p.positions[v] < position {
			return false, p.moved
		}
	}
	return true, p.moved
}

// Heard takes a notification of the channel views:updated: "view,position" from
// whichever replica moved a view. It is a hint; a malformed one is ignored.
func (r *Runner) Heard(payload string) {
	view, digits, ok := strings.Cut(payload, ",")
	position, err := strconv.ParseInt(digits, 10, 64)
	if ok && err == nil && r.progress.known(view) {
		r.progress.advance(view, position)
	}
}
