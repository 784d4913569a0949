package console

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"math"
	"os/exec"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"onepg/internal/eventsourcing"
	"onepg/internal/schema"
)

// JSON on a page is the JSON of the log, laid out: no digit or character is
// another one.
func TestJSONIsShownAsItIsWritten(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{
		`{}`, `[]`, `{"a":1}`, `{"n":9007199254740993,"x":1e400,"s":"<b>\"\\ \u003c","t":true,"z":null,"l":[1,"2",{"k":[]}]}`,
		`{"id":"0193b7a2-4c1e-7d60-8f7e-1b1d1f6f0a01"}`, `"\\"`, `-0.5e-3`, `{"\"":"\""}`, `{"true":false}`,
	} {
		var want bytes.Buffer
		if err := json.Indent(&want, []byte(raw), "", "  "); err != nil {
			t.Fatal(err)
		}
		var got strings.Builder
		for _, token := range tokens(json.RawMessage(raw)) {
			got.WriteString(token.Text)
			if linked := strings.Contains(token.Text, "0193b7a2"); linked != (token.Link != "") {
				t.Errorf("%s leads to %q", token.Text, token.Link)
			}
		}
		if got.String() != want.String() {
			t.Errorf("%s is shown as %s", raw, got.String())
		}
	}
	for _, raw := range []string{"", "{", `{"a"`, `"never ends`, "\xff"} {
		if got := tokens(json.RawMessage(raw)); len(got) != 1 || got[0].Text != raw {
			t.Errorf("%q: %v", raw, got)
		}
	}
}

func TestChangesAreFoundFieldByField(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		before, after string
		want          []change
	}{
		"nothing":  {"", "", nil},
		"creation": {"", `{"a":"<"}`, []change{{"a", "added", "", `"<"`}}},
		"deletion": {`{"a":1}`, "", []change{{"a", "removed", "1", ""}}},
		"changes": {
			`{"a":1,"b":{"c":"x","d":[1,2]},"e":{}}`, `{"a":1,"b":{"c":"y","d":[1]},"e":{},"f":null}`,
			[]change{{"a", "same", "1", "1"}, {"b.c", "changed", `"x"`, `"y"`}, {"b.d.0", "same", "1", "1"}, {"e", "same", "{}", "{}"}, {"f", "added", "", "null"}, {"b.d.1", "removed", "2", ""}},
		},
		"large numbers": {`{"n":9007199254740993}`, `{"n":9007199254740992}`, []change{{"n", "changed", "9007199254740993", "9007199254740992"}}},
		"of a type":     {`{"n":"1"}`, `{"n":1}`, []change{{"n", "changed", `"1"`, "1"}}},
	} {
		if diff := cmp.Diff(c.want, changes(json.RawMessage(c.before), json.RawMessage(c.after)), cmp.AllowUnexported(change{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
}

type sample1 struct {
	Name   string    `json:"name" maxLength:"20"`
	Kind   string    `json:"kind" enum:"a,b"`
	Note   *string   `json:"note,omitempty"`
	Count  int       `json:"count"`
	Sure   *bool     `json:"sure,omitempty"`
	Tags   []string  `json:"tags,omitempty"`
	Owner  uuid.UUID `json:"owner"`
	Amount struct {
		Value string `json:"value"`
	} `json:"amount"`
	Free json.RawMessage `json:"free,omitempty"`
}

// A form makes the JSON that its schema describes, in its order, and leaves out
// what is empty and not required; what cannot be such a value goes on as text,
// for the rules to refuse.
func TestAFormMakesTheJSONOfItsSchema(t *testing.T) {
	t.Parallel()
	rules, err := schema.Compile(reflect.TypeFor[sample1]())
	if err != nil {
		t.Fatal(err)
	}
	fields := fieldsOf(reflect.TypeFor[sample1](), rules.JSONSchema(), "payload")
	var kinds []string
	for _, f := range fields {
		kinds = append(kinds, f.Kind)
	}
	if got := strings.Join(kinds, " "); got != "text choice text number bool lines text group json" {
		t.Errorf("the inputs are %s", got)
	}
	for what, c := range map[string]struct {
		values map[string]string
		want   string
	}{
		"empty": {nil, `{"name":"","kind":"","count":"","owner":"","amount":{"value":""}}`},
		"full": {map[string]string{
			"name": `"<\`, "kind": "b", "note": "n", "count": "9007199254740993", "sure": "true", "tags": "x\r\n\n y ", "owner": "o", "amount.value": "1.00", "free": `{"k":[1]}`,
		}, `{"name":"\"<\\","kind":"b","note":"n","count":9007199254740993,"sure":true,"tags":["x","y"],"owner":"o","amount":{"value":"1.00"},"free":{"k":[1]}}`},
		"wrong": {map[string]string{"count": "many", "sure": "perhaps", "free": "{"}, `{"name":"","kind":"","count":"many","sure":"perhaps","owner":"","amount":{"value":""},"free":"{"}`},
	} {
		setValues(fields, func(name string) string { return c.values[strings.TrimPrefix(name, "payload.")] })
		if got := objectOf(fields); got != c.want {
			t.Errorf("%s: %s, want %s", what, got, c.want)
		}
	}
	if !blame(fields, "payload.amount.value", "is wrong") || fields[7].Fields[0].Error != "is wrong" || !blame(fields, "payload.tags.1", "is too long") || fields[5].Error != "is too long" || blame(fields, "payload.nothing", "?") {
		t.Errorf("%+v", fields)
	}
}

// A word of a shell is the text and nothing else, whatever is in it.
func TestACommandIsQuotedForTheShell(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"plain", "it's", "'; touch /tmp/x; '", "$(id) `id` \"$HOME\" \\", "a\nb", "''", "\\'"} {
		out, err := exec.CommandContext(t.Context(), "sh", "-c", "printf %s "+quote(text)).Output()
		if err != nil || string(out) != text {
			t.Errorf("%q becomes %q: %v", text, out, err)
		}
	}
}

func TestNumbersAndTimesAreForPeople(t *testing.T) {
	t.Parallel()
	for got, want := range map[string]string{
		thousands("1"): "1", thousands("1000"): "1 000", thousands("1234567"): "1 234 567", thousands("-1234"): "-1 234", thousands("123"): "123",
		size(0): "0 B", size(1023): "1023 B", size(1024): "1.0 KiB", size(150 << 20): "150 MiB", size(3 << 40): "3.0 TiB",
		seconds(0): "0.0 s", seconds(9.96): "10.0 s", seconds(90): "90 s", seconds(600): "10 min", seconds(7200 * 4): "8 h", seconds(86400 * 9): "9 d",
	} {
		if got != strings.ReplaceAll(want, " ", "\u202f") {
			t.Errorf("%q, want %q", got, want)
		}
	}
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	if got := ago(now, eventsourcing.At(now)); got != "just now" {
		t.Error(got)
	}
	if percent(1, 3) != 33 || percent(0, 0) != 100 || percent(5, 3) != 100 || percent(999_999, 1_000_000) != 99 {
		t.Error("percent")
	}
}

// Text can be read on what it stands on, in both schemes: the contrast that WCAG
// 2.2 asks for at level AA.
func TestColoursHaveEnoughContrast(t *testing.T) {
	t.Parallel()
	css, err := assetFiles.ReadFile("assets/app.css")
	if err != nil {
		t.Fatal(err)
	}
	schemes := regexp.MustCompile(`(?s):root \{(.*?)\}`).FindAllStringSubmatch(string(css), -1)
	if len(schemes) != 2 {
		t.Fatalf("%d schemes", len(schemes))
	}
	for _, scheme := range schemes {
		colours := map[string]string{}
		for _, c := range regexp.MustCompile(`--([a-z0-9-]+): (#[0-9a-f]{6});`).FindAllStringSubmatch(scheme[1], -1) {
			colours[c[1]] = c[2]
		}
		for _, pair := range []string{
			"ink paper", "ink raised", "dim paper", "dim raised", "dim wash", "accent paper", "accent raised", "accent wash", "accent-ink accent", "ink warn-wash",
			"good good-wash", "good raised", "warn warn-wash", "warn raised", "bad bad-wash", "bad raised", "bad paper", "ink good-wash", "ink bad-wash", "series-3 raised",
		} {
			ink, paper, _ := strings.Cut(pair, " ")
			a, b := luminance(t, colours[ink]), luminance(t, colours[paper])
			if ratio := (max(a, b) + 0.05) / (min(a, b) + 0.05); ratio < 4.5 {
				t.Errorf("%s (%s on %s): %.2f", pair, colours[ink], colours[paper], ratio)
			}
		}
	}
}

func luminance(t *testing.T, colour string) float64 {
	t.Helper()
	rgb, err := hex.DecodeString(strings.TrimPrefix(colour, "#"))
	if err != nil || len(rgb) != 3 {
		t.Fatalf("%q is no colour", colour)
	}
	sum := 0.0
	for i, share := range []float64{0.2126, 0.7152, 0.0722} {
		c := float64(rgb[i]) / 255
		if c <= 0.04045 {
			c /= 12.92
		} else {
			c = math.Pow((c+0.055)/1.055, 2.4)
		}
		sum += share * c
	}
	return sum
}

// The files of others are those that the note beside them names.
func TestVendoredFilesAreThoseOfTheNote(t *testing.T) {
	t.Parallel()
	note, err := assetFiles.ReadFile("assets/vendor/README.md")
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile(`(?m)^\| ([a-z0-9.-]+) \|.* ([0-9a-f]{64}) \|$`).FindAllStringSubmatch(string(note), -1)
	files, err := assetFiles.ReadDir("assets/vendor")
	if err != nil || len(files) != len(named)+1 {
		t.Errorf("%d files, %d of them in the note: %v", len(files), len(named), err)
	}
	for _, n := range named {
		body, err := assetFiles.ReadFile("assets/vendor/" + n[1])
		sum := sha256.Sum256(body)
		if err != nil || hex.EncodeToString(sum[:]) != n[2] {
			t.Errorf("%s is another file: %v", n[1], err)
		}
	}
}

// No page loads anything from elsewhere, and no script of ours makes code of
// text.
func TestAssetsStayWithinThePolicy(t *testing.T) {
	t.Parallel()
	script, err := assetFiles.ReadFile("assets/app.js")
	if err != nil {
		t.Fatal(err)
	}
	if found := regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|https?://`).Find(script); found != nil {
		t.Errorf("app.js has %s", found)
	}
	templates, err := templateFiles.ReadDir("templates")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range templates {
		text, err := templateFiles.ReadFile("templates/" + file.Name())
		if err != nil {
			t.Fatal(err)
		}
		if found := regexp.MustCompile(`https?://|<script>|<style|style=|\son[a-z]+=|hx-on|js:`).Find(text); found != nil {
			t.Errorf("%s has %s", file.Name(), found)
		}
	}
}
