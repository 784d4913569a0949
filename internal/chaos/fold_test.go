package chaos

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// folded is what the views must show, computed anew: a loop over the log and a
// switch, that share no line with the program.
type folded struct {
	users     map[string]userRow
	payments  map[string]paymentRow
	customers map[string]customerRow
	versions  map[string]map[string]int // kind, aggregate, last version
}

func fold(events []stored) (*folded, error) {
	f := &folded{
		users: map[string]userRow{}, payments: map[string]paymentRow{}, customers: map[string]customerRow{},
		versions: map[string]map[string]int{"user": {}, "payment": {}},
	}
	ordered := slices.SortedFunc(slices.Values(events), func(a, b stored) int { return cmp.Compare(a.Position, b.Position) })
	for _, e := range ordered {
		if f.versions[e.Kind] == nil {
			return nil, fmt.Errorf("position %d: no view knows aggregate %q", e.Position, e.Kind)
		}
		f.versions[e.Kind][e.Aggregate] = e.Version
		var p payload
		if err := json.Unmarshal(e.Payload, &p); err != nil {
			return nil, fmt.Errorf("position %d: %w", e.Position, err)
		}
		at := e.Recorded.UTC()
		switch e.Kind {
		case "user":
			f.user(e, p, at)
		case "payment":
			f.payment(e, p, at)
		}
	}
	return f, nil
}

// payload is every field of every event that a view shows.
type payload struct {
	Name       *string    `json:"name"`
	Email      *string    `json:"email"`
	CreatedAt  *time.Time `json:"created_at"`
	CustomerID string     `json:"customer_id"`
	Method     string     `json:"method"`
	Reason     string     `json:"reason"`
	RiskScore  *int       `json:"risk_score"`
	Amount     *struct {
		Value    string `json:"value"`
		Currency string `json:"currency"`
	} `json:"amount"`
}

func (f *folded) user(e stored, p payload, at time.Time) {
	if e.Name == "user.deleted" {
		delete(f.users, e.Aggregate)
		delete(f.customers, e.Aggregate)
		return
	}
	u := f.users[e.Aggregate]
	c := f.customers[e.Aggregate]
	if e.Name == "user.created" {
		u.Created = at
	}
	if p.CreatedAt != nil {
		u.Created = p.CreatedAt.UTC()
	}
	if p.Name != nil {
		u.Name, c.Name = *p.Name, *p.Name
	}
	if p.Email != nil {
		u.Email = *p.Email
	}
	u.Version, u.Updated, c.Version = e.Version, at, e.Version
	f.users[e.Aggregate], f.customers[e.Aggregate] = u, c
}

func (f *folded) payment(e stored, p payload, at time.Time) {
	row := f.payments[e.Aggregate]
	row.Version = e.Version
	if p.Amount != nil {
		row.Amount, row.Currency = p.Amount.Value, p.Amount.Currency
	}
	status := map[string]string{
		"payment.initiated": "initiated", "payment.processed": "completed", "payment.failed": "failed",
		"payment.flagged_for_review": "pending_review", "payment.rejected": "rejected",
	}[e.Name]
	switch {
	case status == "initiated":
		row.Customer, row.Method, row.Initiated, row.Risk, row.Status = p.CustomerID, p.Method, at, -1, status
	case status != "":
		row.Status, row.Processed, row.Review = status, at, status == "pending_review"
		if p.RiskScore != nil {
			row.Risk = *p.RiskScore
		}
		if status == "failed" {
			row.Reason = p.Reason
		}
	}
	f.payments[e.Aggregate] = row
}
