package aggregator

import (
	"context"
	"testing"
	"time"
)

// The wake-up that it acted on may have been for what others recorded, too.
func TestAViewThatWasResumedLooksAgain(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	caught{moved: true, resumed: true}.idle(ctx, nil, nil, 0)
	if ctx.Err() != nil {
		t.Error("it waits to be woken")
	}
}
