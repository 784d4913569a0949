package console

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/gin-gonic/gin"

	"onepg/internal/eventsourcing"
	"onepg/internal/eventstore"
)

// countedAtOnce is how many positions one statement counts: some 5 ms of work.
const countedAtOnce = 20_000

// counts remembers how often each event was recorded. The log is append-only, so
// what was counted stays true, and each look at the page counts what came since.
type counts struct {
	mu   sync.Mutex
	upTo int64
	of   map[eventKey]eventstore.Tally
}

type eventKey struct {
	name    string
	version int
}

// catalogueBody is what the catalogue shows.
type catalogueBody struct {
	Entries []entry
	// Foreign are recorded events that this program does not know.
	Foreign []eventstore.Tally
	Counted int64
	Head    int64
}

// entry is one event that this program knows.
type entry struct {
	eventsourcing.EventType

	Domain   string
	Schema   json.RawMessage
	Versions []versionEntry
	Total    int64
	First    *eventsourcing.Time
	Last     *eventsourcing.Time
}

// versionEntry is one version of an event's schema.
type versionEntry struct {
	Version int
	Count   int64
	// Upcast names the function that lifts it to the next version.
	Upcast string
}

func (c *console) catalogue(g *gin.Context) error {
	body, err := c.count(g.Request.Context())
	if err != nil {
		return err
	}
	for _, d := range c.Domains {
		for _, t := range d.Events {
			e, err := c.entry(d, t)
			if err != nil {
				return err
			}
			body.Entries = append(body.Entries, e)
		}
	}
	return c.show(g, http.StatusOK, "catalogue", page{Title: "Catalogue", Section: "catalogue", Body: body})
}

// count counts a part of what is not counted yet. Why only a part: the first
// look at a long log would take seconds. The page asks again until all is.
func (c *console) count(ctx context.Context) (catalogueBody, error) {
	found, err := c.Log.Search(ctx, eventstore.Search{Limit: 1})
	if err != nil {
		return catalogueBody{}, err
	}
	n := &c.counts
	n.mu.Lock()
	defer n.mu.Unlock()
	var head int64
	if len(found.Events) > 0 {
		head = found.Events[0].Position
	}
	if n.of == nil || head < n.upTo { // another log took the place of the first
		n.of, n.upTo = map[eventKey]eventstore.Tally{}, 0
	}
	for began := c.Clock(); n.upTo < head && c.Clock().Sub(began) < workPerPage; {
		upTo := min(head, n.upTo+countedAtOnce)
		tallies, err := c.Log.Tally(ctx, n.upTo, upTo)
		if err != nil {
			return catalogueBody{}, err
		}
		n.add(tallies, upTo)
	}
	body := catalogueBody{Counted: n.upTo, Head: head}
	for key, t := range n.of {
		if known, ok := c.Registry.Lookup(key.name); !ok || key.version > known.SchemaVersion() {
			body.Foreign = append(body.Foreign, t)
		}
	}
	slices.SortFunc(body.Foreign, func(a, b eventstore.Tally) int { return cmp.Compare(a.Name, b.Name) })
	return body, nil
}

// add takes the tallies up to a position; n.mu is held.
func (n *counts) add(tallies []eventstore.Tally, upTo int64) {
	for _, t := range tallies {
		key := eventKey{t.Name, t.SchemaVersion}
		if sum, ok := n.of[key]; ok {
			t.Count += sum.Count
			t.FirstAt = sum.FirstAt
		}
		n.of[key] = t
	}
	n.upTo = upTo
}

// entry joins an event's definition with how often it was recorded.
func (c *console) entry(d Domain, t eventsourcing.EventType) (entry, error) {
	e := entry{EventType: t, Domain: d.Name}
	var err error
	if e.Schema, err = schemaOf(t); err != nil {
		return e, err
	}
	c.counts.mu.Lock()
	defer c.counts.mu.Unlock()
	for version := t.SchemaVersion(); version >= 1; version-- {
		v := versionEntry{Version: version}
		if version < t.SchemaVersion() {
			v.Upcast = functionName(t.Upcasts[version-1])
		}
		if sum, ok := c.counts.of[eventKey{t.Name, version}]; ok {
			v.Count = sum.Count
			e.took(sum)
		}
		e.Versions = append(e.Versions, v)
	}
	return e, nil
}

// took adds what was counted of one version.
func (e *entry) took(t eventstore.Tally) {
	e.Total += t.Count
	if e.First == nil || t.FirstAt.Before(e.First.Time) {
		e.First = &t.FirstAt
	}
	if e.Last == nil || t.LastAt.After(e.Last.Time) {
		e.Last = &t.LastAt
	}
}

// functionName is what a function is called in the source.
func functionName(f any) string {
	name := runtime.FuncForPC(reflect.ValueOf(f).Pointer()).Name()
	return name[strings.LastIndexByte(name, '/')+1:]
}
