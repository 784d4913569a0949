package bench

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
)

// Point is a row's place in the plot.
type Point struct {
	Series string `json:"series"`
	// X is the number of connections, or of stored events.
	X float64 `json:"x"`
}

// The series that are drawn.
const (
	seriesAppend  = "append"
	seriesArticle = "article"
	seriesStored  = "stored"
)

func at(series string, x int) *Point { return &Point{Series: series, X: float64(x)} }

// WritePlot draws the report as SVG: throughput over connections, and latency
// over the size of the log. What was not measured is not drawn; with nothing to
// draw it writes nothing and fails.
func (r *Report) WritePlot(w io.Writer) error {
	charts := slices.DeleteFunc([]chart{
		{
			title: "Appends per second", axis: "connections",
			lines: []line{
				r.line("append over HTTP", seriesAppend, rates),
				r.line("one INSERT per request", seriesArticle, rates),
			},
		},
		{
			title: "Latency of an append in ms, 64 connections", axis: "events stored",
			lines: []line{
				r.line("p50", seriesStored, func(row Row) spread { return exactly(row.Latency.P50) }),
				r.line("p99", seriesStored, func(row Row) spread { return exactly(row.Latency.P99) }),
			},
		},
	}, func(c chart) bool { return len(c.places()) == 0 })
	if len(charts) == 0 {
		return fmt.Errorf("there is nothing to draw: measure %s or %s", "append", "growth")
	}
	var out strings.Builder
	fmt.Fprintf(&out, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n",
		chartWidth*len(charts), chartHeight)
	out.WriteString(`<rect width="100%" height="100%" fill="white"/>` + "\n")
	for i, c := range charts {
		fmt.Fprintf(&out, `<g transform="translate(%d 0)">`+"\n", i*chartWidth)
		c.draw(&out)
		out.WriteString("</g>\n")
	}
	out.WriteString("</svg>\n")
	_, err := io.WriteString(w, out.String())
	return wrap(err, "write the plot")
}

func rates(row Row) spread { return row.Figure }

func exactly(v float64) spread { return spread{Median: v, Min: v, Max: v} }

// line is a series: its median, and a bar from least to most at each place.
type line struct {
	name   string
	points []linePoint
}

type linePoint struct {
	x float64
	y spread
}

// line takes the rows of a series, in the order of x.
func (r *Report) line(name, series string, figure func(Row) spread) line {
	l := line{name: name}
	for _, row := range r.Rows {
		if row.Point != nil && row.Point.Series == series && row.Latency != nil {
			l.points = append(l.points, linePoint{row.Point.X, figure(row)})
		}
	}
	slices.SortFunc(l.points, func(a, b linePoint) int { return cmp.Compare(a.x, b.x) })
	return l
}

// chart is one picture. Its places on the horizontal axis stand in equal
// distances, because what is measured there grows by factors and begins at 0.
type chart struct {
	title, axis string
	lines       []line
}

// The drawing's measures, in pixels: of a chart, and of the edges around its
// lines, where titles and numbers stand.
const (
	chartWidth, chartHeight = 480, 320
	left, right             = 70, 20
	top, bottom             = 70, 50
)

// colours of the lines; they differ for the colour-blind too.
const colours = "#0072b2 #d55e00"

// places are the values of x that occur.
func (c chart) places() []float64 {
	var all []float64
	for _, l := range c.lines {
		for _, p := range l.points {
			all = append(all, p.x)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func (c chart) draw(out *strings.Builder) {
	places, most := c.places(), 0.0
	for _, l := range c.lines {
		for _, p := range l.points {
			most = max(most, p.y.Max)
		}
	}
	step := roundStep(most)
	most = math.Ceil(most/step) * step
	y := func(v float64) float64 { return chartHeight - bottom - v/most*(chartHeight-top-bottom) }
	x := func(v float64) float64 {
		at, _ := slices.BinarySearch(places, v)
		return left + (float64(at)+0.5)/float64(len(places))*(chartWidth-left-right)
	}
	fmt.Fprintf(out, `<text x="%d" y="20" font-size="14">%s</text>`+"\n", left, c.title)
	for v := 0.0; v <= most; v += step {
		fmt.Fprintf(out, `<path d="M%d %.1fH%d" stroke="#ccc"/><text x="%d" y="%.1f" text-anchor="end">%s</text>`+"\n",
			left, y(v), chartWidth-right, left-6, y(v)+4, number(v))
	}
	for _, v := range places {
		fmt.Fprintf(out, `<text x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n", x(v), chartHeight-bottom+18, number(v))
	}
	fmt.Fprintf(out, `<text x="%d" y="%d" text-anchor="middle">%s</text>`+"\n", (left+chartWidth-right)/2, chartHeight-12, c.axis)
	for i, l := range c.lines {
		l.draw(out, strings.Fields(colours)[i], 40+16*i, x, y)
	}
}

// draw writes the line and its name, which stands at the height given.
func (l line) draw(out *strings.Builder, colour string, legend int, x, y func(float64) float64) {
	var path []string
	for _, p := range l.points {
		path = append(path, fmt.Sprintf("%.1f %.1f", x(p.x), y(p.y.Median)))
		fmt.Fprintf(out, `<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>`, x(p.x), y(p.y.Median), colour)
		fmt.Fprintf(out, `<path d="M%.1f %.1fV%.1f" stroke="%s" stroke-opacity="0.4" stroke-width="5"/>`+"\n",
			x(p.x), y(p.y.Min), y(p.y.Max), colour)
	}
	fmt.Fprintf(out, `<path d="M%s" fill="none" stroke="%s" stroke-width="2"/><text x="%d" y="%d" fill="%s">%s</text>`+"\n",
		strings.Join(path, "L"), colour, left, legend, colour, l.name)
}

// roundStep is a round distance between the lines of the vertical axis, so that
// there are five to ten of them up to most.
func roundStep(most float64) float64 {
	if most <= 0 {
		return 1
	}
	const lines = 5
	power := math.Pow(10, math.Floor(math.Log10(most/lines)))
	for _, factor := range []float64{5, 2} {
		if most/(factor*power) >= lines {
			return factor * power
		}
	}
	return power
}
