package aggregator

import (
	"database/sql/driver"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun/dialect/pgdialect"
	"github.com/uptrace/bun/schema"

	"onepg/internal/eventsourcing"
)

// columns are rows turned by a quarter: one array per column.
type columns struct {
	names  string // of the columns, with commas
	unnest string // the call that makes rows of the arrays again
	args   []any  // its arguments
}

// columns turns the rows.
//
// Why unnest and not VALUES: the statement's text has one shape whatever the
// number of rows, and a thousand rows take half the time to parse.
func (t table[Row]) columns(rows []*Row) (columns, error) {
	var c columns
	names, casts := make([]string, 0, len(t.fields)), make([]string, 0, len(t.fields))
	for _, f := range t.fields {
		values, err := column(f, rows)
		if err != nil {
			return c, fmt.Errorf("column %s of %s: %w", f.Name, t.name, err)
		}
		names = append(names, string(f.SQLName))
		casts = append(casts, "?::"+f.CreateTableSQLType+"[]")
		c.args = append(c.args, pgdialect.Array(values))
	}
	c.names, c.unnest = strings.Join(names, ", "), "unnest("+strings.Join(casts, ", ")+")"
	return c, nil
}

// column is the values that the rows have for a field, as a slice that pgdialect
// writes as an array.
//
// Why some become text first: of a pointer to a driver.Valuer pgdialect calls the
// method also when it is nil, and JSON it would write as bytes.
func column[Row any](f *schema.Field, rows []*Row) (any, error) {
	t := f.StructField.Type
	spell := spelling(t, strings.ToLower(f.CreateTableSQLType))
	if spell == nil {
		values := reflect.MakeSlice(reflect.SliceOf(t), len(rows), len(rows))
		for i, row := range rows {
			values.Index(i).Set(f.Value(reflect.ValueOf(row).Elem()))
		}
		return values.Interface(), nil
	}
	texts := make([]*string, len(rows))
	for i, row := range rows {
		v := f.Value(reflect.ValueOf(row).Elem())
		if isNil(v) {
			continue
		}
		text, err := spell(v.Interface())
		if err != nil {
			return nil, err
		}
		texts[i] = &text
	}
	return texts, nil
}

// spelling is how a type's values become text; nil when they need not.
func spelling(t reflect.Type, sqlType string) func(any) (string, error) {
	valuer := t.Implements(reflect.TypeFor[driver.Valuer]())
	switch kind := t.Kind(); {
	case sqlType == "json" || sqlType == "jsonb":
		return spellJSON
	case valuer && kind == reflect.Pointer:
		return spellValue
	case valuer || t == reflect.TypeFor[time.Time]():
		return nil
	case kind == reflect.Slice && t.Elem().Kind() != reflect.Uint8, kind == reflect.Map, kind == reflect.Struct, kind == reflect.Interface:
		return func(any) (string, error) { return "", fmt.Errorf("a %s needs type:jsonb in its bun tag", t) }
	default:
		return nil
	}
}

func isNil(v reflect.Value) bool {
	switch v.Kind() { //nolint:exhaustive // no other kind can be nil
	case reflect.Pointer, reflect.Slice, reflect.Map, reflect.Interface:
		return v.IsNil()
	default:
		return false
	}
}

func spellJSON(v any) (string, error) {
	text, err := json.Marshal(v)
	return string(text), err
}

func spellValue(v any) (string, error) {
	valuer, ok := v.(driver.Valuer)
	if !ok {
		return "", errors.New("not a driver.Valuer")
	}
	value, err := valuer.Value()
	switch value := value.(type) {
	case time.Time: // cut to what is kept, as pgdialect does; PostgreSQL would round
		return value.Truncate(time.Microsecond).Format(time.RFC3339Nano), err
	case []byte:
		return `\x` + hex.EncodeToString(value), err //nolint:wrapcheck // as above
	default:
		return fmt.Sprint(value), err
	}
}

// isExact tells whether rows are the same as JSON before they were written and after
// they are read. Not so with a time.Time, whose zone and nanoseconds PostgreSQL does not
// keep, nor with jsonb, nor with a field that is no column.
func (t table[Row]) isExact() bool {
	exported := 0
	for _, f := range reflect.VisibleFields(reflect.TypeFor[Row]()) {
		if f.IsExported() && !f.Anonymous {
			exported++
		}
	}
	return exported == len(t.fields) && !slices.ContainsFunc(t.fields, func(f *schema.Field) bool {
		return !isExact(f.IndirectType, strings.ToLower(f.CreateTableSQLType))
	})
}

func isExact(t reflect.Type, sqlType string) bool {
	switch {
	case t == reflect.TypeFor[uuid.UUID]():
		return sqlType == "uuid"
	case t == reflect.TypeFor[eventsourcing.Time]():
		return sqlType == "timestamptz"
	case t.Implements(reflect.TypeFor[driver.Valuer]()):
		return false
	}
	switch t.Kind() { //nolint:exhaustive // of any other it is not known
	case reflect.String:
		return sqlType == "text"
	case reflect.Bool:
		return sqlType == "boolean"
	case reflect.Int, reflect.Int16, reflect.Int32, reflect.Int64:
		return sqlType == "smallint" || sqlType == "integer" || sqlType == "bigint"
	default:
		return false
	}
}
