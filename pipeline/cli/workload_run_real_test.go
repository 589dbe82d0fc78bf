//go:build real && workload

package cli

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
)

// A bench is a broker with what a table of runs needs.
type bench struct {
	broker string
	java   int // the broker's process
	admin  *kadm.Client
	path   string // of the daemon
}

// newBench starts a broker. Topics that are deleted leave its disk at once, and not
// after a minute.
func newBench(t *testing.T) bench {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	b := benchOf(t, cluster(t, kafkatest.RealOptions{
		Throughput: true, Heap: "1g", Properties: map[string]string{"log.segment.delete.delay.ms": "1000"},
	}))
	b.path = path
	return b
}

// benchOf is a bench on a broker that runs, without a daemon.
func benchOf(t *testing.T, k *kafkatest.Real) bench {
	t.Helper()
	// A topic of a moment ago is asked for again soon.
	c, err := kgo.NewClient(kgo.SeedBrokers(k.Addrs()...), kgo.MetadataMinAge(20*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return bench{broker: k.Addrs()[0], java: k.Process(1), admin: kadm.NewClient(c)}
}

// daemon is a command that runs the pipeline file; profile names the profiles that it
// is to write, "" for none.
func (b bench) daemon(t *testing.T, path, file, profile string) *exec.Cmd {
	t.Helper()
	at := filepath.Join(t.TempDir(), "pipeline.yaml")
	if err := os.WriteFile(at, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	c := exec.Command(path, "run", at)
	if profile != "" && path == b.path { // this test binary is the same program, with a profile
		c = exec.Command(os.Args[0], "run", at)
		c.Env = append(os.Environ(), roleEnv+"=daemon", profileEnv+"="+profile)
	}
	return c
}

// program is a command that runs one of the programs of this test binary.
func program(profile, role string, args ...string) *exec.Cmd {
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), roleEnv+"="+role+" "+strings.Join(args, " "), profileEnv+"="+profile)
	return c
}

// A child is a process that the test has started.
type child struct {
	command *exec.Cmd
	log     string // file of what it writes to stderr
	done    chan struct{}
	err     error // valid when done is closed
}

// begin starts c, and kills it at the end of the test at the latest.
func begin(t *testing.T, c *exec.Cmd) *child {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	c.Stderr = log
	p := &child{command: c, log: log.Name(), done: make(chan struct{})}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { defer close(p.done); p.err = c.Wait() }()
	t.Cleanup(func() { _ = c.Process.Kill(); <-p.done })
	return p
}

// tail is the end of what the process has said.
func (p *child) tail() string {
	text, _ := os.ReadFile(p.log)
	return string(text[max(0, len(text)-4000):])
}

// pause lets d go by. The process must not end in that time.
func (p *child) pause(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-p.done:
		t.Fatalf("%s ended: %v\n%s", p.command.Args[0], p.err, p.tail())
	}
}

// end asks the process to end, waits for that, and gives the CPU of its life.
func (p *child) end(t *testing.T) time.Duration {
	t.Helper()
	_ = p.command.Process.Signal(syscall.SIGTERM)
	<-p.done
	if p.err != nil {
		t.Fatalf("%s: %v\n%s", p.command.Args[0], p.err, p.tail())
	}
	return p.command.ProcessState.UserTime() + p.command.ProcessState.SystemTime()
}

// peak is the largest resident memory up to now. The child's accounting at its end
// would not do: that begins with its parent's memory.
func (p *child) peak() int64 { return memory(p.command.Process.Pid, "VmHWM:") }

// A slow is the slow server in a process of its own.
type slow struct {
	child *child
	addr  string
	out   *bufio.Reader
}

func startSlow(t *testing.T, kind string) *slow {
	t.Helper()
	c := program("", "server", kind)
	out, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = out.Close() })
	c.Stdout = write
	s := &slow{child: begin(t, c), out: bufio.NewReader(out)}
	_ = write.Close()
	addr, err := s.out.ReadString('\n')
	if err != nil {
		t.Fatalf("the slow server: %v\n%s", err, s.child.tail())
	}
	s.addr = strings.TrimSpace(addr)
	return s
}

// stop ends the server, and gives the number of calls and the mean latency that it
// measured.
func (s *slow) stop(t *testing.T) (calls int64, mean time.Duration) {
	t.Helper()
	s.child.end(t)
	var ms float64
	if _, err := fmt.Fscan(s.out, &calls, &ms); err != nil || calls == 0 {
		t.Fatalf("the slow server had %d calls: %v", calls, err)
	}
	return calls, time.Duration(ms * float64(time.Millisecond))
}

// A run is what was measured of one process.
type run struct {
	seconds float64 // from the first output to the last
	rate    float64 // records a second, over that time
	cpu     float64 // microseconds of CPU a record, the whole process from start to end
	rss     int64   // largest resident memory
	shares  shares

	ideal    float64       // records a second: W3
	p50, p99 time.Duration // W4
}

// A usage is what has been used of the machine's CPU, in ticks.
type usage struct{ own, broker, idle, all int64 }

// The shares of the machine's CPU over a time, in percent: of the process that is
// measured, of the broker, of nobody, and of all others. Where nothing is idle, others
// take little and the broker takes most, the broker limits the rate.
type shares struct{ own, broker, idle, others float64 }

// ticks is the user and system time of a process, 0 when it has gone.
func ticks(pid int) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	// The name in parentheses may hold blanks; utime and stime are the 14th and 15th.
	after := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	return number(after[11]) + number(after[12])
}

// number reads a figure of the kernel's; one that is none is a fault of this file.
func number(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		panic(err)
	}
	return n
}

// used gives what has been used up to now, of all and by p.
func (b bench) used(p *child) usage {
	u := usage{own: ticks(p.command.Process.Pid), broker: ticks(b.java)}
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		panic(err)
	}
	first, _, _ := strings.Cut(string(text), "\n")
	for i, f := range strings.Fields(first)[1:9] { // guest time is in user time already
		u.all += number(f)
		if i == 3 || i == 4 { // waiting for a disk is idle too
			u.idle += number(f)
		}
	}
	return u
}

// since gives the shares from u to now.
func (u usage) since(now usage) shares {
	part := func(from, to int64) float64 { return 100 * float64(to-from) / float64(max(now.all-u.all, 1)) }
	s := shares{own: part(u.own, now.own), broker: part(u.broker, now.broker), idle: part(u.idle, now.idle)}
	s.others = max(100-s.own-s.broker-s.idle, 0)
	return s
}

// timed runs c until the topic out, counted by another client, holds the want records
// that come of in records.
func (b bench) timed(t *testing.T, c *exec.Cmd, out string, in, want int64) (r run) {
	t.Helper()
	p := begin(t, c)
	var first time.Time
	var had int64
	var before usage
	deadline := time.Now().Add(10 * time.Minute)
	for n := int64(0); n < want; {
		p.pause(t, 10*time.Millisecond)
		if n = stored(t, b.admin, out); n > 0 && first.IsZero() {
			first, had, before = time.Now(), n, b.used(p)
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d records out after 10 minutes\n%s", n, want, p.tail())
		}
	}
	r.seconds = time.Since(first).Seconds()
	r.shares = before.since(b.used(p))
	r.rss = p.peak()
	cpu := p.end(t)
	if n := stored(t, b.admin, out); n != want {
		t.Fatalf("%d records out, want %d", n, want)
	}
	if had > want/2 {
		t.Fatalf("%d of %d records were out when that was first asked: too few to time", had, want)
	}
	scale := float64(in) / float64(want)
	r.rate = float64(want-had) * scale / r.seconds
	r.cpu = float64(cpu.Microseconds()) / float64(in)
	return r
}
