package console

import (
	"context"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"onepg/internal/aggregator"
	"onepg/internal/eventsourcing"
	"onepg/internal/eventstore"
	"onepg/internal/httpapi"
)

const (
	// charted is how far back the chart of the rate goes when it is opened, and
	// chartStep how finely.
	charted   = 5 * time.Minute
	chartStep = 5 * time.Second
)

// overviewBody is what the first screen shows.
type overviewBody struct {
	Attention []attention
	Head      int64
	Last      []eventsourcing.Recorded
	Views     []aggregator.Status
	Size      eventstore.Size
	// Recent is how many events the last minute brought, a second.
	Recent float64
}

// attention is something that somebody should look at.
type attention struct {
	// Level is bad for what stands still, and warn for what may become so.
	Level, Text, URL string
}

func (c *console) overview(g *gin.Context) error {
	ctx := g.Request.Context()
	var body overviewBody
	var err error
	if body.Views, err = c.Views.Status(ctx); err != nil {
		return err
	}
	body.Attention = needing(body.Views)
	const latest = 8
	found, err := c.Log.Search(ctx, eventstore.Search{Limit: latest})
	if err != nil {
		return err
	}
	body.Last = found.Events
	if len(found.Events) > 0 {
		body.Head = found.Events[0].Position
	}
	if body.Size, err = c.Size(ctx); err != nil {
		return err
	}
	now := c.Clock()
	positions, err := c.Log.PositionsAt(ctx, []time.Time{now.Add(-time.Minute), now})
	if err != nil {
		return err
	}
	if len(positions) > 1 {
		body.Recent = float64(positions[1]-positions[0]) / time.Minute.Seconds()
	}
	return c.show(g, http.StatusOK, "overview", page{Title: "Overview", Section: "overview", Body: body})
}

// needing lists what needs somebody, the worst first.
func needing(views []aggregator.Status) []attention {
	var bad, warn []attention
	for _, v := range views {
		url := prefix + "/views/" + v.Name
		switch {
		case v.Status == "halted":
			bad = append(bad, attention{"bad", "View " + v.Name + " is halted: " + v.Reason, url})
		case v.Reason != "":
			warn = append(warn, attention{"warn", "View " + v.Name + ": " + v.Reason, url})
		case v.Status == "behind":
			warn = append(warn, attention{"warn", "View " + v.Name + " is behind by " + plural(v.LagEvents, "event") + ", " + seconds(v.LagSeconds) + ".", url})
		}
		if v.Rebuild != nil && v.Rebuild.Halted != "" {
			bad = append(bad, attention{"bad", "The rebuild of view " + v.Name + " was given up: " + v.Rebuild.Halted, url})
		}
		if v.Parked > 0 {
			bad = append(bad, attention{"bad", "View " + v.Name + " has parked " + plural(v.Parked, "aggregate") + ": it could not apply what happened next.", url})
		}
	}
	return append(bad, warn...)
}

// sample is one point of the live charts.
type sample struct {
	At    float64      `json:"at"` // seconds since 1970
	Head  int64        `json:"head"`
	Views []viewSample `json:"views"`
	// Growth is how the log grew until now, where that was asked for.
	Growth *growth `json:"growth,omitempty"`
}

type viewSample struct {
	Name       string  `json:"name"`
	Status     string  `json:"status"`
	LagEvents  int64   `json:"lag_events"`
	LagSeconds float64 `json:"lag_seconds"`
	Parked     int     `json:"parked"`
}

// growth holds the head of the log at moments of the past.
type growth struct {
	At   []float64 `json:"at"`
	Head []int64   `json:"head"`
}

// stats answers the charts, once a second.
func (c *console) stats(g *gin.Context) error {
	ctx := g.Request.Context()
	views, err := c.Views.Status(ctx)
	if err != nil {
		return err
	}
	now := c.Clock()
	s := sample{At: unix(now), Views: make([]viewSample, len(views))}
	for i, v := range views {
		s.Head = v.HeadPosition
		s.Views[i] = viewSample{v.Name, v.Status, v.LagEvents, v.LagSeconds, v.Parked}
	}
	if g.Query("growth") != "" {
		if s.Growth, err = c.growth(ctx, now); err != nil {
			return err
		}
	}
	return httpapi.WriteJSON(g, http.StatusOK, s)
}

// growth finds how the log grew from the log itself, so it is there for whoever
// opens the page, and true for all replicas together.
func (c *console) growth(ctx context.Context, now time.Time) (*growth, error) {
	var moments []time.Time
	grown := &growth{}
	for at := now.Add(-charted); at.Before(now); at = at.Add(chartStep) {
		moments = append(moments, at)
		grown.At = append(grown.At, unix(at))
	}
	var err error
	grown.Head, err = c.Log.PositionsAt(ctx, moments)
	return grown, err
}

func unix(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }
