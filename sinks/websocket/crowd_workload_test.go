//go:build workload

package websocketsink

import (
	"bufio"
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

var (
	crowdClients = flag.Int("crowd.clients", 1000, "how many clients watch")
	crowdRate    = flag.Int("crowd.rate", 20, "records a second")
	crowdRounds  = flag.Int("crowd.rounds", 6, "how often a phase with and one without the bad clients are measured")
	crowdPhase   = flag.Duration("crowd.phase", 10*time.Second, "how long a phase lasts")
	crowdMost    = flag.Float64("crowd.most", 1.25, "how much larger the p99 with the bad clients may be, in the middle of the rounds")
)

// TestCrowd measures what clients that do not read do to the others. Phases with and without two of them take turns in one run: one that
// does not read at all and one that reads a byte a second, both behind by more than the connection takes from their first moment, and back as soon as
// they are dropped. The p99 of the others, from the write to the last byte at the client, has to stay what it is, and each client's order.
//
//	go test -tags workload -run TestCrowd -v ./sinks/websocket
func TestCrowd(t *testing.T) {
	s := opened(t, func(s *Settings) { s.CatchUp, s.CatchUpBytes, s.Ping = 5000, 16<<20, time.Hour })
	for range 5000 {
		write(t, s, []*pipeline.Record{stamped(-1)}) // so that there is much to catch up with
	}
	var seen atomic.Pointer[phase]
	var watching sync.WaitGroup
	for i := range *crowdClients {
		conn, err := net.Dial("tcp", s.Addr())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		ask(conn, s, "")
		watching.Go(func() { watchTimes(t, i, conn, &seen) })
	}
	clients(t, s, int64(*crowdClients))
	n := 0
	speak := func(p *phase) {
		seen.Store(p)
		tick := time.NewTicker(time.Second / time.Duration(*crowdRate))
		defer tick.Stop()
		for range int(p.length.Seconds() * float64(*crowdRate)) {
			<-tick.C
			write(t, s, []*pipeline.Record{stamped(n)})
			n++
			p.sent++
		}
		for end := time.Now().Add(patience); p.got.Load() != int64(p.sent**crowdClients); time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%d messages of %d have come; %+v", p.got.Load(), p.sent**crowdClients, s.Report())
			}
		}
	}
	speak(&phase{length: 2 * time.Second, of: make([][]time.Duration, *crowdClients)}) // to warm up
	var ratios, noise []float64
	for round := range *crowdRounds {
		var p99 [3]time.Duration // without, with, without
		for i := range 3 {
			p := &phase{length: *crowdPhase, of: make([][]time.Duration, *crowdClients)}
			stop := func() {}
			if i == 1 {
				stop = badClients(t, s)
			}
			dropped := s.Report().ClientsDropped
			speak(p)
			stop()
			clients(t, s, int64(*crowdClients))
			of := p.percentiles()
			p99[i] = of[1]
			t.Logf("round %d, %s: p50 %v, p99 %v, most %v; %d were dropped", round, []string{"without", "with", "without"}[i], of[0], of[1], of[2], s.Report().ClientsDropped-dropped)
		}
		ratios = append(ratios, 2*float64(p99[1])/float64(p99[0]+p99[2]))
		noise = append(noise, float64(max(p99[0], p99[2]))/float64(min(p99[0], p99[2])))
	}
	slices.Sort(ratios)
	slices.Sort(noise)
	middle, still := ratios[len(ratios)/2], noise[len(noise)/2]
	t.Logf("in the middle of %d rounds: p99 with the bad clients / without %.2f; the larger / the smaller without them %.2f", len(ratios), middle, still)
	if middle > max(*crowdMost, still) {
		t.Errorf("the p99 of the others is %.2f times what it is without the bad clients", middle)
	}
}

// A phase is what is seen while something is measured.
type phase struct {
	length time.Duration
	sent   int
	got    atomic.Int64
	of     [][]time.Duration // by client
}

func (p *phase) percentiles() (of [3]time.Duration) {
	all := slices.Concat(p.of...)
	slices.Sort(all)
	return [3]time.Duration{all[len(all)/2], all[len(all)*99/100], all[len(all)-1]}
}

var base = time.Now()

// stamped makes a record of 2 KiB that begins with its number and the time; -1: it is not to be measured.
func stamped(n int) *pipeline.Record {
	head := fmt.Sprintf("%d %d ", n, time.Since(base).Nanoseconds())
	return record(0, max(n, 0), head+strings.Repeat("x", 2048-len(head)))
}

// watchTimes reads to the end, and notes how long messages were on their way, and whether each comes behind the one before.
func watchTimes(t *testing.T, i int, conn net.Conn, seen *atomic.Pointer[phase]) {
	r := bufio.NewReaderSize(conn, 4096)
	for {
		if line, err := r.ReadString('\n'); err != nil || line == "\r\n" {
			break
		}
	}
	payload := make([]byte, 4096)
	last := -1
	for {
		var head [4]byte
		if _, err := io.ReadFull(r, head[:]); err != nil || head[0] != 0x80|opText {
			return
		}
		n := int(binary.BigEndian.Uint16(head[2:]))
		if _, err := io.ReadFull(r, payload[:n]); err != nil {
			return
		}
		now := time.Since(base)
		words := strings.SplitN(string(payload[:64]), " ", 3)
		number, err := strconv.Atoi(words[0])
		if err != nil {
			t.Errorf("client %d: %v", i, err)
			return
		}
		if number < 0 {
			continue
		}
		if number != last+1 {
			t.Errorf("client %d: %d came behind %d", i, number, last)
			return
		}
		last = number
		at, err := strconv.ParseInt(words[1], 10, 64)
		if err != nil {
			t.Errorf("client %d: %v", i, err)
			return
		}
		p := seen.Load()
		p.of[i] = append(p.of[i], now-time.Duration(at))
		p.got.Add(1)
	}
}

func ask(conn net.Conn, s *Sink, query string) {
	fmt.Fprintf(conn, "GET /live%s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n", query, s.Addr())
}

// badClients connects two that do not take what they ask for, and again whenever they are dropped, until stop is called.
func badClients(t *testing.T, s *Sink) (stop func()) {
	var over atomic.Bool
	var both sync.WaitGroup
	var mu sync.Mutex
	var conns []net.Conn
	for _, every := range []time.Duration{0, time.Second} {
		both.Go(func() {
			for !over.Load() {
				conn, err := (&net.Dialer{Control: smallBuffer}).Dial("tcp", s.Addr())
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				conns = append(conns, conn)
				mu.Unlock()
				ask(conn, s, "?last=5000")
				before := s.Report().ClientsDropped
				for one := make([]byte, 1); !over.Load() && s.Report().ClientsDropped == before; time.Sleep(max(every, 50*time.Millisecond)) {
					if every == 0 {
						continue
					}
					if _, err := conn.Read(one); err != nil {
						break
					}
				}
			}
		})
	}
	until(t, "the bad clients are there", func() bool { return s.Report().Clients == int64(*crowdClients)+2 })
	return func() {
		over.Store(true)
		mu.Lock()
		for _, c := range conns {
			_ = c.Close()
		}
		mu.Unlock()
		both.Wait()
		mu.Lock()
		defer mu.Unlock()
		for _, c := range conns {
			_ = c.Close()
		}
	}
}
