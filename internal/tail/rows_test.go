package tail_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/google/uuid"
)

const rowStream = "/v1/users/stream"

func TestEachChangedRowIsSentAsGetShowsIt(t *testing.T) {
	t.Parallel()
	r := start(t)
	c := r.follow(rowStream, live)
	id := uuid.New()
	for version, e := range []event{created(id), renamed(id, "Countess")} {
		position := r.append(e)
		m := c.want()
		_, row := r.get("/v1/users/" + id.String())
		if m.id != position || m.event != "changed" || m.data != strings.TrimSpace(row) {
			t.Errorf("version %d: %+v, GET shows %s", version+1, m, row)
		}
	}
	position := r.append(deleted(id))
	if m := c.want(); m.id != position || m.event != "removed" || m.data != fmt.Sprintf(`{"id":%q}`, id) {
		t.Errorf("%+v", m)
	}
	if status, _ := r.get("/v1/users/" + id.String()); status != http.StatusGone {
		t.Errorf("GET answers %d after the message", status)
	}
}

func TestAfterAPositionRowsAreSentOnceAsTheyAreNow(t *testing.T) {
	t.Parallel()
	r := start(t)
	ada, bob, eve, old := uuid.New(), uuid.New(), uuid.New(), uuid.New()
	after := r.append(created(old))
	r.append(created(ada), created(bob), renamed(ada, "Countess"), created(eve), renamed(bob, "Bobby"), deleted(eve))
	r.eventually("the view is there", func() bool {
		status, _ := r.get("/v1/users/" + eve.String())
		return status == http.StatusGone
	})
	c := r.follow(rowStream, after)
	for _, want := range []struct {
		id    int64
		event string
		user  uuid.UUID
	}{{after + 3, "changed", ada}, {after + 5, "changed", bob}, {after + 6, "removed", eve}} {
		m := c.want()
		if m.id != want.id || m.event != want.event || !strings.Contains(m.data, want.user.String()) {
			t.Errorf("%+v, want %+v", m, want)
		}
	}
}

// A copy of the view that is kept by the stream alone, over any cuts, must end
// as the view.
func TestACopyKeptByTheStreamEqualsTheView(t *testing.T) {
	t.Parallel()
	const rounds = 60
	r := start(t, "--stream-buffer=8")
	random := rand.New(rand.NewPCG(5, 6))
	var living []uuid.UUID
	copied := make(map[uuid.UUID]string)
	c := r.follow(rowStream, live)
	for range rounds {
		var events []event
		for range 1 + random.IntN(20) {
			i := random.IntN(len(living) + 1)
			switch {
			case i == len(living):
				living = append(living, uuid.New())
				events = append(events, created(living[i]))
			case random.IntN(4) == 0:
				events = append(events, deleted(living[i]))
				living = append(living[:i], living[i+1:]...)
			default:
				events = append(events, renamed(living[i], strconv.Itoa(random.IntN(1000))))
			}
		}
		position := r.append(events...)
		for c.lastID < position && random.IntN(10) > 0 {
			m := c.want()
			apply(t, copied, m)
		}
		if random.IntN(5) == 0 {
			c.close()
			c = r.follow(rowStream, c.lastID)
		}
	}
	position := r.append(created(uuid.New()))
	for c.lastID < position {
		apply(t, copied, c.want())
	}
	for id, row := range copied {
		if status, text := r.get("/v1/users/" + id.String()); status != http.StatusOK || strings.TrimSpace(text) != row {
			t.Fatalf("the copy has %s, GET answers %d %s", row, status, text)
		}
	}
	if len(copied) != len(living)+1 {
		t.Errorf("the copy has %d rows, want %d", len(copied), len(living)+1)
	}
}

func apply(t *testing.T, rows map[uuid.UUID]string, m message) {
	t.Helper()
	var row struct{ ID uuid.UUID }
	if err := json.Unmarshal([]byte(m.data), &row); err != nil {
		t.Fatal(err)
	}
	if m.event == "removed" {
		delete(rows, row.ID)
	} else {
		rows[row.ID] = m.data
	}
}

func TestARowThatCouldNotBeChangedIsNotSent(t *testing.T) {
	t.Parallel()
	r := start(t)
	c := r.follow(rowStream, live)
	known := uuid.New()
	r.append(created(known))
	c.want()
	// The database takes what the edge would refuse: a name that is no text.
	r.exec(`SELECT * FROM append_events(ids => ARRAY[gen_random_uuid(), gen_random_uuid()], aggregate_ids => ARRAY[gen_random_uuid(), ?],
		names => ARRAY['user.created', 'user.updated'], payloads => ARRAY['{"name":7}', '{"name":7}']::json[])`, known)
	position := r.append(someone(1)...)
	if m := c.want(); m.id != position {
		t.Errorf("%+v, want the one that could be changed", m)
	}
}
