package httpapi

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"onepg/internal/fault"
)

// problemOfHuma translates what huma found wrong. Mistakes in parameters win
// over those in the body, because they are about where the body was sent.
func problemOfHuma(status int, msg string, errs []error) *Problem {
	var params []string
	var fields []fault.Field
	for _, err := range errs {
		if f, ok := fault.Of(err); ok {
			return problemOfFault(f)
		}
		var d huma.ErrorDetailer
		if !errors.As(err, &d) {
			continue
		}
		detail := d.ErrorDetail()
		where, name, _ := strings.Cut(detail.Location, ".")
		if where == "body" || strings.HasPrefix(where, "body[") {
			fields = append(fields, fieldOf(detail))
		} else {
			params = append(params, name+": "+plain(detail.Message))
		}
	}
	switch {
	case len(params) > 0:
		return problemOfFault(fault.New(fault.Malformed, codeBadParameter, strings.Join(params, "; ")))
	case status == http.StatusUnprocessableEntity:
		slices.SortFunc(fields, func(x, y fault.Field) int { return strings.Compare(x.Pointer, y.Pointer) })
		// Why: a field that checks itself beside huma says the same once more.
		return problemOfFault(fault.Validation(slices.Compact(fields)))
	case status == http.StatusBadRequest:
		return problemOfFault(fault.New(fault.Malformed, codeMalformedBody, "The body is not valid JSON."))
	case status >= http.StatusInternalServerError:
		return problemOf(errors.New(msg))
	}
	return newProblem(status, codeMalformedBody, msg)
}

// fieldOf points at a missing field itself, where huma points at the object it
// is missing from.
func fieldOf(d *huma.ErrorDetail) fault.Field {
	field := fault.Field{Pointer: pointer(d.Location), Detail: plain(d.Message)}
	if rest, ok := strings.CutPrefix(d.Message, "expected required property "); ok {
		if name, ok := strings.CutSuffix(rest, " to be present"); ok {
			return fault.Field{Pointer: field.Pointer + "/" + escape(name), Detail: "is required"}
		}
	}
	return field
}

// plain says what huma says in the terms of Go (its layout of a time, the error
// of its UUID package, its way to print a float) in words for a client.
func plain(message string) string {
	switch {
	case strings.HasPrefix(message, "invalid date/time for format "):
		return errMoment().Error()
	case strings.HasPrefix(message, "expected string to be RFC 4122 uuid"):
		return errID().Error()
	}
	if head, limit, ok := strings.Cut(message, "= "); ok {
		if number, err := strconv.ParseFloat(limit, 64); err == nil {
			return head + "= " + strconv.FormatFloat(number, 'f', -1, 64)
		}
	}
	return strings.TrimPrefix(message, "invalid value: ")
}

// pointer turns body.items[3].tag into /items/3/tag (RFC 6901). A field whose
// name has dots or brackets of its own is split too; only unknown fields can.
func pointer(location string) string {
	var b strings.Builder
	path := strings.NewReplacer("[", ".", "]", "").Replace(strings.TrimPrefix(location, "body"))
	for step := range strings.SplitSeq(strings.TrimPrefix(path, "."), ".") {
		if step != "" {
			b.WriteString("/" + escape(step))
		}
	}
	return b.String()
}

func escape(step string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(step)
}
