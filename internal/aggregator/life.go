package aggregator

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"onepg/internal/pause"
)

const (
	minBackOff = 50 * time.Millisecond
	maxBackOff = 2 * time.Second
	// retryInterval paces the look at what is parked, so that being woken by
	// an event costs no look-up.
	retryInterval = time.Second
	// A view that covered positions rests before it looks again, unless a request
	// waits for it: for so many times as long as it worked, within these bounds.
	// Why: a batch costs nearly as much for one event as for a hundred, and appends
	// and whoever waits need the processor too. With a rest of 1 ms a lone append
	// took 0.85 ms, with 5 ms 0.59.
	restShare = 4
	minRest   = 5 * time.Millisecond
	maxRest   = 20 * time.Millisecond
)

// runView is a view's life: be woken, catch up, wait.
func (r *Runner) runView(ctx context.Context, v View) {
	wake, stop := r.wake()
	defer stop()
	backOff := minBackOff
	obstacle := ""
	var nextRetry time.Time
	for ctx.Err() == nil {
		began := now()
		seen, err := r.catchUp(ctx, v)
		worked := time.Since(began)
		if err == nil && now().After(nextRetry) {
			nextRetry = now().Add(retryInterval)
			err = r.mend(ctx, v)
		}
		switch {
		case err == nil:
			if seen.obstacle != obstacle && seen.obstacle != "" {
				r.logger.WarnContext(ctx, "view waits", slog.String("view", v.Name), slog.String("reason", seen.obstacle))
			}
			backOff = minBackOff
			if !seen.elsewhere { // who has it may have the same obstacle
				obstacle = seen.obstacle
			}
			seen.idle(ctx, wake, r.progress.want(v.Name), worked)
		case ctx.Err() == nil:
			r.metrics.failures.WithLabelValues(v.Name).Inc()
			r.logger.WarnContext(ctx, "view batch failed, trying again",
				slog.String("view", v.Name), slog.Duration("after", backOff), slog.Any("error", err))
			pause.For(ctx, backOff)
			backOff = min(2*backOff, maxBackOff)
		}
	}
}

// caught is how catching up ended when it did not fail: at the head, or where one
// of these is said.
type caught struct {
	moved     bool   // the view
	resumed   bool   // by its last batch, which did not ask whether the log has more
	elsewhere bool   // another replica works on it, or there is no such view
	obstacle  string // what is in the way, for people
}

// idle lets the view rest that was worked on for so long, and then wait to be woken.
// Somebody who waits for it ends both: what they wait for is mostly recorded, so they
// need no notification. Where another replica has it, that may have begun before what this
// one was woken for, so it looks again; after a pause that nobody ends, because to try
// again and again takes the processor from the one who has it.
func (c caught) idle(ctx context.Context, wake, wanted <-chan struct{}, worked time.Duration) {
	switch {
	case c.elsewhere:
		pause.For(ctx, minRest)
		return
	case c.moved:
		rest := time.NewTimer(min(max(restShare*worked, minRest), maxRest))
		defer rest.Stop()
		select {
		case <-rest.C:
		case <-wanted:
			return
		case <-ctx.Done():
		}
		// Why not wait: what woke it may also have been for what others recorded.
		if c.resumed {
			return
		}
	}
	select {
	case <-wake:
	case <-wanted:
	case <-ctx.Done():
	}
}

// catchUp runs batches until the view is at the head, was resumed, or cannot go on here.
func (r *Runner) catchUp(ctx context.Context, v View) (c caught, err error) {
	if err := r.register(ctx, v); err != nil {
		return c, err
	}
	for ctx.Err() == nil {
		res, err := r.inBatch(ctx, r.live(v), r.step(v))
		switch {
		case err != nil:
			return c, err
		case res.standing == absent:
			c.elsewhere = true
			return c, nil
		case res.standing == halted || res.halted != "":
			c.obstacle = "it is halted, see its status"
			return c, nil
		case res.standing == newer:
			c.obstacle = fmt.Sprintf("it is of revision %d, this program's is %d", res.revision, v.Revision)
			return c, nil
		case res.unknown != nil:
			c.obstacle = res.unknown.Error()
			return c, nil //nolint:nilerr // it is the reason, not a failure
		}
		c.moved = c.moved || res.changed()
		c.resumed = res.resumed
		if res.position >= res.head {
			return c, nil
		}
	}
	return c, nil
}
