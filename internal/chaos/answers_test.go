package chaos

import (
	"fmt"
	"net/http"
	"slices"
	"time"
)

// patience is P10: the longest an answer may take, whatever is broken.
const patience = 12 * time.Second

// documented are the answers that CONTRACT names for what the workload sends,
// by kind of operation: status and code.
func documented() map[string][]string {
	unavailable := "503 unavailable"
	return map[string][]string{
		"append": {
			"200 ", "201 ", "409 version-conflict", "409 aggregate-exists", "409 aggregate-missing",
			"409 aggregate-deleted", "422 event-id-reused", unavailable,
		},
		"command": {
			"200 ", "409 payment-already-completed", "409 payment-already-failed", "409 payment-already-rejected",
			"409 payment-pending-review", "422 idempotency-key-reused", "409 version-conflict", unavailable,
		},
		"read": {"200 ", "404 not-found", "410 gone", "304 ", "504 view-behind", unavailable},
	}
}

// strangeAnswers finds answers that no page mentions: a 500 above all, a 503
// that does not say when to come back, and no answer from a process that was
// well.
func strangeAnswers(e evidence) (wrong []string) {
	known := documented()
	for _, o := range e.ops {
		answer := fmt.Sprintf("%d %s", o.Status, o.Code)
		switch {
		case o.Status == 0:
			if !o.Excused {
				wrong = append(wrong, fmt.Sprintf("%s %s at %s got no answer: %s", o.Client, o.Route, o.Replica, o.Detail))
			}
		case !slices.Contains(known[o.Kind], answer):
			wrong = append(wrong, fmt.Sprintf("%s %s was answered %q: %s", o.Client, o.Route, answer, o.Detail))
		case o.Status == http.StatusServiceUnavailable && !o.RetryAfter:
			wrong = append(wrong, fmt.Sprintf("%s %s was answered 503 without Retry-After", o.Client, o.Route))
		}
	}
	return wrong
}

func hangs(e evidence) (wrong []string) {
	for _, o := range e.ops {
		if took := o.Ended - o.Invoked; took > patience && !o.Excused {
			wrong = append(wrong, fmt.Sprintf("%s %s took %v (status %d)", o.Client, o.Route, took.Round(time.Millisecond), o.Status))
		}
	}
	return wrong
}
