//go:build fault

package chaos

import (
	"math/rand/v2"
	"time"
)

// appFaults hit the program's processes.
func appFaults() []scenario {
	return []scenario{
		{name: "app killed at random", promises: []string{"P8", "P9", "P13"}, run: killApp},
	}
}

// killApp kills one replica after the other, at any moment.
func killApp(r *run) {
	random := rand.New(rand.NewPCG(r.seed, 1))
	kills := 6
	if *long {
		kills = 40
	}
	for range kills {
		r.during(time.Duration(100+random.IntN(700)) * time.Millisecond)
		victim := r.replicas[random.IntN(len(r.replicas))]
		r.fault(1)
		r.must(victim.kill())
		r.must(victim.start(r.ctx))
	}
	r.over()
}
