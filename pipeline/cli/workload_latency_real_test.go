//go:build real && workload

package cli

import (
	"bytes"
	"context"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// W4: this many records a second, and the time that counts, which begins when the first
// record has come through and settling has passed.
const (
	perSecond = 1000
	settling  = 3 * time.Second
	counting  = 20 * time.Second
)

// latency runs c under a load of 1,000 records a second that waits for nobody, and
// measures from the time at which a record was to be sent until an independent reader
// has it. A stall shows in every record that was to be sent meanwhile.
func (b bench) latency(t *testing.T, c *exec.Cmd, in, out string) (r run) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	reads := newReading(t, b.broker, out)
	go reads.follow(ctx)
	sends, sent := newSending(t, b.broker, in), make(chan int64, 1)
	sending, halt := context.WithCancel(ctx)
	defer halt()
	go func() { sent <- sends.run(sending) }()
	p := begin(t, c)
	for deadline := time.Now().Add(time.Minute); reads.count.Load() == 0; {
		if p.pause(t, 10*time.Millisecond); time.Now().After(deadline) {
			t.Fatalf("nothing came through in a minute\n%s", p.tail())
		}
	}
	p.pause(t, settling)
	from, before := time.Now(), b.used(p)
	p.pause(t, counting)
	until := time.Now()
	r.shares = before.since(b.used(p))
	halt()
	n := <-sent
	for deadline := time.Now().Add(time.Minute); reads.count.Load() < n; {
		if p.pause(t, 10*time.Millisecond); time.Now().After(deadline) {
			t.Fatalf("%d of %d records came through\n%s", reads.count.Load(), n, p.tail())
		}
	}
	r.rss = p.peak()
	r.cpu = float64(p.end(t).Microseconds()) / float64(n)
	cancel()
	<-reads.done
	if got := reads.count.Load(); got != n {
		t.Fatalf("%d records came through, want %d", got, n)
	}
	r.seconds = until.Sub(from).Seconds()
	taken := reads.between(from, until)
	r.rate = float64(len(taken)) / r.seconds
	if r.rate < perSecond*0.99 {
		t.Fatalf("%.0f records a second were sent, want %d", r.rate, perSecond)
	}
	r.p50, r.p99 = taken[len(taken)/2], taken[len(taken)*99/100]
	return r
}

// A sending is the load: an open loop.
type sending struct {
	t      *testing.T
	client *kgo.Client
	values []flight
}

func newSending(t *testing.T, broker, topic string) *sending {
	c, err := kgo.NewClient(kgo.SeedBrokers(broker), kgo.DefaultProduceTopic(topic), kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.ProducerLinger(0), kgo.MaxBufferedRecords(1_000_000))
	if err != nil {
		t.Fatal(err)
	}
	return &sending{t: t, client: c, values: flights(t, 10_000, 200)}
}

// intended is where a value holds the time at which it was to be sent, in nanoseconds.
var intended = []byte(`"pad":"`)

// run sends until ctx ends, and says how many records that were.
func (s *sending) run(ctx context.Context) (n int64) {
	defer s.client.Close()
	// The timers of Go wake a whole millisecond late, which would be half of what is
	// measured here.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	begin := time.Now()
	for ctx.Err() == nil {
		due := begin.Add(time.Duration(n) * time.Second / perSecond)
		if early := time.Until(due); early > 0 {
			wait := syscall.NsecToTimespec(early.Nanoseconds())
			_ = syscall.Nanosleep(&wait, nil)
			continue // a signal may have ended it
		}
		f := s.values[n%int64(len(s.values))]
		value := slices.Clone(f.value)
		copy(value[bytes.Index(value, intended)+len(intended):], strconv.FormatInt(due.UnixNano(), 10))
		s.client.Produce(context.Background(), &kgo.Record{Key: f.key, Value: value}, func(_ *kgo.Record, err error) {
			if err != nil {
				s.t.Errorf("sending: %v", err)
			}
		})
		n++
	}
	if err := s.client.Flush(context.Background()); err != nil {
		s.t.Errorf("sending: %v", err)
	}
	return n
}

// A reading is the independent reader of the output.
type reading struct {
	client *kgo.Client
	count  atomic.Int64
	done   chan struct{}
	all    []arrival // valid when done is closed
}

// An arrival is when a record was to be sent and when it was read.
type arrival struct{ due, read int64 }

func newReading(t *testing.T, broker, topic string) *reading {
	c, err := kgo.NewClient(kgo.SeedBrokers(broker), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	return &reading{client: c, done: make(chan struct{})}
}

func (r *reading) follow(ctx context.Context) {
	defer close(r.done)
	defer r.client.Close()
	for ctx.Err() == nil {
		fetches := r.client.PollFetches(ctx)
		now := time.Now().UnixNano()
		fetches.EachRecord(func(rec *kgo.Record) {
			_, rest, _ := bytes.Cut(rec.Value, intended)
			due, err := strconv.ParseInt(string(rest[:19]), 10, 64)
			if err != nil {
				panic(err) // a record that we did not write
			}
			r.all = append(r.all, arrival{due, now})
			r.count.Add(1)
		})
	}
}

// between gives the latencies of the records that were to be sent in a time, in order of
// size.
func (r *reading) between(from, until time.Time) (taken []time.Duration) {
	for _, a := range r.all {
		if a.due >= from.UnixNano() && a.due < until.UnixNano() {
			taken = append(taken, time.Duration(a.read-a.due))
		}
	}
	slices.Sort(taken)
	return taken
}
