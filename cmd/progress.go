package cmd

import (
	"fmt"
	"io"
	"os"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// progress shows on a terminal how far long work is, and nothing elsewhere.
type progress struct {
	out     io.Writer
	visible bool
	bar     *progressbar.ProgressBar
	done    int
}

func newProgress(out io.Writer) *progress {
	file, ok := out.(*os.File)
	return &progress{out: out, visible: ok && term.IsTerminal(int(file.Fd()))}
}

// step says what comes next. A new total begins a new bar.
func (p *progress) step(done, total int, what string) {
	if !p.visible {
		return
	}
	if p.bar == nil || p.bar.GetMax() != total || done < p.done {
		p.end()
		p.bar = progressbar.NewOptions(total, progressbar.OptionSetWriter(p.out), progressbar.OptionClearOnFinish(),
			progressbar.OptionSetWidth(20), progressbar.OptionSetPredictTime(false), progressbar.OptionFullWidth())
	}
	p.done = done
	p.bar.Describe(what)
	_ = p.bar.Set(done) // it fails only beyond the total
}

// unmeasured says what comes next where nobody knows how much of it there is: it
// shows that time goes by.
func (p *progress) unmeasured(what string) { p.step(0, -1, what) }

// end removes the bar.
func (p *progress) end() {
	if p.bar != nil {
		_ = p.bar.Finish() // as above
	}
}

// permille is the finest that a bar can show anyway.
const permille = 1000

// positions shows how far a command is in the log.
func (p *progress) positions(what string) func(position, end int64) {
	return func(position, end int64) {
		p.step(int(position*permille/max(end, 1)), permille, fmt.Sprintf("%s: %d of %d", what, position, end))
	}
}

// reading shows how much of a file was read. The size of a pipe is not known, so
// nothing is shown for one.
func (p *progress) reading(r io.Reader, what string) io.Reader {
	file, ok := r.(*os.File)
	if !ok {
		return r
	}
	info, err := file.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return r
	}
	return &countingReader{Reader: r, size: info.Size(), told: func(done, size int64) {
		const mib = 1 << 20
		p.step(int(done*permille/max(size, 1)), permille, fmt.Sprintf("%s: %d of %d MiB", what, done/mib, size/mib))
	}}
}

// countingReader tells how much went through it.
type countingReader struct {
	io.Reader

	done, size int64
	told       func(done, size int64)
}

// Read counts.
func (r *countingReader) Read(b []byte) (int, error) {
	n, err := r.Reader.Read(b)
	r.done += int64(n)
	r.told(min(r.done, r.size), r.size)
	return n, err //nolint:wrapcheck // io.EOF has to stay itself
}
