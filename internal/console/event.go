package console

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"onepg/internal/eventsourcing"
	"onepg/internal/eventstore"
	"onepg/internal/fault"
	"onepg/internal/httpapi"
)

// eventBody is what the screen of one event shows.
type eventBody struct {
	eventsourcing.Recorded

	// Newest is the payload as programs read it today, where that is not as it
	// was recorded.
	Newest      json.RawMessage
	NewestIs    int
	NotReadable string // why this program cannot read it
	Causes      causes
	Curl        []command
}

// causes is what an event came of and what came of it.
type causes struct {
	Correlation, Causation string
	// Cause is the event that this one names as its cause, if it is one.
	Cause *eventsourcing.Recorded
	// Effects name this event as their cause.
	Effects []eventsourcing.Recorded
	// Story are the events of the same correlation.
	Story []eventsourcing.Recorded
	// Looked is how many positions were looked at for effects, where no
	// correlation says where they are.
	Looked int64
}

// command is a line for a terminal.
type command struct{ Label, Line string }

func (c *console) event(g *gin.Context) error {
	ctx := g.Request.Context()
	id, err := pathID(g, "id")
	if err != nil {
		return err
	}
	e, found, err := c.Log.Event(ctx, id)
	if err != nil {
		return err
	}
	if !found {
		return fault.New(fault.NotFound, "not-found", "There is no event "+id.String()+".")
	}
	body := eventBody{Recorded: e, Curl: c.curl(g.Request, e)}
	if body.Causes, err = c.causes(ctx, e); err != nil {
		return err
	}
	newest, _, err := c.Registry.Read(e)
	switch {
	case err != nil:
		body.NotReadable = err.Error()
	case newest.SchemaVersion != e.SchemaVersion:
		body.Newest, body.NewestIs = newest.Payload, newest.SchemaVersion
	}
	return c.show(g, http.StatusOK, "event", page{Title: e.Name, Section: "events", Body: body})
}

// causes looks for what an event came of and what came of it. Why first by
// correlation: there is an index for it, and what an event causes carries the
// same one. Without it the window of the log behind the event has to do.
func (c *console) causes(ctx context.Context, e eventsourcing.Recorded) (causes, error) {
	var of causes
	of.Correlation, of.Causation = ties(e.Metadata)
	if id, err := uuid.Parse(of.Causation); err == nil {
		cause, found, err := c.Log.Event(ctx, id)
		if err != nil {
			return of, err
		}
		if found {
			of.Cause = &cause
		}
	}
	const most = 50
	effects := eventstore.Search{CausationID: e.ID.String(), CorrelationID: of.Correlation, After: e.Position, Rising: true, Limit: most}
	found, err := c.Log.Search(ctx, effects)
	if err != nil {
		return of, err
	}
	of.Effects = found.Events
	if of.Correlation == "" {
		of.Looked = found.Before - found.After - 1
		return of, nil
	}
	story, err := c.Log.Search(ctx, eventstore.Search{CorrelationID: of.Correlation, Rising: true, Limit: most})
	of.Story = story.Events
	return of, err
}

// ties are the ids by which metadata ties an event to others.
func ties(metadata json.RawMessage) (correlation, causation string) {
	var m struct {
		Correlation any `json:"correlation_id"`
		Causation   any `json:"causation_id"`
	}
	_ = json.Unmarshal(metadata, &m) // metadata is an object; what it holds is the client's
	correlation, _ = m.Correlation.(string)
	causation, _ = m.Causation.(string)
	return correlation, causation
}

// curl is how to read the event from a terminal and, where clients record it,
// how it was recorded: doing so again adds nothing, because the ids are known.
func (c *console) curl(r *http.Request, e eventsourcing.Recorded) []command {
	scheme := "http://"
	if r.TLS != nil || strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https") {
		scheme = "https://"
	}
	auth := ""
	if _, signedIn := c.Access.Who(r.Context()); signedIn {
		auth = ` -H "Authorization: Bearer $KEY"`
	}
	list := []command{{"Read it", "curl -s" + auth + " " + quote(scheme+r.Host+"/v1/events/"+e.ID.String())}}
	d, known := c.domainOf(e.Aggregate)
	t, _ := c.Registry.Lookup(e.Name)
	if !known || d.ReadEvents == nil || t.ServerOnly {
		return list
	}
	body := `{"id":"` + e.ID.String() + `","aggregate_id":"` + e.AggregateID.String() + `","name":"` + e.Name + `","payload":` + string(e.Payload) + `}`
	return append(list, command{"Record it again: answered as the first time, nothing is added", "curl -s" + auth +
		" -H 'Content-Type: application/json' " + quote(scheme+r.Host+"/v1/"+d.Name+"/events") + " -d " + quote(body)})
}

// quote makes a word of a shell out of any text (POSIX, 2.2.2).
func quote(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

// pathID reads an id from the path.
func pathID(g *gin.Context, name string) (uuid.UUID, error) {
	var id httpapi.ID
	if err := id.UnmarshalText([]byte(g.Param(name))); err != nil {
		return uuid.Nil, httpapi.BadParameter(name, err.Error())
	}
	return id.UUID, nil
}
