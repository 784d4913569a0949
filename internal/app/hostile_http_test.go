package app_test

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

// chunked is a body in chunks of a size.
func chunked(body string, size int) string {
	var b strings.Builder
	for len(body) > 0 {
		n := min(size, len(body))
		fmt.Fprintf(&b, "%x\r\n%s\r\n", n, body[:n])
		body = body[n:]
	}
	return b.String() + "0\r\n\r\n"
}

// inChunks takes the length away and says that the body comes in chunks.
func inChunks() []string { return []string{"Content-Length: ", "Transfer-Encoding: chunked"} }

func TestWhatHTTPCanCarryIsRefused(t *testing.T) {
	t.Parallel()
	a := start(t)
	good, id := someone(), uuid.NewString()
	large := good + strings.Repeat(" ", 1<<20-len(good)+1) // one byte too many
	command := "/v1/payments/" + id + "/process"
	cases := refused(415, "unsupported-media-type", map[string]string{
		"no content type":              appending(good, "Content-Type: "),
		"an empty content type":        appending(good, "Content-Type:"),
		"plain text":                   appending(good, "Content-Type: text/plain"),
		"a form":                       appending(good, "Content-Type: application/x-www-form-urlencoded"),
		"a list of types":              appending(good, "Content-Type: application/json, text/plain"),
		"two content types":            appending(good, "Content-Type: application/json\r\nContent-Type: application/json"),
		"a type that begins alike":     appending(good, "Content-Type: application/jsonp"),
		"JSON of another kind":         appending(good, "Content-Type: application/vnd.api+json"),
		"another charset":              appending(good, "Content-Type: application/json; charset=utf-16"),
		"a broken content type":        appending(good, "Content-Type: application/json; charset"),
		"gzip":                         appending(good, "Content-Encoding: gzip"),
		"gzip of identity":             appending(good, "Content-Encoding: gzip, identity"),
		"an unknown encoding":          appending(good, "Content-Encoding: x"),
		"two encodings":                appending(good, "Content-Encoding: identity\r\nContent-Encoding: gzip"),
		"a command in plain text":      request("POST", command, "{}", "Content-Type: text/plain", "Idempotency-Key: k"),
		"a command with gzip":          request("POST", command, "{}", "Content-Encoding: gzip", "Idempotency-Key: k"),
		"a revert without a type":      request("POST", "/v1/users/"+id+"/revert", "{}", "Content-Type: "),
		"a review with a body of text": request("POST", "/v1/payments/"+id+"/approve", "x", "Content-Type: text/plain", "Idempotency-Key: k"),
	})
	cases = append(cases, refused(404, "not-found", map[string]string{
		"an unknown path": request("GET", "/v1/nothing", ""), "a path below": request("GET", "/v1/users/"+id+"/x", ""), "a slash more": request("GET", "/v1/users/", ""),
		"two slashes": request("GET", "//v1/users", ""), "another case": request("GET", "/V1/users", ""), "dots": request("GET", "/v1/../v1/users", ""),
		"escaped dots": request("GET", "/v1/%2e%2e/users", ""), "a file": request("GET", "/../../etc/passwd", ""), "a NUL": request("GET", "/v1/users%00", ""),
		"no UTF-8": request("GET", "/%ff%fe", ""), "posted to nowhere": request("POST", "/v1/orders/events", good), "no method and no path": request("BREW", "/pot", ""),
		"an unknown user": request("GET", "/v1/users/"+id, ""), "an unknown event": request("GET", "/v1/events/"+id, ""), "an unknown payment": request("GET", "/v1/payments/"+id, ""),
		"the history of nobody": request("GET", "/v1/users/"+id+"/history", ""), "an unknown view": request("POST", "/v1/views/nothing/rebuild", "", "Content-Type: "),
		"parked in an unknown view": request("GET", "/v1/views/nothing/parked", ""), "HEAD of nothing": request("HEAD", "/v1/nothing", ""),
	})...)
	cases = append(cases, refused(405, "method-not-allowed", map[string]string{
		"DELETE of a user": request("DELETE", "/v1/users/"+id, ""), "PUT of a user": request("PUT", "/v1/users/"+id, ""), "PATCH of a user": request("PATCH", "/v1/users/"+id, ""),
		"POST of users": request("POST", "/v1/users", good), "GET of appends": request("GET", "/v1/payments/"+id+"/process", ""), "DELETE of an event": request("DELETE", "/v1/events/"+id, ""),
		"an unknown method": request("BREW", "/v1/users", ""), "a small method": request("get", "/v1/users", ""), "TRACE": request("TRACE", "/v1/users", ""),
		"OPTIONS": request("OPTIONS", "/v1/users", ""), "POST of the probe": request("POST", "/livez", ""), "payments take no events": request("POST", "/v1/payments/events", good),
	})...)
	cases = append(cases, refused(400, "malformed-body", map[string]string{
		"no body": appending(""), "no body and no length": appending("", "Content-Length: "), "an empty body in chunks": appending("0\r\n\r\n", inChunks()...),
		"a command without a body": request("POST", command, "", "Idempotency-Key: k"),
	})...)
	cases = append(cases, closing(refused(400, "malformed-body", map[string]string{
		"a chunk without a length":      appending("zz\r\n{}\r\n0\r\n\r\n", inChunks()...),
		"a chunk longer than it says":   appending("1\r\n{}\r\n0\r\n\r\n", inChunks()...),
		"a chunk of a negative length":  appending("-1\r\n{}\r\n0\r\n\r\n", inChunks()...),
		"a chunk of an enormous length": appending("fffffffffffffffff\r\n{}", inChunks()...),
	}))...)
	cases = append(cases, closing(refused(413, "too-large", map[string]string{
		"one byte more than 1 MiB":           appending(large),
		"one byte more than 1 MiB in chunks": appending(chunked(large, 64<<10), inChunks()...),
		"an announcement of 1 GiB":           appending("", "Content-Length: 1073741824"),
		"the largest announcement":           appending("", "Content-Length: 9223372036854775807"),
		"chunks without end":                 appending(strings.Repeat("10000\r\n"+strings.Repeat(" ", 0x10000)+"\r\n", 64), inChunks()...),
		"1 MiB in chunks of a byte":          appending(chunked(strings.Repeat(" ", 1<<20+1), 1), inChunks()...),
		"1,001 events":                       appending("[" + strings.Repeat("{},", 1000) + "{}]"),
		"a payload over 256 KiB":             appending(created(`{"name":"` + strings.Repeat("a", 256<<10) + `"}`)),
		"metadata over 256 KiB":              appending(withMetadata(good, `{"a":"`+strings.Repeat("a", 256<<10)+`"}`)),
		"metadata that unfolds":              appending(withMetadata(good, `[`+strings.Repeat("1e308,", 850)+`0]`)),
		"a command over 1 MiB":               request("POST", command, large, "Idempotency-Key: k"),
		"a body nobody reads":                request("GET", "/v1/users", large, "Content-Length: "+strconv.Itoa(len(large))),
	}))...)
	cases = append(cases, refused(431, "headers-too-large", map[string]string{
		"a long header":    request("GET", "/livez", "", "X-Bomb: "+strings.Repeat("a", 17<<10)),
		"a thousand of it": request("GET", "/livez", "", "X-Bomb: a"+strings.Repeat("\r\nX-Bomb: a", 2000)),
		"a long path":      request("GET", "/"+strings.Repeat("a", 17<<10), ""),
		"a long query":     request("GET", "/v1/users?name="+strings.Repeat("a", 17<<10), ""),
		"a long cookie":    request("GET", "/v1/users", "", "Cookie: "+strings.Repeat("a", 17<<10)),
	})...)
	cases = append(cases, closing(refused(431, "headers-too-large", map[string]string{
		"headers of 1 MiB":   request("GET", "/livez", "", "X-Bomb: "+strings.Repeat("a", 1<<20)),
		"a path of 1 MiB":    request("GET", "/"+strings.Repeat("a", 1<<20), ""),
		"a hundred thousand": request("GET", "/livez", "", "X: a"+strings.Repeat("\r\nX: a", 100_000)),
	}))...)
	cases = append(cases, closing(refused(400, "bad-request", map[string]string{
		"two lengths":               appending(good, "Content-Length: "+strconv.Itoa(len(good))+"\r\nContent-Length: 2"),
		"a list of lengths":         appending(good, "Content-Length: 2, 3"),
		"a negative length":         appending(good, "Content-Length: -1"),
		"a length with a sign":      appending(good, "Content-Length: +2"),
		"a length in words":         appending(good, "Content-Length: two"),
		"no host":                   "GET /livez HTTP/1.1\r\n\r\n",
		"two hosts":                 "GET /livez HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n",
		"a broken host":             "GET /livez HTTP/1.1\r\nHost: a b\r\n\r\n",
		"a header without a colon":  request("GET", "/livez", "", "nonsense"),
		"a space before the colon":  request("GET", "/livez", "", "X : y"),
		"a NUL in a header":         request("GET", "/livez", "", "X: a\x00b"),
		"a broken escape in a path": request("GET", "/v1/users/%zz", ""),
		"a space in the path":       request("GET", "/v1/users/a b", ""),
		"no version":                "GET /livez\r\nHost: localhost\r\n\r\n",
		"nonsense":                  "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
		"a path without a slash":    request("GET", "livez", ""),
	}))...)
	cases = append(cases, closing([]bad{
		{"an unknown transfer coding", appending(good, "Content-Length: ", "Transfer-Encoding: gzip"), 400, "bad-request", anyPointer, true},
		{"two transfer codings", appending(good, "Content-Length: ", "Transfer-Encoding: gzip, chunked"), 400, "bad-request", anyPointer, true},
		{"HTTP/3.0", "GET /livez HTTP/3.0\r\nHost: localhost\r\n\r\n", 400, "bad-request", anyPointer, true},
		{"an unknown expectation", appending(good, "Expect: a-miracle"), 417, "expectation-failed", anyPointer, true},
	})...)
	cases = append(cases, refused(403, "forbidden", map[string]string{
		"a name that was bent to loopback": "GET /v1/users HTTP/1.1\r\nHost: evil.example.com\r\n\r\n",
		"a post under that name":           strings.Replace(appending(good), "Host: localhost", "Host: evil.example.com", 1),
	})...)
	a.refuses(t, cases)
	a.works(t)
}

func closing(cases []bad) []bad {
	for i := range cases {
		cases[i].closes = true
	}
	return cases
}

// Slow clients hold their own connection for a while and nothing else.
func TestSlowClientsAreCutOff(t *testing.T) {
	t.Parallel()
	const patience, late = "300ms", 20 * time.Second
	a := start(t, "--header-timeout="+patience, "--body-timeout="+patience, "--idle-timeout="+patience)
	good := someone()
	for what, text := range map[string]string{
		"a slow body":            appending(good)[:len(appending(good))-1],
		"a body that never came": strings.TrimSuffix(appending(good), good),
		"a slow chunk":           appending("5\r\n{", inChunks()...),
		"a missing last chunk":   appending(strings.TrimSuffix(chunked(good, 10), "0\r\n\r\n"), inChunks()...),
		"a slow command":         request("POST", "/v1/payments/"+uuid.NewString()+"/process", "{", "Content-Length: 2", "Idempotency-Key: k"),
	} {
		got, closed, err := a.dial(t).say(text, late)
		if err != nil || !closed {
			t.Errorf("%s: closed %t, %v", what, closed, err)
			continue
		}
		bad{what: what, send: text, status: 408, code: "request-timeout", pointers: anyPointer}.judge(t, got)
	}
	for what, text := range map[string]string{
		"nothing at all": "", "half a method": "PO", "slow headers": "GET /livez HTTP/1.1\r\nHost: localhost\r\nX-Slow: ",
	} {
		w := a.dial(t)
		if got, _, err := w.say(text, late); err == nil && got.status != http.StatusBadRequest {
			t.Errorf("%s: was answered: %d %s", what, got.status, got.body)
		}
		if _, err := w.in.ReadByte(); err != io.EOF {
			t.Errorf("%s: the connection is not closed: %v", what, err)
		}
	}
	idle := a.dial(t)
	if got, _, err := idle.say(request("GET", "/livez", ""), late); err != nil || got.status != http.StatusOK {
		t.Errorf("%d %v", got.status, err)
	}
	if _, err := idle.in.ReadByte(); err != io.EOF {
		t.Errorf("an idle connection is not closed: %v", err)
	}
	if head := a.head(t)(); head != 0 {
		t.Errorf("the log ends at %d", head)
	}
	a.works(t)
}

// What one request smuggles behind its body must not be taken for another.
func TestARequestEndsWhereItsFramingSays(t *testing.T) {
	t.Parallel()
	a := start(t)
	smuggled := appending(someone())
	for what, text := range map[string]string{
		"chunks beside a length": appending("0\r\n\r\n", "Content-Length: 400", "Transfer-Encoding: chunked"),
		"a body of GET":          request("GET", "/v1/users", smuggled, "Content-Length: "+strconv.Itoa(len(smuggled))),
		"a body nobody reads":    request("DELETE", "/v1/users", smuggled, "Content-Length: "+strconv.Itoa(len(smuggled))),
		"a refused type":         appending(smuggled, "Content-Type: text/plain"),
	} {
		w := a.dial(t)
		if _, _, err := w.say(text, quickly); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if got, _, err := w.say(request("GET", "/livez", ""), quickly); err == nil && !strings.Contains(got.body, "alive") {
			t.Errorf("%s: the next answer is %d %s", what, got.status, got.body)
		}
	}
	if head := a.head(t)(); head != 0 {
		t.Errorf("the log ends at %d", head)
	}
}

// Pipelined requests are answered in their order, good and bad.
func TestPipelinedRequestsKeepTheirOrder(t *testing.T) {
	t.Parallel()
	a := start(t)
	w := a.dial(t)
	texts := []string{appending(someone()), appending("{"), appending(someone()), request("GET", "/nothing", ""), appending(someone())}
	if err := w.conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w.conn, strings.Join(texts, "")); err != nil {
		t.Fatal(err)
	}
	for i, want := range []int{201, 400, 201, 404, 201} {
		if got, _, err := w.hear(texts[i]); err != nil || got.status != want {
			t.Errorf("answer %d: %d %v, want %d", i, got.status, err, want)
		}
	}
}
