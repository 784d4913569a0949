package aggregatortest

import (
	"fmt"

	"golang.org/x/sync/errgroup"

	"onepg/internal/aggregator"
)

// Remembered lets a replica that recorded the log itself apply it in batches of several
// sizes, of which it reads only the first.
func Remembered(c *Case) error {
	for _, window := range []int{1, 2, 7, 20} {
		c.forget()
		r := c.replica()
		r.Window = window
		if err := c.remember(c.Runner(r)); err != nil {
			return fmt.Errorf("batches of %d: %w", window, err)
		}
		if err := c.same(fmt.Sprintf("remembered in batches of %d", window)); err != nil {
			return err
		}
	}
	return nil
}

// RememberedKilled is Killed for such replicas.
func RememberedKilled(c *Case) error { return c.killEverywhere(c.remember, c.forget) }

// RememberedTogether is Together for such replicas: each believes to be alone.
func RememberedTogether(c *Case) error {
	for range 5 {
		c.forget()
		var both errgroup.Group
		for range 2 {
			r := c.replica()
			r.Window = 2
			both.Go(func() error {
				runner := c.Runner(r)
				if err := c.remember(runner); err != nil {
					return err
				}
				return c.readAll(runner)
			})
		}
		if err := both.Wait(); err != nil {
			return fmt.Errorf("two at once: %w", err)
		}
		if err := c.same("two at once"); err != nil {
			return err
		}
	}
	return nil
}

// remember lets the replica catch up as if it had recorded the log.
func (c *Case) remember(r *aggregator.Runner) error {
	r.Recorded(c.Recorded())
	return r.CatchUp(c.ctx)
}
