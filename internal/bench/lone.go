package bench

import "context"

// prepareLone asks what a client pays that is alone: gathering must not cost
// those who have nobody to be gathered with.
func prepareLone(ctx context.Context, s *stage) ([]subject, error) {
	program, err := s.program(ctx, "lone")
	if err != nil {
		return nil, err
	}
	baseline, err := s.article(ctx)
	if err != nil {
		return nil, err
	}
	const naive = "lone insert"
	return []subject{
		{name: naive, what: "one INSERT per request, one client", unit: millis, run: medianOf(s.appending(baseline, 1, 1))},
		{
			name: "lone append", what: "append over HTTP, one client", unit: millis,
			checks: []check{versus(naive).most(1.3)}, run: medianOf(s.appending(program, 1, 1)),
		},
	}, nil
}

// medianOf makes the median latency the figure instead of the rate.
func medianOf(run func(context.Context) (sample, error)) func(context.Context) (sample, error) {
	return func(ctx context.Context) (sample, error) {
		one, err := run(ctx)
		if err == nil {
			one.figure = one.latency.P50
		}
		return one, err
	}
}
