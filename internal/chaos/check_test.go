package chaos

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"
)

// A check judges a history and the database that it ended in. It knows nothing
// of the program but what CONTRACT and RELIABILITY promise.
type check struct {
	name     string
	promises []string
	find     func(evidence) []string // what is wrong, one text each
}

// evidence is what checks judge.
type evidence struct {
	history
	*state

	byID map[string][]stored
}

// A violation is a promise that was broken.
type violation struct {
	check    string
	promises []string
	detail   string
}

// checks are all of section 2's invariants that can be judged afterwards; what
// takes a clock (caught up in time, normal in time) is judged as it happens.
func checks() []check {
	return []check{
		{"no acknowledged event is lost", []string{"P1"}, lostEvents},
		{"nothing is stored that no client sent", []string{"P1", "P3"}, inventedEvents},
		{"ids are stored once", []string{"P2"}, repeatedIDs},
		{"an id is answered alike for ever", []string{"P2"}, changedAnswers},
		{"wrong requests are refused", []string{"P3"}, acceptedWrongs},
		{"versions are 1..n", []string{"P4"}, versionGaps},
		{"one winner per expected version", []string{"P4"}, manyWinners},
		{"positions are 1..N", []string{"P5"}, positionGaps},
		{"recorded_at never falls", []string{"P5"}, fallingTimes},
		{"acknowledged before invoked is lower", []string{"P5"}, brokenOrder},
		{"batches are whole", []string{"P6"}, halfBatches},
		{"views equal the fold", []string{"P7", "P8", "P11", "P12"}, differingRows},
		{"views are caught up", []string{"P7", "P8", "P9"}, laggingViews},
		{"readers see a contiguous run", []string{"P5", "P13"}, brokenSessions},
		{"statuses are the documented ones", []string{"P10"}, strangeAnswers},
		{"nothing hangs", []string{"P10"}, hangs},
	}
}

// maxReported bounds what one check reports: a thousand lost events are one story.
const maxReported = 5

func judge(h history, s *state) []violation {
	e := evidence{history: h, state: s, byID: map[string][]stored{}}
	for _, event := range s.events {
		e.byID[event.ID] = append(e.byID[event.ID], event)
	}
	var found []violation
	for _, c := range checks() {
		details := c.find(e)
		if extra := len(details) - maxReported; extra > 0 {
			details = append(details[:maxReported], fmt.Sprintf("and %d more", extra))
		}
		for _, detail := range details {
			found = append(found, violation{c.name, c.promises, detail})
		}
	}
	return found
}

// lostEvents finds what was answered 200 or 201 and is not stored as it was
// sent, where the answer says it is.
func lostEvents(e evidence) (wrong []string) {
	for _, o := range e.ops {
		if o.Outcome != succeeded || o.Kind == "read" {
			continue
		}
		if len(o.Receipts) < max(len(o.Events), 1) {
			wrong = append(wrong, fmt.Sprintf("%s was answered %d with %d receipts for %d events", o.Client, o.Status, len(o.Receipts), len(o.Events)))
		}
		sentByID := map[string]sent{}
		for _, s := range o.Events {
			sentByID[s.ID] = s
		}
		for _, r := range o.Receipts {
			there := slices.ContainsFunc(e.byID[r.ID], func(s stored) bool {
				return s.Position == r.Position && s.Version == r.Version && s.Aggregate == r.Aggregate
			})
			if !there {
				wrong = append(wrong, fmt.Sprintf("event %s was acknowledged at position %d, version %d; stored is %v", r.ID, r.Position, r.Version, e.byID[r.ID]))
				continue
			}
			if s, ok := sentByID[r.ID]; ok && !same(s, e.byID[r.ID][0]) {
				wrong = append(wrong, fmt.Sprintf("event %s was sent as %s %s and is stored as %s %s", r.ID, s.Name, s.Payload, e.byID[r.ID][0].Name, e.byID[r.ID][0].Payload))
			}
		}
	}
	return wrong
}

func same(s sent, e stored) bool {
	return s.Aggregate == e.Aggregate && s.Name == e.Name && sameJSON(s.Payload, e.Payload)
}

func sameJSON(a, b json.RawMessage) bool {
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && reflect.DeepEqual(x, y)
}

// inventedEvents finds what is stored and was not sent so, or was sent and
// refused each time. What commands made has ids of the server; there the
// payment must be one that a client named.
func inventedEvents(e evidence) (wrong []string) {
	wanted := map[string][]sent{}
	possible := map[string]bool{}
	payments := map[string]bool{}
	for _, o := range e.ops {
		for _, s := range o.Events {
			wanted[s.ID] = append(wanted[s.ID], s)
			possible[s.ID] = possible[s.ID] || o.Outcome != refused
		}
		if o.Payment != "" && o.Outcome != refused {
			payments[o.Payment] = true
		}
	}
	for _, event := range e.events {
		switch {
		case event.Kind == "payment":
			if !payments[event.Aggregate] {
				wrong = append(wrong, fmt.Sprintf("position %d: nobody asked for payment %s", event.Position, event.Aggregate))
			}
		case !slices.ContainsFunc(wanted[event.ID], func(s sent) bool { return same(s, event) }):
			wrong = append(wrong, fmt.Sprintf("position %d: nobody sent event %s (%s %s)", event.Position, event.ID, event.Name, event.Payload))
		case !possible[event.ID]:
			wrong = append(wrong, fmt.Sprintf("position %d: event %s is stored and was refused", event.Position, event.ID))
		}
	}
	return wrong
}

func repeatedIDs(e evidence) (wrong []string) {
	for id, stored := range e.byID {
		if len(stored) > 1 {
			wrong = append(wrong, fmt.Sprintf("event %s is stored at positions %d and %d", id, stored[0].Position, stored[1].Position))
		}
	}
	return wrong
}

// changedAnswers finds ids that were not always answered with the same place,
// or were new more than once.
func changedAnswers(e evidence) (wrong []string) {
	first := map[string]receipt{}
	fresh := map[string]int{}
	for _, o := range e.ops {
		if o.Outcome != succeeded || o.Kind == "command" {
			continue
		}
		for _, r := range o.Receipts {
			before, known := first[r.ID]
			if known && (before.Position != r.Position || before.Version != r.Version) {
				wrong = append(wrong, fmt.Sprintf("event %s was answered with positions %d and %d", r.ID, before.Position, r.Position))
			}
			first[r.ID] = r
			if !r.Duplicate {
				if fresh[r.ID]++; fresh[r.ID] == 2 {
					wrong = append(wrong, fmt.Sprintf("event %s was answered as new twice", r.ID))
				}
			}
		}
	}
	return wrong
}

func acceptedWrongs(e evidence) (wrong []string) {
	for _, o := range e.ops {
		if o.Wrong && o.Outcome == succeeded {
			wrong = append(wrong, fmt.Sprintf("%s was accepted with %d although it reuses an id or asks for a wrong version: %v", o.Client, o.Status, o.Events))
		}
	}
	return wrong
}

func versionGaps(e evidence) (wrong []string) {
	byAggregate := map[string][]stored{}
	for _, event := range e.events {
		byAggregate[event.Aggregate] = append(byAggregate[event.Aggregate], event)
	}
	for aggregate, events := range byAggregate {
		slices.SortFunc(events, func(a, b stored) int { return cmp.Compare(a.Position, b.Position) })
		for i, event := range events {
			if event.Version != i+1 {
				wrong = append(wrong, fmt.Sprintf("event %d of aggregate %s, at position %d, has version %d", i+1, aggregate, event.Position, event.Version))
				break
			}
		}
	}
	return wrong
}

// manyWinners finds an expected version with which more than one event, or one
// at another version, was acknowledged.
func manyWinners(e evidence) (wrong []string) {
	type claim struct {
		aggregate string
		expected  int
	}
	winners := map[claim]string{}
	for _, o := range e.ops {
		if o.Outcome != succeeded {
			continue
		}
		at := map[string]int{}
		for _, r := range o.Receipts {
			at[r.ID] = r.Version
		}
		for _, s := range o.Events {
			if s.Expected == nil {
				continue
			}
			c := claim{s.Aggregate, *s.Expected}
			if at[s.ID] != c.expected+1 {
				wrong = append(wrong, fmt.Sprintf("event %s expected version %d and got version %d", s.ID, c.expected, at[s.ID]))
			}
			if other, taken := winners[c]; taken && other != s.ID {
				wrong = append(wrong, fmt.Sprintf("events %s and %s both won version %d of aggregate %s", other, s.ID, c.expected+1, c.aggregate))
			}
			winners[c] = s.ID
		}
	}
	return wrong
}

func inOrder(events []stored) []stored {
	return slices.SortedFunc(slices.Values(events), func(a, b stored) int { return cmp.Compare(a.Position, b.Position) })
}

func positionGaps(e evidence) (wrong []string) {
	for i, event := range inOrder(e.events) {
		if event.Position != int64(i+1) {
			wrong = append(wrong, fmt.Sprintf("event %d of the log has position %d", i+1, event.Position))
			break
		}
	}
	if e.head != int64(len(e.events)) {
		wrong = append(wrong, fmt.Sprintf("the head is at %d and the log has %d events", e.head, len(e.events)))
	}
	return wrong
}

func fallingTimes(e evidence) (wrong []string) {
	var last time.Time
	for _, event := range inOrder(e.events) {
		if event.Recorded.Before(last) {
			wrong = append(wrong, fmt.Sprintf("position %d was recorded at %s, before its predecessor at %s", event.Position, event.Recorded, last))
		}
		last = event.Recorded
	}
	return wrong
}

// brokenOrder finds an event that was acknowledged before another was first
// sent and has the higher position: the second reader of the two would see the
// effect before its cause. It walks the log from its end and keeps the earliest
// acknowledgement of all that comes later.
func brokenOrder(e evidence) (wrong []string) {
	sentAt, ackedAt := map[string]time.Duration{}, map[string]time.Duration{}
	earliest := func(at map[string]time.Duration, id string, when time.Duration) {
		if before, ok := at[id]; !ok || when < before {
			at[id] = when
		}
	}
	for _, o := range e.ops {
		for _, s := range o.Events {
			earliest(sentAt, s.ID, o.Invoked)
		}
		if o.Outcome == succeeded && o.Kind == "append" {
			for _, r := range o.Receipts {
				earliest(ackedAt, r.ID, o.Ended)
			}
		}
	}
	var later struct {
		id   string
		when time.Duration
	}
	for _, event := range slices.Backward(inOrder(e.events)) {
		if invoked, ok := sentAt[event.ID]; ok && later.id != "" && later.when < invoked {
			wrong = append(wrong, fmt.Sprintf("event %s at position %d was sent after event %s was acknowledged, which has a higher position",
				event.ID, event.Position, later.id))
		}
		if acked, ok := ackedAt[event.ID]; ok && (later.id == "" || acked < later.when) {
			later.id, later.when = event.ID, acked
		}
	}
	return wrong
}

func halfBatches(e evidence) (wrong []string) {
	for _, o := range e.ops {
		if !o.Array || o.Wrong {
			continue
		}
		var positions []int64
		for _, s := range o.Events {
			for _, event := range e.byID[s.ID] {
				positions = append(positions, event.Position)
			}
		}
		slices.Sort(positions)
		if len(positions) == 0 {
			continue
		}
		if n := len(o.Events); len(positions) != n || positions[n-1]-positions[0] != int64(n-1) {
			wrong = append(wrong, fmt.Sprintf("of a batch of %d by %s there are %d events, at positions %v", n, o.Client, len(positions), positions))
		}
	}
	return wrong
}

func differingRows(e evidence) (wrong []string) {
	want, err := fold(e.events)
	if err != nil {
		return []string{err.Error()}
	}
	return slices.Concat(
		compareRows("users", e.users, want.users),
		compareRows("payment_summaries", e.payments, want.payments),
		compareRows("payment_customers", e.customers, want.customers),
		compareRows("view_locks of users", e.locks["users"], want.versions["user"]),
		compareRows("view_locks of payment_customers", e.locks["payment_customers"], want.versions["user"]),
		compareRows("view_locks of payment_summaries", e.locks["payment_summaries"], want.versions["payment"]),
	)
}

func compareRows[R comparable](table string, got, want map[string]R) (wrong []string) {
	for _, id := range slices.Sorted(maps.Keys(want)) {
		if row, ok := got[id]; !ok {
			wrong = append(wrong, fmt.Sprintf("%s: %s is missing, it should be %v", table, id, want[id]))
		} else if row != want[id] {
			wrong = append(wrong, fmt.Sprintf("%s: %s is %v, it should be %v", table, id, row, want[id]))
		}
	}
	for _, id := range slices.Sorted(maps.Keys(got)) {
		if _, ok := want[id]; !ok {
			wrong = append(wrong, fmt.Sprintf("%s: %s should not be there: %v", table, id, got[id]))
		}
	}
	return wrong
}

func laggingViews(e evidence) (wrong []string) {
	for _, view := range []string{"users", "payment_summaries", "payment_customers"} {
		if at, ok := e.positions[view]; !ok || at != e.head {
			wrong = append(wrong, fmt.Sprintf("view %s is at %d of %d", view, at, e.head))
		}
	}
	if e.parked > 0 {
		wrong = append(wrong, fmt.Sprintf("%d aggregates are parked", e.parked))
	}
	return wrong
}

// brokenSessions finds a reader of the whole log that was given something else
// than the next position, or another event than the one that is stored there.
func brokenSessions(e evidence) (wrong []string) {
	at := map[int64]string{}
	for _, event := range e.events {
		at[event.Position] = event.ID
	}
	for _, s := range e.sessions {
		last := s.After
		for _, got := range s.Seen {
			if got.Position != last+1 {
				wrong = append(wrong, fmt.Sprintf("%s was given position %d after %d", s.Reader, got.Position, last))
			}
			if at[got.Position] != got.ID {
				wrong = append(wrong, fmt.Sprintf("%s was given event %s at position %d; stored is %q", s.Reader, got.ID, got.Position, at[got.Position]))
			}
			last = got.Position
		}
	}
	return wrong
}
