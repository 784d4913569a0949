package eventstore

import (
	"database/sql/driver"
	"strconv"
)

// array builds a PostgreSQL array as its text form, '{…}', one element at a
// time ("Array Input and Output Syntax" in PostgreSQL's documentation). As an
// argument it is NULL when no element has a value, which append_events takes for
// "the default of each event".
//
// Why not pgdialect.Array: it goes through reflection, element by element.
type array struct {
	text   []byte
	filled bool // some element is not NULL
}

// next opens the place of one more element.
func (a *array) next() {
	if a.text == nil {
		a.text = append(a.text, '{')
		return
	}
	a.text = append(a.text, ',')
}

func (a *array) addNull() {
	a.next()
	a.text = append(a.text, "NULL"...)
}

func (a *array) addInt(n int) {
	a.next()
	a.text = strconv.AppendInt(a.text, int64(n), 10)
	a.filled = true
}

// addText quotes every element: what is empty, NULL, or holds a comma or a brace
// would else be something other than itself.
func (a *array) addText(s string) {
	a.next()
	a.text = append(a.text, '"')
	for i := range len(s) {
		if s[i] == '"' || s[i] == '\\' {
			a.text = append(a.text, '\\')
		}
		a.text = append(a.text, s[i])
	}
	a.text = append(a.text, '"')
	a.filled = true
}

// Value gives the text to the driver.
func (a *array) Value() (driver.Value, error) {
	if !a.filled {
		return nil, nil //nolint:nilnil // SQL's NULL
	}
	return string(a.text) + "}", nil
}
