package auth

import (
	"math"
	"time"

	"golang.org/x/time/rate"

	"onepg/internal/fault"
)

// maxBuckets bounds the memory for one kind of bucket to some 20 MB. Beyond it
// the longest idle are forgotten early, which gives their owners a full one.
const maxBuckets = 100_000

// limiter is a token bucket for each key: so many requests per second, and so
// many at once after a pause.
type limiter[K comparable] struct {
	rate    rate.Limit
	burst   int
	buckets *recent[K, *rate.Limiter]
}

func newLimiter[K comparable](perSecond, burst int) *limiter[K] {
	// Why this period: a bucket that was idle for it is full again, and so is
	// no different from a new one.
	refill := time.Duration(math.Ceil(float64(burst)/float64(perSecond))) * time.Second
	return &limiter[K]{
		rate: rate.Limit(perSecond), burst: burst, buckets: newRecent[K, *rate.Limiter](refill, maxBuckets),
	}
}

func (l *limiter[K]) bucket(k K, now time.Time) *rate.Limiter {
	return l.buckets.findOrAdd(k, now, func() *rate.Limiter { return rate.NewLimiter(l.rate, l.burst) })
}

// take charges one request to k, or refuses it without charging.
func (l *limiter[K]) take(k K, now time.Time) error {
	r := l.bucket(k, now).ReserveN(now, 1)
	wait := r.DelayFrom(now)
	if wait == 0 {
		return nil
	}
	r.CancelAt(now)
	return tooMany(wait)
}

// check refuses what take would refuse, and charges nothing.
func (l *limiter[K]) check(k K, now time.Time) error {
	missing := 1 - l.bucket(k, now).TokensAt(now)
	if missing <= 0 {
		return nil
	}
	return tooMany(time.Duration(missing / float64(l.rate) * float64(time.Second)))
}

func tooMany(wait time.Duration) error {
	return &fault.Error{
		Kind: fault.Limited, Code: "rate-limited", RetryAfter: wait,
		Message: "There were too many requests. Wait as long as Retry-After says.",
	}
}
