package chaos

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// A history is all that was seen from outside, in the order in which it ended:
// what every client did, and what every reader of the log was given.
type history struct {
	ops      []op
	sessions []session
}

// outcome is what a client knows after an operation.
type outcome string

const (
	succeeded outcome = "ok"
	refused   outcome = "fail"    // certainly without effect
	unknown   outcome = "unknown" // with or without
)

// An op is one HTTP request. Times are since the history's beginning, on one
// monotonic clock.
type op struct {
	Client  string        `json:"client"`
	Kind    string        `json:"kind"` // append, command, read, probe
	Route   string        `json:"route"`
	Replica string        `json:"replica"`
	Invoked time.Duration `json:"invoked_ns"`
	Ended   time.Duration `json:"returned_ns"`
	Outcome outcome       `json:"outcome"`
	Status  int           `json:"status,omitempty"` // 0 where no answer came
	Code    string        `json:"code,omitempty"`
	Detail  string        `json:"detail,omitempty"`
	// RetryAfter says whether the answer had that header.
	RetryAfter bool `json:"retry_after,omitempty"`
	// Excused says that we had killed or frozen the process it was sent to, so
	// that a missing or late answer is our own doing.
	Excused bool `json:"excused,omitempty"`
	// Array says that the events were sent as one, all or nothing.
	Array    bool      `json:"array,omitempty"`
	Events   []sent    `json:"events,omitempty"`
	Payment  string    `json:"payment,omitempty"` // of a command
	Receipts []receipt `json:"receipts,omitempty"`
	// Wrong says that the client did it against the rules on purpose: the
	// answer must be a refusal.
	Wrong bool `json:"wrong,omitempty"`
}

// sent is an event as a client sent it.
type sent struct {
	ID        string          `json:"id"`
	Aggregate string          `json:"aggregate_id"`
	Name      string          `json:"name"`
	Payload   json.RawMessage `json:"payload"`
	Expected  *int            `json:"expected_version,omitempty"`
}

// receipt is what the server answered about one event.
type receipt struct {
	ID        string `json:"id"`
	Aggregate string `json:"aggregate_id"`
	Version   int    `json:"version"`
	Position  int64  `json:"position"`
	Duplicate bool   `json:"duplicate"`
}

// A session is what one reader of the whole log was given after a position,
// over all its connections.
type session struct {
	Reader string `json:"reader"`
	Kind   string `json:"session"` // stream, straggle or poll
	After  int64  `json:"after"`
	Seen   []seen `json:"seen"`
	// Resumed is how often it had to connect again.
	Resumed int `json:"resumed"`
}

type seen struct {
	Position int64  `json:"position"`
	ID       string `json:"id"`
}

// A recorder writes the history to a file as it happens, so that it is there
// whatever becomes of us.
type recorder struct {
	mu    sync.Mutex
	start time.Time
	file  *os.File
	out   *json.Encoder
	kept  history
	err   error // of writing it down
}

func newRecorder(path string) (*recorder, error) {
	file, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	return &recorder{start: time.Now(), file: file, out: json.NewEncoder(file)}, nil
}

// now is the history's clock.
func (r *recorder) now() time.Duration { return time.Since(r.start) }

func (r *recorder) op(o op) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.kept.ops = append(r.kept.ops, o)
	r.err = errors.Join(r.err, r.out.Encode(o))
}

func (r *recorder) session(s session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.kept.sessions = append(r.kept.sessions, s)
	r.err = errors.Join(r.err, r.out.Encode(s))
}

// close ends the file and gives what is in it, read back: what is judged is
// what can be looked at afterwards.
func (r *recorder) close() (history, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := errors.Join(r.err, r.file.Close()); err != nil {
		return history{}, err
	}
	h, err := readHistory(r.file.Name())
	if err == nil && (len(h.ops) != len(r.kept.ops) || len(h.sessions) != len(r.kept.sessions)) {
		err = fmt.Errorf("%s holds %d operations and %d sessions of %d and %d",
			r.file.Name(), len(h.ops), len(h.sessions), len(r.kept.ops), len(r.kept.sessions))
	}
	return h, err
}

func readHistory(path string) (history, error) {
	file, err := os.Open(path)
	if err != nil {
		return history{}, err
	}
	defer file.Close()
	var h history
	lines := json.NewDecoder(bufio.NewReader(file))
	for {
		var line struct {
			op
			session
		}
		err := lines.Decode(&line)
		switch {
		case errors.Is(err, io.EOF):
			return h, nil
		case err != nil:
			return h, err
		case line.session.Kind != "":
			h.sessions = append(h.sessions, line.session)
		default:
			h.ops = append(h.ops, line.op)
		}
	}
}
