package config

import (
	"io"
	"log/slog"
	"os"

	"golang.org/x/term"
)

// The values of APP_LOG_FORMAT.
const (
	FormatText = "text"
	FormatJSON = "json"
)

// Logger makes the program's logger on w, usually standard error, since
// standard output belongs to what a command prints.
func (l Log) Logger(w io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: l.Level}
	if l.Format == FormatText || (l.Format == "" && isTerminal(w)) {
		return slog.New(slog.NewTextHandler(w, options))
	}
	return slog.New(slog.NewJSONHandler(w, options))
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}
