package eventstore

import "testing"

func TestABatchIsExpectedToHaveAsManyRequestsAsThereWereLately(t *testing.T) {
	t.Parallel()
	var usual crowd
	for _, c := range []struct{ there, batches, want int }{
		{1, 1000, 1}, // a lone client is never waited for
		{2, 60, 2},
		{3, 60, 3},
		{100, 60, 8},
		{1, 200, 1}, // and is soon known to be alone
	} {
		for range c.batches {
			usual.note(c.there)
		}
		if got := usual.size(); got != c.want {
			t.Errorf("after %d batches with %d requests there: %d expected, want %d", c.batches, c.there, got, c.want)
		}
	}
}
