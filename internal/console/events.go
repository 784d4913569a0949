package console

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"onepg/internal/eventsourcing"
	"onepg/internal/eventstore"
	"onepg/internal/fault"
	"onepg/internal/httpapi"
)

// workPerPage is how long a page goes on with work that can be continued by the
// next one.
const workPerPage = 40 * time.Millisecond

// eventsPerPage is how many events a page lists.
const eventsPerPage = 50

// eventsBody is what the screen of events shows.
type eventsBody struct {
	Filter  eventFilter
	Found   eventstore.Found
	Names   []string // of all events this program knows
	Kinds   []string // of their aggregates
	Onward  string   // the next page; empty at the end
	Newest  string   // the first page again; empty on it
	Live    bool     // the list can be followed
	Looked  int64    // how many positions were looked at
	Bounded bool     // not all were
}

// eventFilter is what the form says, as it was typed.
type eventFilter struct {
	Aggregate, AggregateID, Name, Actor, Correlation string

	Since, Until string // times, RFC 3339 or as a browser writes them
	From         string // the position to begin with, upwards
	Before       string // the position to go on below
}

// Set reports whether anything is filtered.
func (f eventFilter) Set() bool { return f != eventFilter{From: f.From, Before: f.Before} }

func (c *console) events(g *gin.Context) error {
	f, err := readFilter(g.Request.URL.Query())
	if err != nil {
		return err
	}
	s, err := c.query(g.Request.Context(), f)
	if err != nil {
		return err
	}
	found, err := c.search(g.Request.Context(), s)
	if err != nil {
		return err
	}
	f.Since, f.Until = forBrowser(f.Since), forBrowser(f.Until)
	body := eventsBody{Filter: f, Found: found, Looked: found.Before - found.After - 1}
	for _, t := range c.Registry.Types() {
		body.Names = append(body.Names, t.Name)
		if kind := t.Aggregate(); len(body.Kinds) == 0 || body.Kinds[len(body.Kinds)-1] != kind {
			body.Kinds = append(body.Kinds, kind)
		}
	}
	if found.More {
		body.Onward = f.onward(found)
		body.Bounded = len(found.Events) < eventsPerPage
	}
	if f.From != "" || f.Before != "" {
		body.Newest = f.url("", "")
	}
	body.Live = f.From == "" && f.Before == "" && f.Until == ""
	return c.show(g, http.StatusOK, "events", page{Title: "Events", Section: "events", Body: body})
}

// search goes on from window to window while there is time, so that a page is
// as full as it can be and there at once, on a slow machine and a fast one.
func (c *console) search(ctx context.Context, s eventstore.Search) (eventstore.Found, error) {
	began := c.Clock()
	all, err := c.Log.Search(ctx, s)
	for err == nil && all.More && len(all.Events) < eventsPerPage && c.Clock().Sub(began) < workPerPage {
		if s.Rising {
			s.After = all.Before - 1
		} else {
			s.Before = all.After + 1
		}
		s.Limit = eventsPerPage - len(all.Events)
		var next eventstore.Found
		next, err = c.Log.Search(ctx, s)
		all.Events = append(all.Events, next.Events...)
		all.More = next.More
		all.After, all.Before = min(all.After, next.After), max(all.Before, next.Before)
	}
	return all, err
}

// readFilter takes the form's fields. What the database could not take is a bad
// parameter.
func readFilter(q url.Values) (eventFilter, error) {
	var f eventFilter
	for name, to := range map[string]*string{
		"aggregate": &f.Aggregate, "aggregate_id": &f.AggregateID, "name": &f.Name, "actor": &f.Actor,
		"correlation_id": &f.Correlation, "since": &f.Since, "until": &f.Until, "from": &f.From, "before": &f.Before,
	} {
		*to = strings.TrimSpace(q.Get(name))
		if !utf8.ValidString(*to) || strings.ContainsRune(*to, 0) {
			return f, httpapi.BadParameter(name, "is not text")
		}
	}
	return f, nil
}

// query translates the form for the log.
func (c *console) query(ctx context.Context, f eventFilter) (eventstore.Search, error) {
	s := eventstore.Search{Aggregate: f.Aggregate, Name: f.Name, Actor: f.Actor, CorrelationID: f.Correlation, Limit: eventsPerPage}
	if f.AggregateID != "" {
		var id httpapi.ID
		if err := id.UnmarshalText([]byte(f.AggregateID)); err != nil {
			return s, httpapi.BadParameter("aggregate id", err.Error())
		}
		s.AggregateID = id.UUID
	}
	since, err := c.positionAt(ctx, "since", f.Since, -time.Microsecond)
	if err != nil {
		return s, err
	}
	until, err := c.positionAt(ctx, "until", f.Until, 0)
	if err != nil {
		return s, err
	}
	s.After = since
	if f.Until != "" {
		s.Before = until + 1
	}
	return s, place(&s, f)
}

// place narrows the search to where the page begins.
func place(s *eventstore.Search, f eventFilter) error {
	switch {
	case f.From != "":
		from, err := strconv.ParseInt(f.From, 10, 64)
		if err != nil || from < 1 {
			return httpapi.BadParameter("from", "expected a position, 1 or more")
		}
		s.Rising, s.After = true, max(s.After, from-1)
	case f.Before != "":
		before, err := strconv.ParseInt(f.Before, 10, 64)
		if err != nil || before < 1 {
			return httpapi.BadParameter("before", "expected a position, 1 or more")
		}
		if s.Before == 0 || before < s.Before {
			s.Before = before
		}
	}
	return nil
}

// positionAt gives the last position at a time; 0 where none is given.
func (c *console) positionAt(ctx context.Context, name, text string, shift time.Duration) (int64, error) {
	if text == "" {
		return 0, nil
	}
	at, err := readTime(text)
	if err != nil {
		return 0, httpapi.BadParameter(name, "expected a time in UTC like 2026-11-21T03:04:05")
	}
	positions, err := c.Log.PositionsAt(ctx, []time.Time{at.Add(shift)})
	if err != nil || len(positions) == 0 {
		return 0, err
	}
	return positions[0], nil
}

// readTime reads RFC 3339, and what a browser's field for times gives, in UTC.
func readTime(text string) (time.Time, error) {
	var err error
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02T15:04"} {
		var at time.Time
		if at, err = time.Parse(layout, text); err == nil && at.Year() >= 1 {
			return at, nil
		}
	}
	return time.Time{}, fault.Wrap(err, fault.Malformed, "bad-parameter", "not a time")
}

// forBrowser is a time as a browser's field for times takes it.
func forBrowser(text string) string {
	at, err := readTime(text)
	if err != nil {
		return text
	}
	return at.UTC().Format("2006-01-02T15:04:05.999999")
}

// onward is the address of the next page.
func (f eventFilter) onward(found eventstore.Found) string {
	if f.From != "" {
		return f.url(strconv.FormatInt(found.Before, 10), "")
	}
	return f.url("", strconv.FormatInt(found.After+1, 10))
}

// url is the address of the list with these filters, from or below a position.
func (f eventFilter) url(from, before string) string {
	q := url.Values{}
	for name, value := range map[string]string{
		"aggregate": f.Aggregate, "aggregate_id": f.AggregateID, "name": f.Name, "actor": f.Actor,
		"correlation_id": f.Correlation, "since": f.Since, "until": f.Until, "from": from, "before": before,
	} {
		if value != "" {
			q.Set(name, value)
		}
	}
	return strings.TrimSuffix(prefix+"/events?"+q.Encode(), "?")
}

// find goes to whatever somebody has a number, an id or a name of.
func (c *console) find(g *gin.Context) error {
	ctx, q := g.Request.Context(), strings.TrimSpace(g.Query("q"))
	if !utf8.ValidString(q) || strings.ContainsRune(q, 0) {
		return httpapi.BadParameter("q", "is not text")
	}
	if position, err := strconv.ParseInt(q, 10, 64); err == nil && position > 0 {
		return c.findOne(g, eventstore.Search{After: position - 1, Before: position + 1, Limit: 1},
			func(e eventsourcing.Recorded) string { return eventURL(e.ID) })
	}
	if id, err := uuid.Parse(q); err == nil && id != uuid.Nil {
		where, err := c.findID(ctx, id)
		if err != nil {
			return err
		}
		if where != "" {
			return goTo(g, where)
		}
	}
	if _, known := c.Registry.Lookup(q); known {
		return goTo(g, eventFilter{Name: q}.url("", ""))
	}
	return c.findOne(g, eventstore.Search{CorrelationID: q, Limit: 1},
		func(eventsourcing.Recorded) string { return eventFilter{Correlation: q}.url("", "") })
}

// findOne goes to where a search leads, if it finds anything.
func (c *console) findOne(g *gin.Context, s eventstore.Search, where func(eventsourcing.Recorded) string) error {
	if s.CorrelationID == "" && s.Before == 0 {
		return goTo(g, prefix+"/events")
	}
	found, err := c.Log.Search(g.Request.Context(), s)
	if err != nil {
		return err
	}
	if len(found.Events) == 0 {
		return fault.New(fault.NotFound, "not-found",
			"Nothing in the log has this position or id: it is neither an event, an aggregate, the name of an event nor a correlation id.")
	}
	return goTo(g, where(found.Events[0]))
}

// findID is where the event or the aggregate with an id is shown, if there is
// one.
func (c *console) findID(ctx context.Context, id uuid.UUID) (where string, err error) {
	_, isEvent, err := c.Log.Event(ctx, id)
	if err != nil {
		return "", err
	}
	if isEvent {
		return eventURL(id), nil
	}
	found, err := c.Log.Search(ctx, eventstore.Search{AggregateID: id, Limit: 1})
	if err != nil || len(found.Events) == 0 {
		return "", err
	}
	return aggregateURL(id), nil
}

func eventURL(id uuid.UUID) string { return prefix + "/events/" + id.String() }

func aggregateURL(id uuid.UUID) string { return prefix + "/aggregates/" + id.String() }
