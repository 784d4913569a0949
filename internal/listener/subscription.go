package listener

import (
	"fmt"
	"slices"
)

// A Subscription is told when there may be new events to read. Wakes coalesce:
// however many arrive while its owner is busy, one is waiting afterwards.
type Subscription struct {
	listener *Listener
	wake     chan struct{}
}

// Subscribe registers for wakes: on every announced event, after every
// (re)connect, and every Options.Interval whatever happens. The owner reads
// the log after each of them; nothing else is promised.
func (l *Listener) Subscribe() *Subscription {
	s := &Subscription{listener: l, wake: make(chan struct{}, 1)}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.subscriptions[s] = struct{}{}
	return s
}

// C receives the wakes. It is never closed.
func (s *Subscription) C() <-chan struct{} { return s.wake }

// Close ends the subscription; a wake that is already waiting stays in C.
// Closing twice is harmless.
func (s *Subscription) Close() {
	s.listener.mu.Lock()
	defer s.listener.mu.Unlock()
	delete(s.listener.subscriptions, s)
}

// A Feed carries the raw payloads of one channel. Its owner is told when it
// may have missed some, and never holds up the listener.
type Feed struct {
	listener *Listener
	channel  string
	payloads chan string
	missed   chan struct{}
}

// Feed registers for the payloads of a channel named in Options.Channels and
// holds up to size of them for a slow owner. A payload may come from any role
// of the database; treat it as input.
func (l *Listener) Feed(channel string, size int) (*Feed, error) {
	if !slices.Contains(l.channels, channel) {
		return nil, fmt.Errorf("listener: channel %q is not in Options.Channels", channel)
	}
	f := &Feed{listener: l, channel: channel, payloads: make(chan string, size), missed: make(chan struct{}, 1)}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.feeds[f] = struct{}{}
	return f, nil
}

// C receives the payloads in the order of their commits. It is never closed.
func (f *Feed) C() <-chan string { return f.payloads }

// Missed receives when payloads may have been lost, so that the owner reads
// for itself what it follows: after every (re)connect, when more than size
// payloads were waiting, and every Options.Interval while nothing is heard.
func (f *Feed) Missed() <-chan struct{} { return f.missed }

// Close ends the feed; payloads that already wait stay in C. Closing twice is
// harmless.
func (f *Feed) Close() {
	f.listener.mu.Lock()
	defer f.listener.mu.Unlock()
	delete(f.listener.feeds, f)
}

// offer hands the payload over, or notes that it was missed.
func (f *Feed) offer(payload string) {
	select {
	case f.payloads <- payload:
	default:
		signal(f.missed)
	}
}

// deliver routes one notification.
func (l *Listener) deliver(channel, payload string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if channel == EventsCreated {
		if _, err := ParseNotification(payload); err != nil {
			// Why not logged: any role may send any number of them.
			l.status.Ignored++
			return
		}
		l.wake()
	}
	l.status.Notifications++
	for feed := range l.feeds {
		if feed.channel == channel {
			feed.offer(payload)
		}
	}
}

// wake wakes every subscription; l.mu is held.
func (l *Listener) wake() {
	for s := range l.subscriptions {
		signal(s.wake)
	}
}

// markMissed tells every feed to look for itself; l.mu is held.
func (l *Listener) markMissed() {
	for feed := range l.feeds {
		signal(feed.missed)
	}
}

// signal leaves a token in a channel of one; the token that is already there
// will do as well.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
