package bench

import (
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

func TestTheClientReadsEachAnswerToItsEnd(t *testing.T) {
	t.Parallel()
	big := strings.Repeat("x", 100_000)
	mux := http.NewServeMux()
	mux.HandleFunc("POST /short", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusCreated)
		_, _ = w.Write([]byte("done"))
	})
	mux.HandleFunc("GET /chunks", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(big))
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Error(err)
		}
		_, _ = w.Write([]byte("end"))
	})
	mux.HandleFunc("GET /empty", func(http.ResponseWriter, *http.Request) {})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	c, err := dial(t.Context(), strings.TrimPrefix(server.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.close)
	// On one connection: bytes left over would be read as the next answer.
	for _, step := range []struct {
		method, path string
		status       int
		end          string
	}{
		{"POST", "/short", 201, "done"},
		{"GET", "/chunks", 200, "end\r\n0\r\n\r\n"},
		{"GET", "/empty", 200, "\r\n\r\n"},
		{"GET", "/nowhere", 404, "not found\n"},
		{"POST", "/short", 201, "done"},
	} {
		request, _ := newRequest(step.method, step.path, "", 0)
		status, err := c.do(request)
		if err != nil {
			t.Fatalf("%s: %v", step.path, err)
		}
		if status != step.status || !strings.HasSuffix(string(c.buffer), step.end) {
			t.Errorf("%s: %d, ends in %q", step.path, status, c.buffer[max(0, len(c.buffer)-20):])
		}
	}
}

func TestAPartOfABodyIsNotTheWhole(t *testing.T) {
	t.Parallel()
	for head, bodies := range map[string][2]string{
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n": {"5\r\nhello\r\n", "5\r\nhello\r\n0\r\n\r\n"},
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n":          {"hell", "hello"},
	} {
		whole, err := ending([]byte(head))
		if err != nil {
			t.Fatal(err)
		}
		if whole([]byte(bodies[0])) || !whole([]byte(bodies[1])) {
			t.Errorf("the end is not where it is: %q", head)
		}
	}
}

func TestTheClientRefusesAnAnswerWithoutAnEnd(t *testing.T) {
	t.Parallel()
	if _, err := ending([]byte("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")); err == nil {
		t.Error("an answer that ends with its connection was taken")
	}
}

func TestStampedIDsAreUUIDv7InTheOrderOfTime(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	at := time.UnixMilli(1_700_000_000_000)
	var made []string
	for i := range 100 {
		text := make([]byte, uuidLength)
		stampID(text, at.Add(time.Duration(i)*time.Millisecond), random)
		id, err := uuid.ParseBytes(text)
		if err != nil {
			t.Fatal(err)
		}
		if id.Version() != 7 || id.Variant() != uuid.RFC4122 {
			t.Fatalf("%s is version %d, variant %s", id, id.Version(), id.Variant())
		}
		if seconds, _ := id.Time().UnixTime(); seconds != at.Unix() {
			t.Fatalf("%s says it is %d", id, seconds)
		}
		made = append(made, string(text))
	}
	if !slices.IsSorted(made) || len(slices.Compact(made)) != len(made) {
		t.Errorf("the ids do not rise: %v", made)
	}
}

func TestEachSendingHasItsOwnIDsAndKeys(t *testing.T) {
	t.Parallel()
	request, marks := newRequest("POST", "/v1/users/"+storedID+keyMark, appendOf(2), 50)
	if len(marks) != 5 {
		t.Fatalf("%d marks, want a key and two ids in each of two events", len(marks))
	}
	c := newClient(nil, load{Request: request, Marks: marks}, 0)
	seen := make(map[string]bool)
	for range 3 {
		number, _ := c.number(now(), now())
		c.stamp(number)
		text := string(c.Request)
		if strings.ContainsAny(text, "#%") {
			t.Fatalf("a placeholder is left: %s", text)
		}
		for _, m := range marks[1:] {
			seen[text[m.At:m.At+uuidLength]] = true
		}
		if _, err := uuid.Parse(text[len("POST /v1/users/"):][:uuidLength]); err != nil {
			t.Errorf("the key makes no id: %v", err)
		}
	}
	if len(seen) != 12 {
		t.Errorf("%d ids in 3 requests of 4", len(seen))
	}
	if strings.Contains(string(request), "-7") && !strings.Contains(string(request), freshID) {
		t.Error("the template itself was stamped")
	}
}
