package tail_test

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

// BenchmarkThousandClients appends one event every 5 ms and lets 1,000 clients
// of this same process follow. An operation is one event; p50 and p99 are from
// before its append to its arrival at a client, over all clients. Run it for
// some seconds: go test -run '^$' -bench ThousandClients -benchtime 2000x.
func BenchmarkThousandClients(b *testing.B) {
	const clients, interval = 1000, 5 * time.Millisecond
	r := start(b)
	delays := make([][]time.Duration, clients)
	var following, appending errgroup.Group
	for i := range delays {
		stream, err := r.openForBenchmark(b)
		if err != nil {
			b.Fatal(err)
		}
		following.Go(func() (err error) {
			delays[i], err = arrivals(stream, b.N)
			return err
		})
	}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	b.ResetTimer()
	for range b.N {
		<-tick.C
		// Why not awaited: the rate is what is given, not the pace of one client.
		appending.Go(func() error {
			e := someone(1)
			e[0].Payload["name"] = strconv.FormatInt(time.Now().UnixNano(), 10)
			_, err := r.tryAppend(e...)
			return err
		})
	}
	if err := appending.Wait(); err != nil {
		b.Fatal(err)
	}
	if err := following.Wait(); err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	all := slices.Concat(delays...)
	slices.Sort(all)
	for _, percent := range []int{50, 99} {
		b.ReportMetric(float64(all[len(all)*percent/100].Microseconds())/1000, "p"+strconv.Itoa(percent)+"-ms")
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

// openForBenchmark opens a stream as cheaply as possible: the machine is the
// server's.
func (r *replica) openForBenchmark(b *testing.B) (*bufio.Reader, error) {
	b.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
	if err != nil {
		return nil, err
	}
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", eventStream); err != nil {
		return nil, err
	}
	late := time.AfterFunc(time.Duration(b.N)*10*time.Millisecond+patience, func() { _ = conn.Close() })
	b.Cleanup(func() {
		late.Stop()
		_ = conn.Close()
	})
	res, err := http.ReadResponse(bufio.NewReaderSize(conn, 4<<10), nil) //nolint:bodyclose // ends with its connection
	if err != nil {
		return nil, err
	}
	stream := bufio.NewReaderSize(res.Body, 4<<10)
	for { // the first id is where the stream begins
		line, err := stream.ReadSlice('\n')
		if err != nil || bytes.HasPrefix(line, []byte("id: ")) {
			return stream, err
		}
	}
}

// arrivals notes how long each of n events took, which carry their time as a
// name.
func arrivals(stream *bufio.Reader, n int) ([]time.Duration, error) {
	delays := make([]time.Duration, 0, n)
	for len(delays) < n {
		line, err := stream.ReadSlice('\n')
		if err != nil {
			return nil, fmt.Errorf("after %d of %d events: %w", len(delays), n, err)
		}
		if _, name, found := bytes.Cut(line, []byte(`"name":"1`)); found {
			digits, _, _ := bytes.Cut(name, []byte(`"`))
			appended, err := strconv.ParseInt("1"+string(digits), 10, 64)
			if err != nil {
				return nil, err
			}
			delays = append(delays, time.Since(time.Unix(0, appended)))
		}
	}
	return delays, nil
}
