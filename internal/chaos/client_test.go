//go:build fault

package chaos

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

// A client sends requests to replicas and writes down what it knows afterwards.
type client struct {
	name string
	http *http.Client
	log  *recorder
}

// giveUp is when a client stops waiting; later than P10 allows, so that a hang
// is seen as one.
const giveUp = 30 * time.Second

func newClient(name string, log *recorder) *client {
	return &client{name: name, log: log, http: &http.Client{
		Timeout: giveUp,
		// Why a transport each: users do not share connections.
		Transport: &http.Transport{MaxIdleConnsPerHost: 4},
	}}
}

func (c *client) close() { c.http.CloseIdleConnections() }

// mustJSON is for values that always have a JSON.
func mustJSON(v any) json.RawMessage {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return text
}

// request is what is sent for an operation.
type request struct {
	method, path string
	header       http.Header
	body         any // nil for none
}

// answer is what a request came back with.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// do sends the request for o, completes o and records it. An answer is nil when
// none came.
func (c *client) do(ctx context.Context, r *replica, o op, req request) (op, *answer) {
	o.Client, o.Replica, o.Route = c.name, r.name, req.method+" "+req.path
	began := time.Now()
	o.Invoked = c.log.now()
	a, err := c.send(ctx, r, req)
	o.Ended = c.log.now()
	o.Excused = r.disturbed(began)
	o.Outcome = unknown
	if err != nil {
		o.Detail = err.Error()
		if ctx.Err() != nil {
			o.Excused = true // the scenario is over
		}
		c.log.op(o)
		return o, nil
	}
	o.Status, o.RetryAfter = a.status, a.header.Get("Retry-After") != ""
	switch {
	case a.status < 400:
		o.Outcome = succeeded
		o.read(a.body)
	default:
		if a.status < 500 {
			o.Outcome = refused
		}
		var problem struct {
			Code   string `json:"code"`
			Detail string `json:"detail"`
		}
		if err := json.Unmarshal(a.body, &problem); err != nil || a.header.Get("Content-Type") != "application/problem+json" {
			problem.Code, problem.Detail = "not-a-problem", string(a.body)
		}
		o.Code, o.Detail = problem.Code, problem.Detail
	}
	c.log.op(o)
	return o, a
}

func (c *client) send(ctx context.Context, r *replica, req request) (*answer, error) {
	var body io.Reader
	if req.body != nil {
		text, err := json.Marshal(req.body)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(text)
	}
	hr, err := http.NewRequestWithContext(ctx, req.method, r.url()+req.path, body)
	if err != nil {
		return nil, err
	}
	if req.body != nil {
		hr.Header.Set("Content-Type", "application/json")
	}
	for name, values := range req.header {
		hr.Header[name] = values
	}
	res, err := c.http.Do(hr)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	return &answer{status: res.StatusCode, header: res.Header, body: text}, nil
}

// read takes the receipts out of an answer of any of the routes that write.
func (o *op) read(body []byte) {
	if o.Kind == "read" {
		return
	}
	var all struct {
		receipt
		Events []receipt `json:"events"`
	}
	if json.Unmarshal(body, &all) != nil {
		return // no receipts; the check will tell
	}
	if o.Receipts = all.Events; all.ID != "" {
		o.Receipts = []receipt{all.receipt}
	}
}
