package embedded

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
)

const (
	// maxLogSize is when a start puts the log aside; one old log is kept.
	maxLogSize = 16 << 20
	// tailSize is how much of the log an error shows at most.
	tailSize = 2 << 10
)

// openLog opens the server's log for appending.
func openLog(name string) (*os.File, error) {
	info, err := os.Stat(name)
	if err == nil && info.Size() > maxLogSize {
		err = os.Rename(name, name+".old")
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("put the old log aside: %w", err)
	}
	file, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the log: %w", err)
	}
	return file, nil
}

// logTail gives the end of what was logged since the last launch.
func (c *cluster) logTail() string {
	file, err := os.Open(c.path(logName))
	if err != nil {
		return "(no log: " + err.Error() + ")"
	}
	defer func() { _ = file.Close() }() // Nothing was written.
	from := c.logStart
	if end, err := file.Seek(0, io.SeekEnd); err == nil {
		from = max(from, end-tailSize)
	}
	text, err := io.ReadAll(io.NewSectionReader(file, from, tailSize))
	if err != nil {
		return "(log not readable: " + err.Error() + ")"
	}
	return "\n" + strings.TrimSpace(string(text))
}
