package httpapi

import (
	"bytes"
	"errors"
	"mime"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"

	"onepg/internal/fault"
)

// limitHeaders counts the request line and the headers as they were sent,
// roughly. net/http's own limit lies higher and answers in plain text, so that
// all but the wildest get a problem.
func (a *API) limitHeaders(r *http.Request) error {
	size := len(r.Method) + len(r.RequestURI) + len(r.Proto)
	for name, values := range r.Header {
		for _, v := range values {
			size += len(name) + len(v) + len(": \r\n")
		}
	}
	if size <= a.opts.Limits.HeaderBytes {
		return nil
	}
	return newProblem(http.StatusRequestHeaderFieldsTooLarge, codeHeadersTooLarge,
		"The request line and headers are over "+strconv.Itoa(a.opts.Limits.HeaderBytes)+" bytes.")
}

// limitBody bounds a body in size and time, also for routes that read none: the
// server itself reads what is left of it.
func (a *API) limitBody(c *gin.Context) error {
	if c.Request.Body == nil || c.Request.Body == http.NoBody {
		return nil
	}
	limits := a.opts.Limits
	if c.Request.ContentLength > limits.BodyBytes {
		return tooLarge(limits.BodyBytes)
	}
	// net/http lifts the deadline when it has read the body, so it does not end
	// the work that follows.
	deadline := realNow().Add(limits.BodyTimeout)
	_ = http.NewResponseController(c.Writer).SetReadDeadline(deadline) // only a recorder in a test has none
	c.Request.Body = http.MaxBytesReader(c.Writer, c.Request.Body, limits.BodyBytes)
	return nil
}

func tooLarge(limit int64) *fault.Error {
	return fault.New(fault.TooLarge, codeTooLarge, "The body is over "+strconv.FormatInt(limit, 10)+" bytes.")
}

// ReadJSON reads the body of a raw route to its end, as bytes nobody else
// holds. Everything that can be wrong with it short of its content is a problem
// already: type, encoding, size, time, an early end.
func ReadJSON(c *gin.Context) ([]byte, error) {
	if !isJSON(c.Request.Header) {
		return nil, fault.New(fault.Unsupported, codeUnsupported,
			"Send the body as application/json in UTF-8, without a Content-Encoding.")
	}
	const plausible = 16 << 10 // more only as it arrives: a length is a claim
	body := bytes.NewBuffer(make([]byte, 0, min(max(c.Request.ContentLength, 0), plausible)+bytes.MinRead))
	_, err := body.ReadFrom(c.Request.Body)
	if err != nil {
		return nil, bodyFault(err)
	}
	if body.Len() == 0 {
		return nil, fault.New(fault.Malformed, codeMalformedBody, "The body is empty.")
	}
	return body.Bytes(), nil
}

func bodyFault(err error) error {
	var over *http.MaxBytesError
	switch {
	case errors.As(err, &over):
		return tooLarge(over.Limit)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return newProblem(http.StatusRequestTimeout, codeRequestTimeout, "The body did not arrive in time.")
	}
	return fault.Wrap(err, fault.Malformed, codeMalformedBody, "The body ended early or its framing is broken.")
}

func isJSON(header http.Header) bool {
	for _, encoding := range header["Content-Encoding"] {
		if encoding != "" && encoding != "identity" {
			return false
		}
	}
	types := header["Content-Type"]
	if len(types) != 1 {
		return false
	}
	if types[0] == "application/json" {
		return true // what nearly everybody sends, without the cost of parsing
	}
	mediaType, params, err := mime.ParseMediaType(types[0])
	charset, named := params["charset"]
	return err == nil && mediaType == "application/json" && (!named || isUTF8(charset))
}

func isUTF8(charset string) bool {
	return charset == "utf-8" || charset == "UTF-8"
}

// realNow is the clock network deadlines are measured by; they are compared
// with the operating system's, so a test's clock would be wrong here.
func realNow() time.Time {
	return time.Now() //nolint:forbidigo // see above
}
