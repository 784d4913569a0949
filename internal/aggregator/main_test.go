package aggregator_test

import (
	"testing"

	"go.uber.org/goleak"
)

// Whatever the runners start ends with them.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
