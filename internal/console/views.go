package console

import (
	"net/http"
	"net/url"
	"strconv"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"onepg/internal/aggregator"
	"onepg/internal/fault"
	"onepg/internal/httpapi"
)

// parkedPerPage is how many parked aggregates a page lists.
const parkedPerPage = 50

// viewBody is what the screen of one view shows.
type viewBody struct {
	aggregator.Status

	List   []aggregator.Parked
	Onward string // more of the list
}

func (c *console) views(g *gin.Context) error {
	all, err := c.Views.Status(g.Request.Context())
	if err != nil {
		return err
	}
	return c.show(g, http.StatusOK, "views", page{Title: "Views", Section: "views", Body: all})
}

func (c *console) view(g *gin.Context) error {
	ctx, name := g.Request.Context(), g.Param("name")
	body, err := c.viewNamed(g)
	if err != nil {
		return err
	}
	after, err := strconv.ParseInt(g.DefaultQuery("after", "0"), 10, 64)
	if err != nil || after < 0 {
		return httpapi.BadParameter("after", "expected a position")
	}
	if body.List, err = c.Views.Parked(ctx, name, after, parkedPerPage+1); err != nil {
		return err
	}
	if len(body.List) > parkedPerPage {
		body.List = body.List[:parkedPerPage]
		body.Onward = viewURL(name) + "?after=" + strconv.FormatInt(body.List[parkedPerPage-1].Event.Position, 10)
	}
	return c.show(g, http.StatusOK, "view", page{Title: "View " + name, Section: "views", Body: body})
}

// viewNamed is how the view in the path stands.
func (c *console) viewNamed(g *gin.Context) (viewBody, error) {
	all, err := c.Views.Status(g.Request.Context())
	for _, s := range all {
		if s.Name == g.Param("name") {
			return viewBody{Status: s}, nil
		}
	}
	if err == nil {
		err = fault.New(fault.NotFound, "not-found", "There is no view "+strconv.Quote(g.Param("name"))+".")
	}
	return viewBody{}, err
}

func (c *console) rebuild(g *gin.Context) error {
	if err := c.Views.Rebuild(g.Request.Context(), g.Param("name")); err != nil {
		return err
	}
	return goTo(g, viewURL(g.Param("name"))+"?done=rebuild")
}

func (c *console) retry(g *gin.Context) error {
	id, err := pathID(g, "aggregate_id")
	if err != nil {
		return err
	}
	if _, err := c.Views.Retry(g.Request.Context(), g.Param("name"), id); err != nil {
		return err
	}
	return goTo(g, viewURL(g.Param("name"))+"?done=retry")
}

func (c *console) retryAll(g *gin.Context) error {
	if _, err := c.Views.Retry(g.Request.Context(), g.Param("name"), uuid.Nil); err != nil {
		return err
	}
	return goTo(g, viewURL(g.Param("name"))+"?done=retry")
}

func viewURL(name string) string { return prefix + "/views/" + url.PathEscape(name) }
