package console

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"onepg/internal/eventsourcing"
	"onepg/internal/fault"
	"onepg/internal/schema"
)

// appendChoice is an event that the reader may record.
type appendChoice struct {
	eventsourcing.EventType

	Domain string
}

// appendBody is the form for one event.
type appendBody struct {
	appendChoice

	Title  string
	Fields []field // of the event itself
	Body   []field // of its payload
	Wrong  string
	Errors []fault.Field // those of no field
}

// appendable lists the events that the reader may record.
func (c *console) appendable(g *gin.Context) error {
	var list []appendChoice
	for _, d := range c.Domains {
		if d.ReadEvents == nil || !c.mayAppend(g, d) {
			continue
		}
		for _, t := range d.Events {
			if !t.ServerOnly {
				list = append(list, appendChoice{t, d.Name})
			}
		}
	}
	return c.show(g, http.StatusOK, "appendable", page{Title: "Append", Section: "append", Body: list})
}

func (c *console) mayAppend(g *gin.Context, d Domain) bool {
	ctx := g.Request.Context()
	return c.Access.Permits(ctx, string(act)) && c.Access.Permits(ctx, d.Name+":write")
}

// appendForm shows the form of an event, with ids that are not taken: what makes
// sending it twice safe.
func (c *console) appendForm(d Domain) func(*gin.Context) error {
	return func(g *gin.Context) error {
		t, err := postable(d, g.Param("event"))
		if err != nil {
			return err
		}
		values := map[string]string{"aggregate_id": strings.TrimSpace(g.Query("aggregate_id"))}
		id, err := uuid.NewV7()
		if err != nil {
			return err //nolint:wrapcheck // only randomness can fail here
		}
		values["id"] = id.String()
		if t.Lifecycle == eventsourcing.Creates && values["aggregate_id"] == "" {
			if id, err = uuid.NewV7(); err != nil {
				return err //nolint:wrapcheck // as above
			}
			values["aggregate_id"] = id.String()
		}
		body, err := newAppendBody(d, t, func(name string) string { return values[name] })
		if err != nil {
			return err
		}
		return c.show(g, http.StatusOK, "append", page{Title: "Append " + t.Name, Section: "append", Body: body})
	}
}

// postable is an event of the domain that clients may record.
func postable(d Domain, name string) (eventsourcing.EventType, error) {
	i := slices.IndexFunc(d.Events, func(t eventsourcing.EventType) bool { return t.Name == name && !t.ServerOnly })
	if i < 0 {
		return eventsourcing.EventType{}, fault.New(fault.NotFound, "not-found", "There is no event of this name that can be recorded here.")
	}
	return d.Events[i], nil
}

// appendEvent records what the form says, under the same rules as the API.
func (c *console) appendEvent(d Domain) func(*gin.Context) error {
	return func(g *gin.Context) error {
		t, err := postable(d, g.Param("event"))
		if err != nil {
			return err
		}
		body, err := newAppendBody(d, t, g.PostForm)
		if err != nil {
			return err
		}
		receipts, err := c.record(g, d, body)
		if f, ok := fault.Of(err); ok && correctable(f) {
			body.refused(f)
			return c.show(g, http.StatusUnprocessableEntity, "append", page{Title: body.Title, Section: "append", Body: body})
		}
		if err != nil {
			return err
		}
		done := "appended"
		if receipts[0].Duplicate {
			done = "known"
		}
		return goTo(g, eventURL(receipts[0].ID)+"?done="+done)
	}
}

func (c *console) record(g *gin.Context, d Domain, body *appendBody) ([]eventsourcing.Receipt, error) {
	events, err := d.ReadEvents(body.document())
	if err != nil {
		return nil, err
	}
	if len(events) != 1 {
		return nil, errors.New("the form did not make one event")
	}
	return c.Append(g.Request.Context(), events)
}

// correctable tells what can be put right in the form.
func correctable(f *fault.Error) bool {
	return f.Kind == fault.Invalid || f.Kind == fault.Conflict || f.Kind == fault.Malformed || f.Kind == fault.TooLarge
}

func newAppendBody(d Domain, t eventsourcing.EventType, value func(string) string) (*appendBody, error) {
	rules, err := schema.Compile(t.Payload, schema.Named(t.Name), schema.MinProperties(t.MinFields))
	if err != nil {
		return nil, err
	}
	b := &appendBody{appendChoice: appendChoice{t, d.Name}, Title: "Append " + t.Name}
	b.Fields = []field{
		{Name: "id", Label: "Event id", Kind: "text", Required: true, Doc: "Made here; sending the form twice records one event.", Mono: true},
		{Name: "aggregate_id", Label: strings.ToUpper(t.Aggregate()[:1]) + t.Aggregate()[1:] + " id", Kind: "text", Required: true, Mono: true},
		{Name: "expected_version", Label: "Expected version", Kind: "number", Doc: "The version before this event. Leave empty for whatever it is."},
		{Name: "correlation_id", Label: "Correlation id", Kind: "text", Doc: "What the events of one story have in common."},
	}
	b.Body = fieldsOf(t.Payload, rules.JSONSchema(), "payload")
	setValues(b.Fields, value)
	setValues(b.Body, value)
	return b, nil
}

// document is the event as the append route would be sent it.
func (b *appendBody) document() []byte {
	members := []member{}
	for _, f := range b.Fields[:3] {
		if f.Value != "" || f.Required {
			members = append(members, member{f.Name, f.json()})
		}
	}
	members = append(members, member{"name", text(b.Name)}, member{"payload", objectOf(b.Body)})
	if correlation := b.Fields[3]; correlation.Value != "" {
		members = append(members, member{"metadata", object([]member{{correlation.Name, correlation.json()}})})
	}
	return []byte(object(members))
}

// refused puts what is wrong beside the fields it is about.
func (b *appendBody) refused(f *fault.Error) {
	b.Wrong = f.Message
	if len(f.Fields) > 0 {
		b.Wrong = "Nothing was recorded. Correct what is named below and send it again."
	}
	for _, mistake := range f.Fields {
		name := strings.ReplaceAll(strings.TrimPrefix(mistake.Pointer, "/"), "/", ".")
		name = strings.TrimPrefix(name, "metadata.")
		if !blame(b.Fields, name, mistake.Detail) && !blame(b.Body, name, mistake.Detail) {
			b.Errors = append(b.Errors, mistake)
		}
	}
}
