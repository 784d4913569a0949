package migrate

import (
	"context"
	"slices"
	"strings"
	"time"
)

// State is where a migration stands.
type State string

// The states of a migration. An Unknown one was applied by another version of
// the program: this binary has no file for it and leaves it alone.
const (
	Applied State = "applied"
	Pending State = "pending"
	Unknown State = "unknown"
)

// Status is one migration's state. Group and AppliedAt are absent while it is
// pending; Down reverts the highest group.
type Status struct {
	// Name is the file's name up to the first dot; of an unknown migration only
	// the time is known.
	Name      string     `json:"name"`
	State     State      `json:"state"`
	Group     int64      `json:"group,omitempty"`
	AppliedAt *time.Time `json:"applied_at,omitempty"`
}

// Status lists every migration the binary or the database knows, oldest first.
// It only reads; a database that was never migrated shows all as pending.
func (m *Migrator) Status(ctx context.Context) ([]Status, error) {
	applied, err := m.applied(ctx)
	if err != nil {
		return nil, err
	}
	list := make([]Status, 0, len(m.known))
	for _, row := range applied {
		at := row.MigratedAt.UTC()
		s := Status{Name: row.Name, State: Unknown, Group: row.GroupID, AppliedAt: &at}
		if i, ok := m.find(row.Name); ok {
			s.Name, s.State = m.known[i].String(), Applied
		}
		list = append(list, s)
	}
	for _, next := range m.pending(applied) {
		list = append(list, Status{Name: next.String(), State: Pending})
	}
	slices.SortFunc(list, func(a, b Status) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}
