package cmd

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// drawn hands on what is drawn.
type drawn chan string

func (d drawn) Write(b []byte) (int, error) {
	d <- string(b)
	return len(b), nil
}

// Work that nobody can measure has to look alive while nobody reports anything.
func TestProgressMovesWithoutBeingTold(t *testing.T) {
	t.Parallel()
	out := make(drawn, 1000)
	p := &progress{out: out, visible: true}
	p.unmeasured("checking duplicates")
	var pictures []string
	for deadline := time.After(time.Minute); len(pictures) < 3; {
		select {
		case picture := <-out:
			if strings.Contains(picture, "checking duplicates") && !slices.Contains(pictures, picture) {
				pictures = append(pictures, picture)
			}
		case <-deadline:
			t.Fatalf("all that was drawn in a minute is %q", pictures)
		}
	}
	p.positions("verified")(5, 10)
	p.end()
	for len(out) > 0 {
		if picture := <-out; strings.Contains(picture, "verified: 5 of 10") {
			return
		}
	}
	t.Error("the bar that follows was not drawn")
}
