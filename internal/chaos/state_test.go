package chaos

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/uptrace/bun/driver/pgdriver"
)

// A state is what is in the database when all is over, read with plain SQL.
type state struct {
	events    []stored
	head      int64
	positions map[string]int64          // of each view
	locks     map[string]map[string]int // view, aggregate, version
	parked    int
	users     map[string]userRow
	payments  map[string]paymentRow
	customers map[string]customerRow
}

// stored is a row of the log.
type stored struct {
	Position  int64
	ID        string
	Aggregate string
	Kind      string // the aggregate's
	Name      string
	Version   int
	Payload   json.RawMessage
	Recorded  time.Time
}

type userRow struct {
	Name, Email      string
	Version          int
	Created, Updated time.Time
}

type paymentRow struct {
	Customer, Amount, Currency, Method, Status string
	Risk                                       int // -1 for none
	Review                                     bool
	Reason                                     string
	Version                                    int
	Initiated, Processed                       time.Time // zero for never
}

type customerRow struct {
	Name    string
	Version int
}

// connect opens a database without the program's own pools.
func connect(url string) *sql.DB {
	db := sql.OpenDB(pgdriver.NewConnector(pgdriver.WithDSN(url), pgdriver.WithTimeout(time.Minute)))
	db.SetMaxIdleConns(1)
	return db
}

func readState(ctx context.Context, db *sql.DB) (*state, error) {
	s := &state{
		positions: map[string]int64{}, locks: map[string]map[string]int{},
		users: map[string]userRow{}, payments: map[string]paymentRow{}, customers: map[string]customerRow{},
	}
	// One snapshot for all of it.
	tx, err := db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
	if err != nil {
		return nil, err
	}
	defer tx.Rollback()
	if err := tx.QueryRowContext(ctx, `SELECT "position" FROM event_log_head`).Scan(&s.head); err != nil {
		return nil, err
	}
	if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM view_parked`).Scan(&s.parked); err != nil {
		return nil, err
	}
	for _, read := range []func(context.Context, *sql.Tx) error{s.readEvents, s.readProgress, s.readUsers, s.readPayments, s.readCustomers} {
		if err := read(ctx, tx); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// each scans all rows of a query.
func each(ctx context.Context, tx *sql.Tx, query string, scan func(*sql.Rows) error) error {
	rows, err := tx.QueryContext(ctx, query)
	if err != nil {
		return fmt.Errorf("%s: %w", query, err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return fmt.Errorf("%s: %w", query, err)
		}
	}
	return rows.Err()
}

// Why no ORDER BY position alone: what is out of order must be seen as such, so
// the checkers sort for themselves.
func (s *state) readEvents(ctx context.Context, tx *sql.Tx) error {
	return each(ctx, tx, `SELECT "position", id::text, aggregate_id::text, aggregate, name, version, payload::text, recorded_at FROM events`,
		func(rows *sql.Rows) error {
			var e stored
			var payload string
			err := rows.Scan(&e.Position, &e.ID, &e.Aggregate, &e.Kind, &e.Name, &e.Version, &payload, &e.Recorded)
			e.Payload = json.RawMessage(payload)
			s.events = append(s.events, e)
			return err
		})
}

func (s *state) readProgress(ctx context.Context, tx *sql.Tx) error {
	err := each(ctx, tx, `SELECT view, "position" FROM view_positions`, func(rows *sql.Rows) error {
		var view string
		var position int64
		err := rows.Scan(&view, &position)
		s.positions[view] = position
		s.locks[view] = map[string]int{}
		return err
	})
	if err != nil {
		return err
	}
	return each(ctx, tx, `SELECT view, aggregate_id::text, version FROM view_locks`, func(rows *sql.Rows) error {
		var view, aggregate string
		var version int
		if err := rows.Scan(&view, &aggregate, &version); err != nil {
			return err
		}
		if s.locks[view] == nil {
			s.locks[view] = map[string]int{}
		}
		s.locks[view][aggregate] = version
		return nil
	})
}

func (s *state) readUsers(ctx context.Context, tx *sql.Tx) error {
	return each(ctx, tx, `SELECT id::text, name, email, version, created_at, updated_at FROM users`, func(rows *sql.Rows) error {
		var id string
		var u userRow
		err := rows.Scan(&id, &u.Name, &u.Email, &u.Version, &u.Created, &u.Updated)
		u.Created, u.Updated = u.Created.UTC(), u.Updated.UTC()
		s.users[id] = u
		return err
	})
}

func (s *state) readPayments(ctx context.Context, tx *sql.Tx) error {
	return each(ctx, tx, `SELECT payment_id::text, customer_id::text, amount::text, currency, method, status,
		coalesce(risk_score, -1), requires_review, coalesce(reason, ''), version, initiated_at, processed_at
		FROM payment_summaries`, func(rows *sql.Rows) error {
		var id string
		var p paymentRow
		var processed sql.NullTime
		err := rows.Scan(&id, &p.Customer, &p.Amount, &p.Currency, &p.Method, &p.Status,
			&p.Risk, &p.Review, &p.Reason, &p.Version, &p.Initiated, &processed)
		p.Initiated = p.Initiated.UTC()
		if processed.Valid {
			p.Processed = processed.Time.UTC()
		}
		s.payments[id] = p
		return err
	})
}

func (s *state) readCustomers(ctx context.Context, tx *sql.Tx) error {
	return each(ctx, tx, `SELECT id::text, name, version FROM payment_customers`, func(rows *sql.Rows) error {
		var id string
		var c customerRow
		err := rows.Scan(&id, &c.Name, &c.Version)
		s.customers[id] = c
		return err
	})
}
