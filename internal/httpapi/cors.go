package httpapi

import (
	"net/http"
	"slices"

	"github.com/gin-gonic/gin"
)

const (
	// corsHeaders are the request headers the API has a use for, beyond those
	// that a page may always send.
	corsHeaders = "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, Last-Event-ID, Prefer, Traceparent, X-Causation-ID, X-Correlation-ID, X-Request-ID"
	// corsExposed are the answer headers that a page may read.
	corsExposed = "ETag, Link, Location, Preference-Applied, Retry-After, X-Request-ID"
	// corsMaxAge is how long a browser need not ask again, in seconds. Why short:
	// an origin that is taken out of the list shall notice.
	corsMaxAge = "600"
)

// setCORS lets pages of the configured origins read an answer (the CORS
// protocol of the Fetch standard). Credentials mode is not allowed: callers
// prove who they are by Authorization, which the page sets itself, and never by
// a cookie that a browser would add.
func (a *API) setCORS(header http.Header, r *http.Request) {
	if len(a.opts.Origins) == 0 {
		return
	}
	// Why always: without it a cache would give one origin's answer to another.
	header.Add("Vary", "Origin")
	origin := r.Header.Get("Origin")
	if !slices.Contains(a.opts.Origins, origin) {
		return
	}
	header.Set("Access-Control-Allow-Origin", origin)
	header.Set("Access-Control-Expose-Headers", corsExposed)
}

// preflight answers a browser that asks whether a page may send a request. It
// reports false for any other request, and for pages of other origins. gin has
// put the path's methods into Allow by then.
func (a *API) preflight(c *gin.Context) bool {
	header := c.Writer.Header()
	asked := c.Request.Method == http.MethodOptions && c.Request.Header.Get("Access-Control-Request-Method") != ""
	if !asked || header.Get("Access-Control-Allow-Origin") == "" {
		return false
	}
	header.Set("Access-Control-Allow-Methods", header.Get("Allow"))
	header.Set("Access-Control-Allow-Headers", corsHeaders)
	header.Set("Access-Control-Max-Age", corsMaxAge)
	c.Status(http.StatusNoContent)
	c.Writer.WriteHeaderNow()
	return true
}
