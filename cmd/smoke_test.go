//go:build smoke || client

package cmd

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestSmokeTheRequestsOfTestHTTP sends test.http to the binary as a newcomer
// would, on a database of its own, and holds each answer to its "expect" line.
func TestSmokeTheRequestsOfTestHTTP(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../test.http")
	if err != nil {
		t.Fatal(err)
	}
	requests := parseHTTPFile(t, string(text))
	if len(requests) < 20 {
		t.Fatalf("only %d requests in test.http", len(requests))
	}
	dir := t.TempDir()
	server := startServer(t, dir)
	if printed, served := invokeIn(t, dir, nil, "openapi").stdout, fetched(t, server.url+"/openapi.json"); printed != served {
		t.Errorf("app openapi prints %d bytes, GET /openapi.json answers %d others", len(printed), len(served))
	}
	for _, r := range requests {
		if r.expect == "" {
			t.Errorf("%s: no expect line", r.title)
		}
		if got := r.send(t, server.url); got != r.expect {
			t.Errorf("%s: answered %s, want %s", r.title, got, r.expect)
		}
	}
	server.stop(t)
}

// TestSmokeAKilledServerLosesNothing is P1 for the app: what was acknowledged
// before kill -9 is there after the next start, and the views show it.
func TestSmokeAKilledServerLosesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	server := startServer(t, dir)
	acknowledged := make(chan int)
	go func() {
		n := 0
		for ; ; n++ {
			if status, _ := post(server.url, n); status != http.StatusCreated {
				break
			}
			if n == 200 {
				_ = server.process.Process.Kill()
			}
		}
		acknowledged <- n
	}()
	n := <-acknowledged
	_ = server.process.Wait()
	if n < 200 {
		t.Fatalf("only %d events were acknowledged", n)
	}

	server = startServer(t, dir)
	for i := range n {
		if status, body := post(server.url, i); status != http.StatusOK || !strings.Contains(body, `"duplicate":true`) {
			t.Fatalf("event %d of %d was acknowledged and is not there: %d %s", i, n, status, body)
		}
	}
	request := httpRequest{method: "GET", path: "/v1/users/" + userID(n-1) + "?min_version=1", header: http.Header{"Prefer": {"wait=10"}}}
	if got := request.send(t, server.url); got != "200" {
		t.Errorf("the view shows the last acknowledged event: %s, want 200", got)
	}
	server.stop(t)
}

// TestSmokeMigrationsUpDownUp ends with the schema it began with.
func TestSmokeMigrationsUpDownUp(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, step := range []string{"up", "down", "up", "status"} {
		if got := invokeIn(t, dir, nil, "migrate", step); got.code != exitDone {
			t.Fatalf("migrate %s: exit %d\n%s", step, got.code, got.stderr)
		}
	}
}

type server struct {
	process *exec.Cmd
	url     string
}

// startServer runs the binary on a free port with the embedded PostgreSQL in dir.
func startServer(t *testing.T, dir string) *server {
	t.Helper()
	return startServerAt(t, dir, "127.0.0.1:0")
}

func startServerAt(t *testing.T, dir, address string) *server {
	t.Helper()
	// Not the test's context: it ends before Cleanup, and would kill.
	process := exec.CommandContext(context.WithoutCancel(t.Context()), binary, "run", "--addr", address, "--log-level", "warn")
	process.Dir, process.Env, process.Stderr = dir, cleanEnvironment(), t.Output()
	stdout, err := process.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if process.ProcessState == nil {
			_ = process.Process.Signal(syscall.SIGTERM)
			_ = process.Wait()
		}
	})
	listening := regexp.MustCompile(`API +(http://\S+)`)
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		if m := listening.FindStringSubmatch(lines.Text()); m != nil {
			go func() { _, _ = io.Copy(io.Discard, stdout) }()
			return &server{process: process, url: m[1]}
		}
	}
	t.Fatal("the server ended without saying where it listens")
	return nil
}

func (s *server) stop(t *testing.T) {
	t.Helper()
	if err := s.process.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := s.process.Wait(); err != nil {
		t.Errorf("the server did not stop cleanly: %v", err)
	}
}

type httpRequest struct {
	title, expect, method, path, body string
	header                            http.Header
}

// parseHTTPFile reads what editors understand: requests between ### lines,
// @name = value and {{name}}, headers, and a body after an empty line.
func parseHTTPFile(t *testing.T, text string) []httpRequest {
	t.Helper()
	variables := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^@(\w+) = (\S+)$`).FindAllStringSubmatch(text, -1) {
		variables[m[1]] = m[2]
	}
	text = regexp.MustCompile(`\{\{(\w+)\}\}`).ReplaceAllStringFunc(text, func(v string) string {
		value, ok := variables[strings.Trim(v, "{}")]
		if !ok {
			t.Fatalf("%s has no value", v)
		}
		return value
	})
	var requests []httpRequest
	for _, block := range regexp.MustCompile(`(?m)^###`).Split(text, -1)[1:] {
		head, body, _ := strings.Cut(strings.TrimSpace(block), "\n\n")
		lines := strings.Split(head, "\n")
		r := httpRequest{title: strings.TrimSpace(lines[0]), body: body, header: http.Header{}}
		for _, line := range lines[1:] {
			if expect, ok := strings.CutPrefix(line, "# expect: "); ok {
				r.expect = expect
			} else if name, value, ok := strings.Cut(line, ": "); ok && r.method != "" {
				r.header.Set(name, value)
			} else if method, url, ok := strings.Cut(line, " "); ok && method != "#" {
				r.method, r.path = method, strings.TrimPrefix(url, variables["host"])
			}
		}
		requests = append(requests, r)
	}
	return requests
}

// send gives the status, and with it the code of a problem, or how what was
// asked for stands, such as a payment.
func (r httpRequest) send(t *testing.T, url string) string {
	t.Helper()
	status, text := r.fetch(t, url)
	got := strconv.Itoa(status)
	var body struct {
		Code   string // of a problem
		Status any    // of anything else; a problem's is the number that we have
	}
	_ = json.Unmarshal(text, &body) // not all answers are objects
	if status, ok := body.Status.(string); ok {
		body.Code = status
	}
	if body.Code != "" {
		got += " " + body.Code
	}
	return got
}

// fetch gives the status and the body.
func (r httpRequest) fetch(t *testing.T, url string) (status int, body []byte) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), r.method, url+r.path, strings.NewReader(r.body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header = r.header
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err = io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, body
}

func fetched(t *testing.T, url string) string {
	t.Helper()
	_, body := httpRequest{method: http.MethodGet}.fetch(t, url)
	return string(body)
}

func userID(n int) string {
	hex := strconv.FormatInt(int64(n), 16)
	return "0193b7a2-4c1e-7d60-8f7e-" + strings.Repeat("0", 12-len(hex)) + hex
}

// post appends the n-th event of the kill test. It answers 0 when the server
// is gone.
func post(url string, n int) (status int, body string) {
	event := `{"id":"` + userID(n) + `","aggregate_id":"` + userID(n) + `","name":"user.created",` +
		`"payload":{"name":"Ada","email":"ada@example.com"}}`
	client := http.Client{Timeout: 10 * time.Second}
	response, err := client.Post(url+"/v1/users/events", "application/json", strings.NewReader(event))
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, err.Error()
	}
	return response.StatusCode, string(text)
}
