package payments

import (
	"context"
	"encoding/json"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"onepg/internal/aggregator"
	"onepg/internal/eventsourcing"
)

// entry is an event of a log in memory, decoded.
type entry struct {
	eventsourcing.Recorded

	event any
}

// countedLog is a log in memory that counts how often each kind of aggregate is
// read.
type countedLog struct {
	aggregator.PastLog

	entries []entry
	reads   map[string]int
}

// add adds an event; those of users have a text for a payload, as it is recorded.
func (l *countedLog) add(aggregate string, id uuid.UUID, name string, event any) {
	payload, _ := event.(string)
	version := 1
	for _, e := range l.entries {
		if e.AggregateID == id {
			version++
		}
	}
	l.entries = append(l.entries, entry{eventsourcing.Recorded{
		AggregateID: id, Aggregate: aggregate, Name: name, Version: version, Position: int64(len(l.entries) + 1), Payload: json.RawMessage(payload),
	}, event})
}

// Version is not counted: it reads no events.
func (l *countedLog) Version(_ context.Context, aggregate string, id uuid.UUID) (int, error) {
	version := 0
	for _, e := range l.entries {
		if e.Aggregate == aggregate && e.AggregateID == id {
			version++
		}
	}
	return version, nil
}

func (l *countedLog) Each(_ context.Context, r aggregator.PastRange, f func(eventsourcing.Recorded, any, error) error) error {
	l.reads[r.Aggregate]++
	for _, e := range l.entries {
		beyond := r.Position > 0 && e.Position > r.Position || r.Version > 0 && e.Version > r.Version
		if !slices.Contains(r.AggregateIDs, e.AggregateID) || beyond {
			continue
		}
		if err := f(e.Recorded, e.event, nil); err != nil {
			return err
		}
	}
	return nil
}

// Each change has the name that the customer had then, and it is found in one
// reading of the customer's events.
func TestAHistoryReadsItsCustomerOnce(t *testing.T) {
	t.Parallel()
	log := &countedLog{reads: make(map[string]int)}
	named := func(name string) string { return `{"name":"` + name + `"}` }
	log.add("payment", id, "payment.initiated", initiated(usd("12000.00"), Wallet))
	log.add("user", ada, "user.created", named("Ada Lovelace"))
	log.add("payment", id, "payment.flagged_for_review", flagged(usd("12000.00")))
	log.add("user", ada, "user.updated", named("Ada King"))
	log.add("user", ada, "user.updated", named("Ada, Countess of Lovelace"))
	log.add("payment", id, "payment.approved", Approved{})
	log.add("user", ada, "user.deleted", "{}")
	log.add("payment", id, "payment.processed", Processed{Amount: usd("12000.00")})
	log.add("user", ada, "user.created", named("too late to be seen"))
	p := newPast(log)
	history, err := p.History(t.Context(), id, 0, 10)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for i, change := range history {
		name := "nobody"
		if change.After.CustomerName != nil {
			name = *change.After.CustomerName
		}
		names = append(names, name)
		if i+1 < len(history) && change.Before != history[i+1].After {
			t.Errorf("version %d does not begin where the one before ends", change.Event.Version)
		}
		if row, _, err := p.AtVersion(t.Context(), id, change.Event.Version); err != nil || !cmp.Equal(row, change.After) {
			t.Errorf("version %d is read as %+v, %v, and in the history it is %+v", change.Event.Version, row, err, change.After)
		}
	}
	if want := []string{"nobody", "Ada, Countess of Lovelace", "Ada Lovelace", "nobody"}; !slices.Equal(names, want) {
		t.Errorf("names are %q, want %q", names, want)
	}
	clear(log.reads)
	if _, err := p.History(t.Context(), id, 0, 10); err != nil || log.reads["user"] != 1 || log.reads["payment"] != 1 {
		t.Errorf("read were %v, %v", log.reads, err)
	}
}
