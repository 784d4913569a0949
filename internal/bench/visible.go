package bench

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// prepareVisible measures the time from an append's answer until GET shows the
// row, while events come at a steady rate: with notifications, and without, when
// only the program's timer tells it to look.
func prepareVisible(ctx context.Context, s *stage) ([]subject, error) {
	program, err := s.program(ctx, "visible")
	if err != nil {
		return nil, err
	}
	rate := fmt.Sprintf(" at %s events/s", number(s.options.Rate))
	return []subject{
		{
			name: "visible", what: "append's answer to GET" + rate, unit: millis,
			checks: []check{value().most(2), latencyAt(p99).most(10)},
			run:    s.watching(program),
		},
		{
			name: "visible by timer", what: "the same without the trigger", unit: millis,
			checks: []check{latencyAt(p99).most(1100)},
			run:    withoutTrigger(program, s.watching(program)),
		},
	}, nil
}

// watching lets a few clients append and watch for their rows while others make
// up the rate.
func (s *stage) watching(program *server) func(context.Context) (sample, error) {
	const watchers, others = 16, 32
	const watched = 0.05 // of the appends: watching is requests too
	request, marks := newRequest(http.MethodPost, "/v1/users/events", userCreated, 0)
	get, gap := newRequest(http.MethodGet, "/v1/users/"+freshID, "", 0)
	steady := load{
		Connections: others, Request: request, Marks: marks, Status: http.StatusCreated, Rate: s.options.Rate * (1 - watched),
		// Why not shorter: without notifications a row takes up to a second.
		Duration: max(s.options.Duration, 2*time.Second),
	}
	watch := steady
	watch.Connections, watch.Rate = watchers, s.options.Rate*watched
	watch.Watch, watch.WatchID, watch.WatchAt = get, marks[1].At, gap[0].At
	return func(context.Context) (sample, error) {
		results, used, err := s.send(program, watch, steady)
		if err != nil {
			return sample{}, err
		}
		if sent := results[1].perSecond(); sent < steady.Rate*0.95 {
			return sample{}, fmt.Errorf("the program took %s events/s, less than the rate of %s", number(sent), number(steady.Rate))
		}
		seen := results[0].Latency
		return sample{figure: seen.P50, latency: &seen, cores: used}, nil
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
