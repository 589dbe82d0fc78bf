//go:build real && chaos

package cli

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
)

// The test binary run again is a webhook server: it prints its address, then one line
// a record that it accepts.
func init() {
	if os.Getenv(roleEnv) == "webhook" {
		serveWebhook()
	}
}

func serveWebhook() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	out := bufio.NewWriterSize(os.Stdout, 1<<20)
	var mutex sync.Mutex
	fmt.Fprintln(out, l.Addr())
	out.Flush()
	_ = http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		mutex.Lock()
		defer mutex.Unlock()
		for text := range strings.Lines(string(body)) {
			var v struct{ P, N int64 }
			if json.Unmarshal([]byte(text), &v) == nil {
				fmt.Fprintln(out, v.P, v.N)
			}
		}
		out.Flush()
	}))
	os.Exit(0)
}

// A webhook is that server, seen from the test.
type webhook struct {
	command    *exec.Cmd
	addr       string
	mutex      sync.Mutex
	times      map[[2]int64]int
	last       map[int64]int64
	misordered int
}

func startWebhook(t *testing.T) *webhook {
	t.Helper()
	w := &webhook{command: exec.Command(os.Args[0]), times: map[[2]int64]int{}, last: map[int64]int64{}}
	w.command.Env = append(os.Environ(), roleEnv+"=webhook")
	out, err := w.command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := w.command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.command.Process.Kill(); _ = w.command.Wait() })
	r := bufio.NewReaderSize(out, 1<<20)
	first, err := r.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	w.addr = strings.TrimSpace(first)
	go func() {
		for {
			text, err := r.ReadString('\n')
			if err != nil {
				return
			}
			var at [2]int64
			if _, err := fmt.Sscan(text, &at[0], &at[1]); err != nil {
				continue
			}
			w.mutex.Lock()
			if w.times[at]++; w.times[at] == 1 {
				if last, ok := w.last[at[0]]; ok && at[1] < last {
					w.misordered++
				}
				w.last[at[0]] = at[1]
			}
			w.mutex.Unlock()
		}
	}()
	return w
}

func (w *webhook) signal(s os.Signal) { _ = w.command.Process.Signal(s) }

func (w *webhook) counts() (positions, twice int64) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	for _, n := range w.times {
		twice += int64(n - 1)
	}
	return int64(len(w.times)), twice
}

// hasAllBefore says whether position n of partition p and all before it were accepted.
func (w *webhook) hasAllBefore(p, n int64) bool {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	for i := range n {
		if w.times[[2]int64{p, i}] == 0 {
			return false
		}
	}
	return true
}

// The HTTP sink's server hangs for a minute at full input: memory stays within the
// budget and flat, the group does not notice, and everything arrives afterwards. A
// stop during such a hang ends within the drain budget and commits nothing that was
// not delivered.
func TestSinkHangs(t *testing.T) {
	const budget, records, size = 256 << 20, 270_000, 4096
	k := cluster(t, kafkatest.RealOptions{Throughput: true, Heap: "1g"})
	a := adminOf(t, k.Addrs())
	topics(t, a, 4, 1, "in")
	f := newFeed(t, k.Addrs(), "in", 4, size)
	f.load(records)
	w := startWebhook(t)
	text := fmt.Sprintf(`pipeline: hangs
source:
  kafka: {brokers: [%s], topics: [in], start: earliest}
stages:
  - filter: n >= 0
sinks:
  - http: {url: "http://%s/", format: ndjson}
    timeout: 5s
limits: {in_flight_bytes: 256MiB, drain: 10s}
log: {format: json, stats_every: 5s}
`, k.Addrs()[0], w.addr)
	d := start(t, "hangs", text)
	d.await("pipeline.stats", time.Minute, func(l line) bool { n, _ := l["records_out_total"].(float64); return n > 10_000 })
	group := groupState(t, a, "hangs")
	_, mark := d.count("", 0)

	w.signal(syscall.SIGSTOP)
	var samples []int64
	for range 60 {
		pass(t, time.Second)
		samples = append(samples, d.rss())
	}
	peak, late, early := int64(0), int64(0), int64(0)
	for i, s := range samples {
		peak = max(peak, s)
		if i >= 40 {
			late = max(late, s)
		} else if i >= 20 {
			early = max(early, s)
		}
	}
	assigned, _ := d.count("source.assigned", mark)
	revoked, _ := d.count("source.revoked", mark)
	after := groupState(t, a, "hangs")
	t.Logf("hung 60 s: resident at most %d MiB (20 to 40 s %d MiB, 40 to 60 s %d MiB), budget %d MiB; %d assignments, %d revocations; group unchanged: %v",
		peak>>20, early>>20, late>>20, budget>>20, assigned, revoked, group == after)
	if peak > budget+64<<20 {
		t.Errorf("resident %d MiB, more than the budget + 64 MiB", peak>>20)
	}
	if late > early+early/20+8<<20 {
		t.Errorf("resident memory grows: %d MiB, then %d MiB", early>>20, late>>20)
	}
	if assigned+revoked > 0 || group != after {
		t.Errorf("the group moved: %s, then %s", group, after)
	}

	w.signal(syscall.SIGCONT)
	deadline := time.Now().Add(4 * time.Minute)
	for {
		n, _ := w.counts()
		if n == f.total() {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d delivered 4 minutes after the hang; last lines:\n%s", n, f.total(), d.tail(10))
		}
		pass(t, 200*time.Millisecond)
	}
	_, twice := w.counts()
	t.Logf("after the hang: all %d delivered, %d of them twice, out of order %d", f.total(), twice, w.misordered)
	if w.misordered != 0 {
		t.Errorf("%d out of order", w.misordered)
	}

	w.signal(syscall.SIGSTOP)
	f.load(20_000)
	d.await("sink.stalled", 2*time.Minute, nil)
	exit, took := d.stop(syscall.SIGTERM, 20*time.Second)
	w.signal(syscall.SIGCONT)
	pass(t, 2*time.Second) // the server answers what it had already received
	sound := true
	for p, next := range committed(t, a, "hangs", "in") {
		sound = sound && w.hasAllBefore(int64(p), next)
	}
	t.Logf("SIGTERM during the hang: exit %d after %v (drain 10s); everything committed was delivered: %v", exit, took.Round(time.Millisecond), sound)
	if exit != 5 {
		t.Errorf("exit code %d, want 5\n%s", exit, d.tail(10))
	}
	if !sound {
		t.Error("the group's offsets are ahead of what the server accepted")
	}
}
