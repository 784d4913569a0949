package httpapi

import (
	"context"
	"errors"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"
)

// Moment is a time in a query: any that RFC 3339 allows, in any time zone, with
// any number of decimals and with a leap second. The zero value is none.
type Moment struct {
	time.Time

	given bool // the beginning of the year 1 is a time too
}

// rfc3339 is the grammar of RFC 3339, section 5.6; package time takes more.
var rfc3339 = regexp.MustCompile(`^(\d{4}-\d\d-\d\dT\d\d:\d\d:)(\d\d)(\.\d+)?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$`)

// UnmarshalText reads RFC 3339. Its letters may be small, and a leap second is
// the beginning of the next minute, as PostgreSQL has it.
func (m *Moment) UnmarshalText(text []byte) error {
	parts := rfc3339.FindStringSubmatch(strings.ToUpper(string(text)))
	if parts == nil {
		return errMoment()
	}
	minute, second, fraction, zone := parts[1], parts[2], parts[3], parts[4]
	leap := second == "60"
	if leap {
		second, fraction = "59", ""
	}
	at, err := time.Parse(time.RFC3339, minute+second+fraction+zone)
	if err != nil {
		return errMoment()
	}
	if leap {
		at = at.Add(time.Second)
	}
	m.Time, m.given = at, true
	return nil
}

func errMoment() error {
	return errors.New("expected a time like 2026-11-21T03:04:05.123456Z (RFC 3339); a + in a query is written %2B")
}

// Schema describes a Moment in the specification. Why without the format
// date-time: huma would check it, and knows less of RFC 3339 than we do.
func (Moment) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Examples: []any{"2026-11-21T03:04:05.123456Z"}}
}

// AsOf is embedded in the input of a list that can be read as it was.
type AsOf struct {
	Time Moment `query:"as_of" doc:"The list as it was at this time, ordered by id; only limit and cursor go with it."`
}

// Resolve refuses what has no meaning in the past: an order, a filter.
func (a *AsOf) Resolve(ctx huma.Context) []error {
	return standAlone(ctx, "as_of", "limit", "cursor")
}

// Given reports whether the list is asked for as it was.
func (a *AsOf) Given() bool { return a.Time.given }

// When is embedded in the input of a read that can travel in time.
type When struct {
	Version int    `query:"version" minimum:"1" maximum:"2147483647" doc:"The row as the event of this version left it."`
	AsOf    Moment `query:"as_of" doc:"The row as it was at this time, events of that microsecond included."`
}

// Resolve refuses two times at once, and other wishes beside one.
func (w *When) Resolve(ctx huma.Context) []error {
	return append(standAlone(ctx, "version"), standAlone(ctx, "as_of")...)
}

// Given reports whether another time than now is asked for.
func (w *When) Given() bool { return w.Version != 0 || w.AsOf.given }

// standAlone refuses whatever is in the query beside a parameter that is there.
func standAlone(ctx huma.Context, name string, with ...string) []error {
	u := ctx.URL()
	query := u.Query()
	if !query.Has(name) {
		return nil
	}
	if query.Get(name) == "" {
		return []error{BadParameter(name, "is empty")}
	}
	for other := range query {
		if other != name && !slices.Contains(with, other) {
			return []error{BadParameter(name, "cannot be combined with "+url.QueryEscape(other))}
		}
	}
	return nil
}

// RowPast is the past of single rows; see aggregator.Past.
type RowPast[Row any] interface {
	// PositionAt gives the last position at the moment, and whether it has come.
	PositionAt(ctx context.Context, moment time.Time) (position int64, reached bool, err error)
	// AtVersion gives the row after the aggregate's event of that version, and
	// the position of that event.
	AtVersion(ctx context.Context, id uuid.UUID, version int) (row *Row, position int64, err error)
	// AtPosition gives the row, and its version, when the log ended there.
	AtPosition(ctx context.Context, id uuid.UUID, position int64) (row *Row, version int, err error)
}

// ReadPast answers a read of one row as it was. It fails as the past does, and
// with bad-parameter for a time that has not come yet.
func ReadPast[Row any](ctx context.Context, past RowPast[Row], id ID, w *When, c *Conditional) (*Versioned[*Row], error) {
	if w.Version != 0 {
		row, _, err := past.AtVersion(ctx, id.UUID, w.Version)
		if err != nil {
			return nil, err
		}
		return NewVersioned(c, w.Version, row), nil
	}
	position, reached, err := past.PositionAt(ctx, w.AsOf.Time)
	if err != nil {
		return nil, err
	}
	if !reached {
		return nil, errFuture()
	}
	row, version, err := past.AtPosition(ctx, id.UUID, position)
	if err != nil {
		return nil, err
	}
	return NewVersioned(c, version, row), nil
}

// ListPast is the past of lists; see aggregator.Past.
type ListPast[Row any] interface {
	// PositionAt gives the last position at the moment, and whether it has come.
	PositionAt(ctx context.Context, moment time.Time) (position int64, reached bool, err error)
	// List gives rows in the order of their ids, and where to go on.
	List(ctx context.Context, position int64, after uuid.UUID, limit int) (rows []*Row, next uuid.UUID, err error)
}

// ReadListPast answers one page of a list as it was. The cursor holds the
// position that the time came to on the first page, so that all pages show the
// same moment.
func ReadListPast[Row any](ctx context.Context, past ListPast[Row], a *AsOf, p *Paging) (*Listing[*Row], error) {
	position, after, err := startOfPage(ctx, past, a, p)
	if err != nil {
		return nil, err
	}
	rows, next, err := past.List(ctx, position, after, p.Limit)
	if err != nil {
		return nil, err
	}
	if next == uuid.Nil {
		return listingUpTo(p, rows, nil), nil
	}
	return listingUpTo(p, rows, &Cursor{Key: strconv.FormatInt(position, 10), ID: next}), nil
}

func startOfPage[Row any](ctx context.Context, past ListPast[Row], a *AsOf, p *Paging) (position int64, after uuid.UUID, err error) {
	if cursor := p.After(); cursor != nil {
		if position, err = strconv.ParseInt(cursor.Key, 10, 64); err != nil || position < 0 {
			err = BadParameter("cursor", "is not one this server made")
		}
		return position, cursor.ID, err
	}
	position, reached, err := past.PositionAt(ctx, a.Time.Time)
	if err == nil && !reached {
		err = errFuture()
	}
	return position, uuid.Nil, err
}

func errFuture() error {
	return BadParameter("as_of", "has not come yet; what was can be read, what will be cannot")
}
