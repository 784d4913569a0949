package console

import (
	"context"
	"net/http"
	"strconv"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"onepg/internal/aggregator"
	"onepg/internal/eventsourcing"
	"onepg/internal/eventstore"
	"onepg/internal/fault"
	"onepg/internal/httpapi"
)

// aggregateBody is what the screen of an aggregate shows.
type aggregateBody struct {
	ID     uuid.UUID
	Kind   string
	Latest int // its version now
	State  state
	// Timeline is a page of its events, newest first.
	Timeline []eventsourcing.Recorded
	Older    string // where the timeline goes on
	// Related are events of other aggregates that belong to the same stories.
	Related []eventsourcing.Recorded
}

// state is the aggregate at one version.
type state struct {
	ID        uuid.UUID
	Version   int
	Latest    int
	Event     eventsourcing.Recorded // what made it; without a name where that is not known
	Fields    []change
	Exists    bool   // false after its end
	Unknown   string // why the state is not known
	Reached   int    // the version that the fold has come to; below Version it goes on with the next request
	RevertURL string // where to put it back to this version; empty where that is not possible
	EventID   uuid.UUID
}

func (c *console) aggregate(g *gin.Context) error {
	ctx := g.Request.Context()
	last, err := c.lastOf(g)
	if err != nil {
		return err
	}
	version, err := versionIn(g, last.Version)
	if err != nil {
		return err
	}
	body := aggregateBody{ID: last.AggregateID, Kind: last.Aggregate, Latest: last.Version}
	if body.State, err = c.state(ctx, last, version); err != nil {
		return err
	}
	before, err := strconv.ParseInt(g.DefaultQuery("before", "0"), 10, 64)
	if err != nil || before < 0 {
		return httpapi.BadParameter("before", "expected a position, 1 or more")
	}
	found, err := c.Log.Search(ctx, eventstore.Search{AggregateID: last.AggregateID, Before: before, Limit: eventsPerPage})
	if err != nil {
		return err
	}
	body.Timeline = found.Events
	if found.More {
		body.Older = aggregateURL(body.ID) + "?version=" + strconv.Itoa(version) + "&before=" + strconv.FormatInt(found.After+1, 10) + "#timeline"
	}
	if body.Related, err = c.related(ctx, body.ID, found.Events); err != nil {
		return err
	}
	return c.show(g, http.StatusOK, "aggregate", page{Title: body.Kind + " " + short(body.ID), Section: "events", Body: body})
}

// stateAt answers the slider: the state at a version, without the rest.
func (c *console) stateAt(g *gin.Context) error {
	last, err := c.lastOf(g)
	if err != nil {
		return err
	}
	version, err := versionIn(g, last.Version)
	if err != nil {
		return err
	}
	s, err := c.state(g.Request.Context(), last, version)
	if err != nil {
		return err
	}
	// So that the address names what is shown, and can be sent to somebody. Why
	// not otherwise: a fold that goes on by itself is none of the reader's doing.
	if g.GetHeader("Hx-Trigger") != "" {
		g.Header("Hx-Replace-Url", aggregateURL(s.ID)+"?version="+strconv.Itoa(version))
	}
	return c.show(g, http.StatusOK, "state", page{Title: "State", Section: "events", Body: s})
}

// lastOf is the newest event of the aggregate in the path.
func (c *console) lastOf(g *gin.Context) (eventsourcing.Recorded, error) {
	id, err := pathID(g, "id")
	if err != nil {
		return eventsourcing.Recorded{}, err
	}
	found, err := c.Log.Search(g.Request.Context(), eventstore.Search{AggregateID: id, Limit: 1})
	if err != nil {
		return eventsourcing.Recorded{}, err
	}
	if len(found.Events) == 0 {
		return eventsourcing.Recorded{}, fault.New(fault.NotFound, "not-found", "There is no aggregate "+id.String()+": it has no events.")
	}
	return found.Events[0], nil
}

func versionIn(g *gin.Context, latest int) (int, error) {
	text, given := g.GetQuery("version")
	if !given {
		return latest, nil
	}
	version, err := strconv.Atoi(text)
	if err != nil || version < 1 || version > latest {
		return 0, httpapi.BadParameter("version", "expected a version from 1 to "+strconv.Itoa(latest))
	}
	return version, nil
}

// Older is the version before it.
func (s state) Older() int { return s.Version - 1 }

// Newer is the version after it.
func (s state) Newer() int { return s.Version + 1 }

// Share is how much of it is folded, in percent.
func (s state) Share() int { return percent(int64(s.Reached), int64(s.Version)) }

// state folds the aggregate up to a version, or towards it for as long as a page
// may take.
func (c *console) state(ctx context.Context, last eventsourcing.Recorded, version int) (state, error) {
	s := state{ID: last.AggregateID, Version: version, Latest: last.Version, Reached: version}
	if version == last.Version {
		s.Event = last
	}
	d, known := c.domainOf(last.Aggregate)
	if !known || d.Timeline.Steps == nil {
		s.Unknown = "This program has no view of " + last.Aggregate + ", so it knows the events and not what they add up to."
		return s, nil
	}
	reached, step, err := c.stepTo(ctx, d.Timeline, last.AggregateID, version)
	if f, ok := fault.Of(err); ok && f.Kind == fault.Unavailable {
		s.Unknown = f.Message
		return s, nil
	}
	if s.Reached = reached; err != nil || reached < version {
		return s, err
	}
	s.Event = step.Event
	if step.Err != nil {
		s.Unknown = "The state is not known from here on: " + step.Err.Error()
	}
	s.Exists = step.After != nil
	s.Fields = changes(step.Before, step.After)
	if d.Revert != nil && s.Exists && step.Err == nil && version < last.Version && c.Access.Permits(ctx, d.Name+":write") {
		s.RevertURL = prefix + "/revert/" + d.Name + "/" + last.AggregateID.String()
		s.EventID, err = uuid.NewV7()
	}
	return s, err //nolint:wrapcheck // only randomness can fail here
}

// stepTo gives the change that made a version. Where that takes longer than a page
// may, it gives how far it came instead: what was folded is remembered, so the
// same request goes on from there.
func (c *console) stepTo(ctx context.Context, t aggregator.Timeline, id uuid.UUID, version int) (reached int, made aggregator.Step, err error) {
	for began := c.Clock(); reached < version && c.Clock().Sub(began) < workPerPage; {
		if reached, err = t.Reach(ctx, id, version); err != nil {
			return reached, made, err
		}
	}
	if reached < version {
		return reached, made, nil
	}
	steps, err := t.Steps(ctx, id, version+1, 1)
	if err != nil {
		return reached, made, err
	}
	return reached, steps[0], nil
}

// related are events of other aggregates with the correlations of these.
func (c *console) related(ctx context.Context, id uuid.UUID, events []eventsourcing.Recorded) ([]eventsourcing.Recorded, error) {
	// Each is one look by an index; a page shows that there is more to a story,
	// not all of it.
	const stories, each = 5, 20
	var related []eventsourcing.Recorded
	seen := map[string]bool{"": true}
	for _, e := range events {
		correlation, _ := ties(e.Metadata)
		if seen[correlation] || len(seen) > stories {
			continue
		}
		seen[correlation] = true
		found, err := c.Log.Search(ctx, eventstore.Search{CorrelationID: correlation, Limit: each})
		if err != nil {
			return nil, err
		}
		for _, other := range found.Events {
			if other.AggregateID != id {
				related = append(related, other)
			}
		}
	}
	return related, nil
}

// revert puts an aggregate back. The form names the version that its reader saw,
// so that nobody undoes what came since without having seen it.
func (c *console) revert(d Domain) func(*gin.Context) error {
	return func(g *gin.Context) error {
		id, err := pathID(g, "id")
		if err != nil {
			return err
		}
		in := new(httpapi.RevertRequest)
		in.Body.ID = g.PostForm("event_id")
		if in.Body.ToVersion, err = strconv.Atoi(g.PostForm("to_version")); err != nil || in.Body.ToVersion < 1 {
			return httpapi.BadParameter("to_version", "expected a version, 1 or more")
		}
		seen, err := strconv.Atoi(g.PostForm("seen_version"))
		if err != nil || seen < 1 {
			return httpapi.BadParameter("seen_version", "expected a version, 1 or more")
		}
		in.Expect(seen)
		if _, err := d.Revert(g.Request.Context(), id, in); err != nil {
			return err
		}
		return goTo(g, aggregateURL(id)+"?done=reverted")
	}
}
