//go:build real

package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
)

// roleEnv makes the test binary, run again as a child, one of the programs that the
// tests need beside the daemon.
const roleEnv = "PENSTOCK_TEST_ROLE"

// binary builds the daemon once for all tests of a run.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "penstock-bin-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "penstock")
	out, err := exec.Command("go", "build", "-o", path, repo+"/cmd/penstock").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("building the daemon: %w\n%s", err, out)
	}
	return path, nil
})

// A subject is `penstock run` in a process of its own.
type subject struct {
	t       *testing.T
	name    string
	file    string
	command *exec.Cmd
	done    chan struct{}
	exit    int

	mutex  sync.Mutex
	lines  []line
	raw    []string
	change chan struct{} // closed and replaced at each line
}

// A line is one log line, decoded.
type line map[string]any

func (l line) event() string { s, _ := l["event_name"].(string); return s }

// start runs the pipeline file text, written to dir, as a daemon.
func start(t *testing.T, name, text string, args ...string) *subject {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), name+".yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	d := &subject{t: t, name: name, file: file, done: make(chan struct{}), change: make(chan struct{})}
	d.command = exec.Command(path, append([]string{"run", "--log-format", "json", file}, args...)...)
	stderr, err := d.command.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := d.command.Start(); err != nil {
		t.Fatal(err)
	}
	go d.follow(bufio.NewReaderSize(stderr, 1<<20))
	t.Cleanup(func() { d.signal(syscall.SIGCONT); d.signal(syscall.SIGKILL); <-d.done })
	return d
}

func (d *subject) follow(r *bufio.Reader) {
	defer close(d.done)
	for {
		text, err := r.ReadString('\n')
		if err != nil {
			break
		}
		l := line{}
		_ = json.Unmarshal([]byte(text), &l)
		d.mutex.Lock()
		d.lines, d.raw = append(d.lines, l), append(d.raw, strings.TrimSpace(text))
		close(d.change)
		d.change = make(chan struct{})
		d.mutex.Unlock()
	}
	err := d.command.Wait()
	var e *exec.ExitError
	if errors.As(err, &e) {
		d.exit = e.ExitCode()
		if w := e.Sys().(syscall.WaitStatus); w.Signaled() {
			d.exit = 128 + int(w.Signal())
		}
	}
}

func (d *subject) signal(s os.Signal) { _ = d.command.Process.Signal(s) }

// await waits for a line of the event that ok accepts, from the first line on.
func (d *subject) await(event string, limit time.Duration, ok func(line) bool) line {
	d.t.Helper()
	timeout := time.After(limit)
	for seen := 0; ; {
		d.mutex.Lock()
		lines, change := d.lines, d.change
		d.mutex.Unlock()
		for ; seen < len(lines); seen++ {
			if lines[seen].event() == event && (ok == nil || ok(lines[seen])) {
				return lines[seen]
			}
		}
		select {
		case <-change:
		case <-timeout:
			d.t.Fatalf("%s: no %s in %v; last lines:\n%s", d.name, event, limit, d.tail(15))
		case <-d.done:
			d.t.Fatalf("%s: ended with exit code %d before %s; last lines:\n%s", d.name, d.exit, event, d.tail(15))
		}
	}
}

// count counts the lines of the event, from the line numbered from on.
func (d *subject) count(event string, from int) (n, next int) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	for _, l := range d.lines[from:] {
		if l.event() == event {
			n++
		}
	}
	return n, len(d.lines)
}

func (d *subject) tail(n int) string {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	return strings.Join(d.raw[max(0, len(d.raw)-n):], "\n")
}

// stop sends s and waits for the end.
func (d *subject) stop(s os.Signal, limit time.Duration) (exit int, took time.Duration) {
	d.t.Helper()
	begin := time.Now()
	d.signal(s)
	select {
	case <-d.done:
	case <-time.After(limit):
		d.t.Fatalf("%s: still running %v after %v; last lines:\n%s", d.name, limit, s, d.tail(15))
	}
	return d.exit, time.Since(begin)
}

// rss gives the resident memory in bytes.
func (d *subject) rss() int64 { return memory(d.command.Process.Pid, "VmRSS:") }

// pass lets real time go by, or the test end.
func pass(t *testing.T, d time.Duration) {
	select {
	case <-time.After(d):
	case <-t.Context().Done():
	}
}

// memory gives a figure of /proc/PID/status in bytes, 0 when the process has gone.
func memory(pid int, field string) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for l := range strings.Lines(string(text)) {
		if kb, ok := strings.CutPrefix(l, field); ok {
			n, _ := strconv.ParseInt(strings.Fields(kb)[0], 10, 64)
			return n << 10
		}
	}
	return 0
}

// cluster starts a real cluster for one test.
func cluster(t *testing.T, o kafkatest.RealOptions) *kafkatest.Real {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	r, err := kafkatest.StartReal(ctx, t.TempDir(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Stop)
	return r
}

func adminOf(t *testing.T, addrs []string) *kadm.Client {
	t.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(addrs...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return kadm.NewClient(c)
}

func topics(t *testing.T, a *kadm.Client, partitions, replicas int, names ...string) {
	t.Helper()
	for _, n := range names {
		r, err := a.CreateTopic(t.Context(), int32(partitions), int16(replicas), nil, n)
		if err == nil {
			err = r.Err
		}
		if err != nil {
			t.Fatalf("creating topic %s: %v", n, err)
		}
	}
}

// A feed produces numbered records: record n of partition p says so in its value, and
// n is its offset, because one idempotent producer writes each partition in order.
type feed struct {
	t          *testing.T
	client     *kgo.Client
	topic      string
	partitions int
	size       int

	mutex sync.Mutex
	sent  []int64 // by partition
	stop  chan struct{}
	wait  sync.WaitGroup
}

func newFeed(t *testing.T, addrs []string, topic string, partitions, size int) *feed {
	t.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(addrs...), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.MaxBufferedRecords(20_000))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return &feed{t: t, client: c, topic: topic, partitions: partitions, size: size, sent: make([]int64, partitions)}
}

var padding = strings.Repeat("x", 1<<20)

func (f *feed) record() *kgo.Record {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	p := 0
	for i := range f.sent {
		if f.sent[i] < f.sent[p] {
			p = i
		}
	}
	n := f.sent[p]
	f.sent[p]++
	head := fmt.Sprintf(`{"p":%d,"n":%d,"pad":"`, p, n)
	return &kgo.Record{
		Topic: f.topic, Partition: int32(p), Key: []byte(fmt.Sprintf("k%d-%d", p, n%7)),
		Value: []byte(head + padding[:max(0, f.size-len(head)-2)] + `"}`),
	}
}

func (f *feed) produced(_ *kgo.Record, err error) {
	if err != nil && !errors.Is(err, context.Canceled) {
		f.t.Errorf("producing the input: %v", err)
	}
}

// load produces n records as fast as it can.
func (f *feed) load(n int) {
	for range n {
		f.client.Produce(f.t.Context(), f.record(), f.produced)
	}
	if err := f.client.Flush(f.t.Context()); err != nil {
		f.t.Fatal(err)
	}
}

// begin produces rate records a second until end.
func (f *feed) begin(rate int) {
	f.stop = make(chan struct{})
	f.wait.Go(func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		began, sent := time.Now(), 0
		for {
			select {
			case <-f.stop:
				return
			case <-tick.C:
			}
			for due := int(time.Since(began).Seconds() * float64(rate)); sent < due; sent++ {
				f.client.Produce(context.Background(), f.record(), f.produced)
			}
		}
	})
}

func (f *feed) end() {
	f.t.Helper()
	close(f.stop)
	f.wait.Wait()
	if err := f.client.Flush(f.t.Context()); err != nil {
		f.t.Fatal(err)
	}
}

func (f *feed) total() (n int64) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	for _, s := range f.sent {
		n += s
	}
	return n
}

// A referee reads the output with a client of its own and knows every position that
// it has seen.
type referee struct {
	t      *testing.T
	client *kgo.Client

	seen       map[[2]int64]int   // source partition, n -> times
	last       map[[2]int64]int64 // output partition, source partition -> last new n
	misordered int
	read       int64
}

func newReferee(t *testing.T, addrs []string, topic string) *referee {
	t.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(addrs...), kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return &referee{t: t, client: c, seen: map[[2]int64]int{}, last: map[[2]int64]int64{}}
}

func (r *referee) take(rec *kgo.Record) {
	var v struct{ P, N int64 }
	if err := json.Unmarshal(rec.Value, &v); err != nil {
		r.t.Errorf("output is not what went in: %v", err)
		return
	}
	r.read++
	at := [2]int64{v.P, v.N}
	r.seen[at]++
	if r.seen[at] > 1 {
		return
	}
	lane := [2]int64{int64(rec.Partition), v.P}
	if last, ok := r.last[lane]; ok && v.N < last {
		r.misordered++
	}
	r.last[lane] = v.N
}

// until reads until it has seen want positions, and fails after limit.
func (r *referee) until(want int64, limit time.Duration) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), limit)
	defer cancel()
	for int64(len(r.seen)) < want {
		fetches := r.client.PollFetches(ctx)
		if ctx.Err() != nil {
			r.t.Fatalf("seen %d of %d positions after %v", len(r.seen), want, limit)
		}
		fetches.EachRecord(r.take)
	}
}

// toEnd reads up to the offsets that are the end now.
func (r *referee) toEnd(a *kadm.Client, topic string) {
	r.t.Helper()
	ends, err := a.ListEndOffsets(r.t.Context(), topic)
	if err != nil {
		r.t.Fatal(err)
	}
	want := int64(0)
	ends.Each(func(o kadm.ListedOffset) { want += o.Offset })
	ctx, cancel := context.WithTimeout(r.t.Context(), time.Minute)
	defer cancel()
	for r.read < want {
		fetches := r.client.PollFetches(ctx)
		if ctx.Err() != nil {
			r.t.Fatalf("read %d of %d records of %s", r.read, want, topic)
		}
		fetches.EachRecord(r.take)
	}
}

// twice counts the deliveries beyond the first.
func (r *referee) twice() int64 { return r.read - int64(len(r.seen)) }

// beyond counts the deliveries so far at or behind the committed offsets: what a crash
// now would repeat at the most.
func (r *referee) beyond(committed map[int32]int64) (n int64) {
	for at := range r.seen {
		if at[1] >= committed[int32(at[0])] {
			n++
		}
	}
	return n
}

func committed(t *testing.T, a *kadm.Client, group, topic string) map[int32]int64 {
	t.Helper()
	all, err := a.FetchOffsets(t.Context(), group)
	if err != nil {
		t.Fatal(err)
	}
	m := map[int32]int64{}
	for p, o := range all[topic] {
		m[p] = o.At
	}
	return m
}

// copyPipeline is a pipeline file that filters, maps and copies in to out.
func copyPipeline(name string, addrs []string, extra string) string {
	return fmt.Sprintf(`pipeline: %s
source:
  kafka:
    brokers: [%s]
    topics: [in]
    start: earliest
stages:
  - filter: n >= 0
  - map: {set: {again: n}}
sinks:
  - kafka: {topic: out}
log: {format: json, stats_every: 5s}
%s`, name, strings.Join(addrs, ", "), extra)
}

// groupState describes a group's members and what each has.
func groupState(t *testing.T, a *kadm.Client, group string) string {
	t.Helper()
	groups, err := a.DescribeGroups(t.Context(), group)
	if err != nil {
		t.Fatal(err)
	}
	g := groups[group]
	var members []string
	for _, m := range g.Members {
		text := m.MemberID
		if c, ok := m.Assigned.AsConsumer(); ok {
			for _, topic := range c.Topics {
				text += fmt.Sprint(" ", topic.Topic, topic.Partitions)
			}
		}
		members = append(members, text)
	}
	slices.Sort(members)
	return g.State + " " + strings.Join(members, ", ")
}

// denyTopic takes every right on a topic from a user.
func denyTopic(t *testing.T, a *kadm.Client, topic, user string) {
	t.Helper()
	b := kadm.NewACLs().Topics(topic).ResourcePatternType(kadm.ACLPatternLiteral).
		Operations(kadm.OpAll).Deny(user).DenyHosts("*")
	results, err := a.CreateACLs(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		if r.Err != nil {
			t.Fatal(r.Err)
		}
	}
}
