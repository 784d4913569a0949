package strictjson_test

import (
	"encoding/json"
	"math/big"
	"reflect"
	"strings"
	"testing"

	"onepg/internal/postgres"
	"onepg/internal/postgres/pgtest"
	"onepg/internal/strictjson"
)

// FuzzAcceptedIsStored holds the decoder to PostgreSQL: what is accepted is
// stored as json to the byte, and as jsonb it means the same.
func FuzzAcceptedIsStored(f *testing.F) {
	db, err := postgres.Open(f.Context(), postgres.Options{URL: pgtest.New(f), MaxConns: 2})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = db.Close() })
	for _, seed := range []string{
		event, `[{"a":[1,-2.5e3,true,null]},"\ud83d\ude00\n"]`, `"C:\\u0000dir"`, `"? $1 ?0 \\ ' -- \" :x"`, "[1e308,1e-300,0e9,-0,0.10]",
		`{"":{"":1}}`, "\"\u2028\ufffd\"", strings.Repeat("[", 32) + strings.Repeat("]", 32), `[9007199254740993,123456789012345678901234567890.5]`, " { \"a\" : 1 }\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var report strictjson.Report
		root, err := strictjson.Parse(body, limits, &report)
		if err != nil || !report.Empty() {
			return
		}
		var exact, equal string
		sent := root.Raw()
		if err := db.NewRaw("SELECT ?0::json::text, ?0::jsonb::text", sent).Scan(t.Context(), &exact, &equal); err != nil {
			t.Fatalf("PostgreSQL refuses what was accepted: %v", err)
		}
		if exact != sent {
			t.Fatalf("as json it became %q", exact)
		}
		if want, got := meaning(t, sent), meaning(t, equal); !reflect.DeepEqual(want, got) {
			t.Fatalf("as jsonb it became %s", equal)
		}
	})
}

// meaning decodes JSON with the exact value of each number.
func meaning(t *testing.T, text string) any {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	var v any
	if err := decoder.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return valued(t, v)
}

func valued(t *testing.T, v any) any {
	t.Helper()
	switch v := v.(type) {
	case json.Number:
		value, ok := new(big.Rat).SetString(v.String())
		if !ok {
			t.Fatalf("%s is no number", v)
		}
		return value.RatString()
	case []any:
		for i := range v {
			v[i] = valued(t, v[i])
		}
	case map[string]any:
		for name := range v {
			v[name] = valued(t, v[name])
		}
	}
	return v
}
