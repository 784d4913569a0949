// Package pause waits for time to pass, but never past the end of a context.
package pause

import (
	"context"
	"time"
)

// For returns true after d, and false as soon as ctx is done. A d of zero or less
// does not wait, and gives false only if ctx is done already.
func For(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
