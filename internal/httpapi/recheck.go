package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"onepg/internal/fault"
)

// watchAccess ends a stream when its credential no longer opens it: a stream may
// last for days, and what was revoked must not be read on.
func (a *API) watchAccess(rt *route, c *gin.Context) {
	r := c.Request
	ctx, end := context.WithCancel(r.Context())
	c.Request = r.WithContext(ctx)
	go func() {
		defer end()
		ticker := time.NewTicker(a.opts.Limits.StreamRecheck)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			if !a.stillOpen(r, rt.scope) {
				return
			}
		}
	}()
}

// stillOpen reports whether a scope is still granted. Why other failures do not
// count: a database that is away is no reason to send everybody off.
func (a *API) stillOpen(r *http.Request, scope Scope) bool {
	_, err := a.opts.Authorize(r, scope)
	f, ok := fault.Of(err)
	return err == nil || !ok || f.Kind != fault.Unauthenticated && f.Kind != fault.Forbidden
}
