package domains_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"onepg/internal/domains"
)

// table is what queries are answered from. A query says that it began and waits
// until it may go on.
type table struct {
	began chan []uuid.UUID
	goOn  chan error
}

func newTable() table { return table{began: make(chan []uuid.UUID), goOn: make(chan error)} }

// load has a row for every id but nil: its last byte.
func (tb table) load(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]byte, error) {
	tb.began <- slices.Clone(ids)
	rows := make(map[uuid.UUID]byte)
	for _, id := range ids {
		if id != uuid.Nil {
			rows[id] = id[15]
		}
	}
	return rows, errors.Join(<-tb.goOn, ctx.Err())
}

func id(n byte) uuid.UUID { return uuid.UUID{0: 1, 15: n} }

// joining counts the calls that have come as far as waiting: a context is first
// asked for its end there.
type joining struct {
	context.Context //nolint:containedctx // wrapped to see when it is asked

	joined chan<- struct{}
}

func (j joining) Done() <-chan struct{} {
	j.joined <- struct{}{}
	return j.Context.Done()
}

func TestCallsDuringAQueryShareTheNextUpToFour(t *testing.T) {
	t.Parallel()
	tb := newTable()
	find := domains.Gather(4, tb.load)
	joined := make(chan struct{}, 100)
	var callers sync.WaitGroup
	call := func(asked uuid.UUID, want byte) {
		callers.Go(func() {
			row, found, err := find(joining{t.Context(), joined}, asked)
			if err != nil || row != want || found != (want != 0) {
				t.Errorf("%s: row %d, found %t, %v", asked, row, found, err)
			}
		})
		<-joined
	}
	call(id(1), 1)
	if ids := <-tb.began; !slices.Equal(ids, []uuid.UUID{id(1)}) {
		t.Errorf("a lone call asks for %v", ids)
	}
	call(id(2), 2)
	call(id(3), 3)
	call(id(2), 2)
	call(uuid.Nil, 0)
	call(id(4), 4)
	for _, want := range [][]uuid.UUID{{id(2), id(3), id(2), uuid.Nil}, {id(4)}} {
		tb.goOn <- nil
		if ids := <-tb.began; !slices.Equal(ids, want) {
			t.Errorf("the next query asks for %v, want %v", ids, want)
		}
	}
	tb.goOn <- nil
	callers.Wait()
}

func TestAFailedQueryFailsThoseWhoShareItAndNobodyElse(t *testing.T) {
	t.Parallel()
	tb := newTable()
	find := domains.Gather(4, tb.load)
	broken := errors.New("broken")
	for _, want := range []error{broken, nil} {
		done := make(chan error)
		go func() {
			_, _, err := find(t.Context(), id(1))
			done <- err
		}()
		<-tb.began
		tb.goOn <- want
		if err := <-done; !errors.Is(err, want) {
			t.Errorf("got %v, want %v", err, want)
		}
	}
}

func TestACallerThatLeavesDoesNotEndTheQueryOfOthers(t *testing.T) {
	t.Parallel()
	tb := newTable()
	find := domains.Gather(4, tb.load)
	leaving, leave := context.WithCancel(t.Context())
	joined, left, stayed := make(chan struct{}, 1), make(chan error), make(chan error)
	go func() {
		_, _, err := find(leaving, id(1))
		left <- err
	}()
	<-tb.began
	go func() {
		_, _, err := find(joining{t.Context(), joined}, id(2))
		stayed <- err
	}()
	<-joined
	leave()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("who left got %v", err)
	}
	tb.goOn <- nil
	<-tb.began
	tb.goOn <- nil
	if err := <-stayed; err != nil {
		t.Errorf("who stayed got %v", err)
	}
}

// What is committed before a call is what the call sees.
func TestACallSeesWhatWasThereBeforeIt(t *testing.T) {
	t.Parallel()
	var stored atomic.Int64
	find := domains.Gather(4, func(_ context.Context, ids []uuid.UUID) (map[uuid.UUID]int64, error) {
		rows, now := make(map[uuid.UUID]int64), stored.Load()
		for _, id := range ids {
			rows[id] = now
		}
		return rows, nil
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // so that a lost wake-up fails
	defer cancel()
	var callers sync.WaitGroup
	for range 32 {
		callers.Go(func() {
			for range 200 {
				before := stored.Add(1)
				if seen, found, err := find(ctx, id(1)); err != nil || !found || seen < before {
					t.Errorf("saw %d after %d was there: %t, %v", seen, before, found, err)
					return
				}
			}
		})
	}
	callers.Wait()
}
