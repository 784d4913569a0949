package bench

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// prepareVisible measures the time from an append's answer to that of a GET
// which waits for the row, while events come at a steady rate: with notifications,
// and without, when only who waits tells the program to look. What the same GET
// takes when there is nothing to wait for is measured beside the same appends.
func prepareVisible(ctx context.Context, s *stage) ([]subject, error) {
	program, err := s.programWithUsers(ctx, "visible", 1)
	if err != nil {
		return nil, err
	}
	normal, high := s.options.Rate, s.options.Rate*5
	at := func(rate float64) string {
		return fmt.Sprintf("append's answer to that of GET with min_version at %s events/s", number(rate))
	}
	const alone = "visible already"
	return []subject{
		{
			name: "visible", what: at(normal), unit: millis,
			checks: []check{pacing().least(0.95), value().most(2), latencyAt(p99).most(10), versus(alone)},
			run:    s.watching(program, normal),
		},
		{
			name: alone, what: "that GET, of a row that is there", unit: millis,
			checks: []check{pacing().least(0.95)},
			run:    s.reaching(program, normal),
		},
		{
			name: "visible, high rate", what: at(high), unit: millis,
			checks: []check{pacing().least(0.95), latencyAt(p99).most(50)},
			run:    s.watching(program, high),
		},
		{
			name: "visible unnotified", what: at(normal) + ", no trigger", unit: millis,
			checks: []check{pacing().least(0.95), latencyAt(p99).most(1100)},
			run:    withoutTrigger(program, s.watching(program, normal)),
		},
	}, nil
}

// minVersion is a GET that is answered when the row is there.
const minVersion = "?min_version=1"

// watching lets a few clients append and watch for their rows.
func (s *stage) watching(program *server, rate float64) func(context.Context) (sample, error) {
	// Why not a plain GET again and again: that is load of its own, and nobody
	// has to read like that.
	get, gap := newRequest(http.MethodGet, "/v1/users/"+freshID+minVersion, "", 0, "Prefer: wait=5")
	return s.beside(program, rate, get, gap[0].At)
}

// reaching lets the same clients ask for a row that is there, after the same appends:
// they find the program as busy as who watches does.
func (s *stage) reaching(program *server, rate float64) func(context.Context) (sample, error) {
	get, _ := newRequest(http.MethodGet, "/v1/users/"+storedID+"00000001"+minVersion, "", 0, "Prefer: wait=5")
	return s.beside(program, rate, get, 0)
}

// beside measures what a request takes that a few clients send after each of their
// appends, while others append too: at the rate, together.
func (s *stage) beside(program *server, rate float64, watch []byte, watchAt int) func(context.Context) (sample, error) {
	const clients, others = 16, 64
	const watched = 100 // requests a second: watching is load too
	request, marks := newRequest(http.MethodPost, "/v1/users/events", userCreated, 0)
	few := load{
		Connections: clients, Request: request, Marks: marks, Status: http.StatusCreated,
		Rate: min(watched, rate/2),
		// Why not shorter: one in a hundred of those measured has to be somebody.
		Duration: max(s.options.Duration, 2*time.Second),
		Watch:    watch, WatchID: marks[1].At, WatchAt: watchAt,
	}
	steady := few
	steady.Connections, steady.Rate, steady.Watch, steady.WatchAt = others, rate-few.Rate, nil, 0
	return func(context.Context) (sample, error) {
		results, used, err := s.send(program, few, steady)
		if err != nil {
			return sample{}, err
		}
		seen := results[0].Latency
		return sample{figure: seen.P50, latency: &seen, cores: used, pace: results[1].perSecond() / steady.Rate}, nil
	}
}

// withoutTrigger takes the notifications away while run is measured.
func withoutTrigger(program *server, run func(context.Context) (sample, error)) func(context.Context) (sample, error) {
	toggle := func(ctx context.Context, how string) error {
		if _, err := program.db.ExecContext(ctx, "ALTER TABLE events "+how+" TRIGGER events_notify_created"); err != nil {
			return fmt.Errorf("%s the notify trigger: %w", how, err)
		}
		return nil
	}
	return func(ctx context.Context) (_ sample, err error) {
		if err := toggle(ctx, "DISABLE"); err != nil {
			return sample{}, err
		}
		defer func() { err = errors.Join(err, toggle(ctx, "ENABLE")) }()
		return run(ctx)
	}
}
