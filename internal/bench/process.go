package bench

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// What /proc tells about processes. Where there is no /proc these figures are
// left out of the report, never guessed.

// clockTick is the unit of times in /proc: USER_HZ, which Linux shows as 100 to
// programs on every architecture Go supports.
const clockTick = 10 * time.Millisecond

// processTimes is the processor time of a process.
type processTimes struct {
	parent   int
	own      time.Duration // of itself
	children time.Duration // of its children that have ended
}

func timesOf(pid int) (processTimes, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return processTimes{}, fmt.Errorf("read the times of process %d: %w", pid, err)
	}
	return parseStat(text)
}

// parseStat reads /proc/<pid>/stat (proc(5)). The second field is the command
// in parentheses and may hold anything, also parentheses.
func parseStat(text []byte) (processTimes, error) {
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	const parent, userTime, systemTime, childUser, childSystem = 1, 11, 12, 13, 14 // counted from the third field
	if len(fields) <= childSystem {
		return processTimes{}, fmt.Errorf("a line of /proc has %d fields: %q", len(fields), text)
	}
	number := func(i int) int {
		n, _ := strconv.Atoi(fields[i]) // the kernel writes numbers here
		return n
	}
	return processTimes{
		parent:   number(parent),
		own:      time.Duration(number(userTime)+number(systemTime)) * clockTick,
		children: time.Duration(number(childUser)+number(childSystem)) * clockTick,
	}, nil
}

// familyTime is the processor time of a process and all its children, living
// and ended: of PostgreSQL, when pid is the postmaster's.
func familyTime(pid int) (time.Duration, error) {
	own, err := timesOf(pid)
	if err != nil {
		return 0, err
	}
	total := own.own + own.children
	processes, err := os.ReadDir("/proc")
	if err != nil {
		return 0, fmt.Errorf("list the processes: %w", err)
	}
	for _, p := range processes {
		child, err := strconv.Atoi(p.Name())
		if err != nil {
			continue
		}
		if times, err := timesOf(child); err == nil && times.parent == pid {
			total += times.own // one that has just ended is counted in its parent
		}
	}
	return total, nil
}

// memory is how much of a process is in memory, in bytes.
type memory struct{ Now, Peak float64 }

func memoryOf(pid int) (memory, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return memory{}, fmt.Errorf("read the memory of process %d: %w", pid, err)
	}
	return memory{Now: statusBytes(text, "VmRSS:"), Peak: statusBytes(text, "VmHWM:")}, nil
}

// statusBytes finds a line such as "VmRSS:  1234 kB"; 0 if it is not there.
func statusBytes(text []byte, key string) float64 {
	_, after, _ := bytes.Cut(text, []byte(key))
	line, _, _ := bytes.Cut(after, []byte("kB"))
	kilobytes, _ := strconv.ParseFloat(strings.TrimSpace(string(line)), 64) // 0 is the answer then
	return kilobytes * 1024
}
