package app

import (
	"runtime/debug"
	"testing"
)

//nolint:paralleltest // the setting is the process's
func TestCollectLessLeavesWhatTheUserHasSet(t *testing.T) {
	original := debug.SetGCPercent(100)
	t.Cleanup(func() { debug.SetGCPercent(original) })
	CollectLess()
	if got := debug.SetGCPercent(50); got != gcPercent {
		t.Errorf("the collector runs at %d %%, want %d", got, gcPercent)
	}
	CollectLess()
	if got := debug.SetGCPercent(100); got != 50 {
		t.Errorf("the user's 50 %% became %d", got)
	}
}
