package bench

import (
	"os"
	"runtime"
	"testing"
	"time"
)

func TestTheTimesOfAProcessAreFoundBehindAnyName(t *testing.T) {
	t.Parallel()
	line := "4711 (a) R (b 1 2 3) S 4700 4711 4711 0 -1 4194560 1000 2000 0 0 150 50 30 20 20 0 1 0 12345 1000000 500 18446744073709551615\n"
	got, err := parseStat([]byte(line))
	want := processTimes{parent: 4700, own: 2 * time.Second, children: 500 * time.Millisecond}
	if err != nil || got != want {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	if _, err := parseStat([]byte("4711 (short) S 1 2")); err == nil {
		t.Error("half a line was read")
	}
}

func TestMemoryIsReadInBytes(t *testing.T) {
	t.Parallel()
	status := []byte("Name:\tapp\nVmHWM:\t   2048 kB\nVmRSS:\t    1024 kB\n")
	if got := statusBytes(status, "VmRSS:"); got != 1<<20 {
		t.Errorf("VmRSS is %v", got)
	}
	if got := statusBytes(status, "VmSwap:"); got != 0 {
		t.Errorf("a line that is not there is %v", got)
	}
}

func TestThisProcessCanBeSeen(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("there is no /proc")
	}
	if used, err := memoryOf(os.Getpid()); err != nil || used.Now == 0 || used.Peak < used.Now {
		t.Errorf("memory %v, %v", used, err)
	}
	if _, err := familyTime(os.Getpid()); err != nil {
		t.Error(err)
	}
}
