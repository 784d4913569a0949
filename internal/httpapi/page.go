package httpapi

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"
)

// Page is the envelope of every list that has pages; [List] is for the others.
// Items is never null; NextCursor is null on the last page.
type Page[T any] struct {
	Items      []T     `json:"items"`
	NextCursor *string `json:"next_cursor" required:"true" doc:"Pass it as cursor for the next page; null on the last one."`
}

// Listing is the answer to a list: a page, and the way to the next one as a
// Link header (RFC 8288).
type Listing[T any] struct {
	Link string `header:"Link" doc:"<…>; rel=\"next\" while there is a next page."`
	Body Page[T]
}

// Paging is embedded in the input of a list. A page is at most Limit rows that
// come after the cursor.
type Paging struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"500" default:"50" doc:"How many items at most."`
	Cursor string `query:"cursor" maxLength:"4096" doc:"Opaque: next_cursor of the page before, with the same filters and sort."`

	url   url.URL
	after *Cursor
}

// Resolve opens the cursor. One made for another list, sort or filter is
// refused: its position would mean nothing here.
func (p *Paging) Resolve(ctx huma.Context) []error {
	p.url = ctx.URL()
	if p.Cursor == "" {
		return nil
	}
	after, err := decodeCursor(p.Cursor, fingerprint(&p.url))
	if err != nil {
		return []error{err}
	}
	p.after = &after
	return nil
}

// After is the row the page before ended with; nil on the first page.
func (p *Paging) After() *Cursor { return p.after }

// NewListing makes the answer from up to Limit+1 rows: the one too many only
// tells that there is a next page. at gives a row's place in the order.
func NewListing[T any](p *Paging, rows []T, at func(T) Cursor) *Listing[T] {
	if p.Limit < 1 || len(rows) <= p.Limit {
		return listingUpTo(p, rows, nil)
	}
	next := at(rows[p.Limit-1])
	return listingUpTo(p, rows[:p.Limit], &next)
}

// listingUpTo makes the answer from the rows of a page and the place to go on
// from; nil on the last page.
func listingUpTo[T any](p *Paging, rows []T, next *Cursor) *Listing[T] {
	out := &Listing[T]{Body: Page[T]{Items: rows}}
	if rows == nil {
		out.Body.Items = []T{}
	}
	if next != nil {
		cursor := encodeCursor(*next, fingerprint(&p.url))
		out.Body.NextCursor = &cursor
		out.Link = nextLink(&p.url, cursor)
	}
	return out
}

// nextLink repeats the request with another cursor, as a relative reference so
// that it is right behind any proxy.
func nextLink(from *url.URL, cursor string) string {
	query := from.Query()
	query.Set("cursor", cursor)
	next := url.URL{Path: from.Path, RawPath: from.RawPath, RawQuery: query.Encode()}
	return "<" + next.String() + `>; rel="next"`
}

// Cursor is a place in an ordered list: the sort key's text and the id that
// breaks ties. It comes from the client, so a domain must be able to parse Key
// and answer BadParameter("cursor", …) when it cannot.
type Cursor struct {
	Key string    `json:"k"`
	ID  uuid.UUID `json:"i"`
}

// Time reads a Key that is the text of a time, and gives it in UTC. It fails with
// bad-parameter, also for a time that PostgreSQL does not know.
func (c *Cursor) Time() (time.Time, error) {
	at, err := time.Parse(time.RFC3339Nano, c.Key)
	at = at.UTC()
	const years = 9999
	if err != nil || at.Year() < 1 || at.Year() > years {
		return at, BadParameter("cursor", "is not one this server made")
	}
	return at, nil
}

type sealedCursor struct {
	Cursor

	// List is what the cursor belongs to; see fingerprint.
	List string `json:"l"`
}

// fingerprint stands for a list with its sort and filters: the path and the
// query without what changes from page to page. Taking it from the request
// means that no domain can forget a filter.
func fingerprint(u *url.URL) string {
	query := u.Query()
	query.Del("cursor")
	query.Del("limit")
	sum := sha256.Sum256([]byte(u.Path + "?" + query.Encode()))
	return base64.RawURLEncoding.EncodeToString(sum[:6])
}

func encodeCursor(c Cursor, list string) string {
	text, err := json.Marshal(sealedCursor{Cursor: c, List: list})
	if err != nil {
		panic(err) //nolint:forbidigo // strings and a UUID can always be encoded
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

func decodeCursor(text, list string) (Cursor, error) {
	var c sealedCursor
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || json.Unmarshal(raw, &c) != nil || !isText(c.Key) {
		return Cursor{}, BadParameter("cursor", "is not one this server made")
	}
	if c.List != list {
		return Cursor{}, BadParameter("cursor", "belongs to another list, sort or filter; start again without it")
	}
	return c.Cursor, nil
}
