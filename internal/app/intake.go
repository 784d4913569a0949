package app

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"onepg/internal/eventsourcing"
	"onepg/internal/fault"
)

// Appended says what came of a file of events.
type Appended struct {
	New   int64 `json:"new"`           // recorded now
	Known int64 `json:"known"`         // were recorded before
	Last  int64 `json:"last_position"` // of the last event of the file
}

// readAhead is how much of a file is read at once. It decides how many of its
// lines go into one append; a pipe that has no more to say is not waited for.
const readAhead = 256 << 10

// AppendFrom appends events that are written as JSON: one event a line, or one
// document with an event or an array of them. They are held to the rules of the
// append routes and recorded in the name of the actor.
//
// An array is recorded whole or not at all, and so are the lines that were
// there to be read at once. What was recorded before a failure stays, and
// Appended tells of it; repeating the file is safe, because ids are known.
func (t *Tools) AppendFrom(ctx context.Context, r io.Reader, actor string) (Appended, error) {
	in := &intake{tools: t, actor: actor, text: bufio.NewReaderSize(r, readAhead)}
	if err := t.Register(ctx); err != nil {
		return in.done, err
	}
	first, err := in.text.ReadBytes('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return in.done, fmt.Errorf("read the events: %w", err)
	}
	if json.Valid(first) || len(bytes.TrimSpace(first)) == 0 {
		err = in.lines(ctx, first, err)
		return in.done, err
	}
	most := int64(t.config.Limits.BodyBytes)
	rest, err := io.ReadAll(io.LimitReader(in.text, most))
	if err != nil {
		return in.done, fmt.Errorf("read the events: %w", err)
	}
	if int64(len(rest)) == most {
		return in.done, fault.New(fault.TooLarge, "too-large", fmt.Sprintf("One JSON document may have %d bytes. Write one event a line instead.", most))
	}
	if in.batch, err = t.ReadEvents(append(first, rest...)); err != nil {
		return in.done, err
	}
	err = in.flush(ctx)
	return in.done, err
}

// intake is a file of events on its way into the log.
type intake struct {
	tools *Tools
	actor string
	text  *bufio.Reader
	batch []eventsourcing.Event
	from  int // the line of the first event in the batch
	line  int
	done  Appended
}

// lines appends one event or array a line. next and end are the first line as it
// was read already.
func (in *intake) lines(ctx context.Context, next []byte, end error) error {
	for {
		in.line++
		if err := in.add(ctx, next); err != nil {
			return err
		}
		if end == nil && in.text.Buffered() > 0 {
			next, end = in.text.ReadBytes('\n')
			continue
		}
		if err := in.flush(ctx); err != nil || errors.Is(end, io.EOF) {
			return err
		}
		if end != nil {
			return fmt.Errorf("read line %d: %w", in.line, end)
		}
		if next, end = in.text.ReadBytes('\n'); len(next) == 0 && errors.Is(end, io.EOF) {
			return nil
		}
	}
}

// add puts the events of a line into the batch.
func (in *intake) add(ctx context.Context, line []byte) error {
	if len(bytes.TrimSpace(line)) == 0 {
		return nil
	}
	events, err := in.tools.ReadEvents(line)
	if err != nil {
		return fmt.Errorf("line %d: %w", in.line, err)
	}
	if len(in.batch)+len(events) > in.tools.config.Limits.BatchEvents {
		if err := in.flush(ctx); err != nil {
			return err
		}
	}
	if len(in.batch) == 0 {
		in.from = in.line
	}
	in.batch = append(in.batch, events...)
	return nil
}

// flush appends the batch.
func (in *intake) flush(ctx context.Context) error {
	if len(in.batch) == 0 {
		return nil
	}
	for i := range in.batch {
		in.batch[i].Actor = in.actor
	}
	receipts, err := in.tools.Log.Append(ctx, in.batch)
	in.batch = in.batch[:0:0] // the log may still hold it
	if err != nil {
		if in.line == 0 {
			return err
		}
		return fmt.Errorf("lines %d to %d: %w", in.from, in.line, err)
	}
	for _, r := range receipts {
		if r.Duplicate {
			in.done.Known++
		} else {
			in.done.New++
		}
		in.done.Last = r.Position
	}
	return nil
}
