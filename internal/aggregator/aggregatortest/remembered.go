package aggregatortest

import "onepg/internal/aggregator"

// Remembered is Split by a replica that recorded the log itself: it reads only the first
// batch.
func Remembered(c *Case) error { return c.split(c.remember) }

// RememberedKilled is Killed for such replicas.
func RememberedKilled(c *Case) error { return c.killEverywhere(c.remember, c.forget) }

// RememberedTogether is Together for such replicas: each believes that it is alone.
func RememberedTogether(c *Case) error {
	return c.twoAtOnce(func(r *aggregator.Runner) error {
		r.Recorded(c.Recorded())
		return c.readAll(r)
	})
}

// remember lets the replica catch up as if it had recorded the log.
func (c *Case) remember(r *aggregator.Runner) error {
	r.Recorded(c.Recorded())
	return r.CatchUp(c.ctx)
}
