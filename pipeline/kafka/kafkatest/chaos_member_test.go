package kafkatest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"sync"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/engine"
	"github.com/penstockio/penstock/pipeline/event"
	"github.com/penstockio/penstock/pipeline/kafka"
	kafkasource "github.com/penstockio/penstock/pipeline/source/kafka"
	kafkasink "github.com/penstockio/penstock/sinks/kafka"
)

// A chaosMember is one pipeline of the group.
type chaosMember struct {
	w      *world
	n      int
	name   string
	log    *logLines
	cancel context.CancelFunc
	done   chan struct{} // closed when the last Run has returned
	err    error         // of that Run; to be read after done
	ending bool          // stop or kill has been called

	mu      sync.Mutex
	aborted bool
	p       *engine.Pipeline
	source  *kafkasource.Source
	parts   []closer
}

type logLines struct {
	mu    sync.Mutex
	began time.Time
	all   [][]byte
	at    []time.Duration
}

func (l *logLines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range bytes.Lines(b) {
		l.all = append(l.all, bytes.Clone(line))
		l.at = append(l.at, time.Since(l.began))
	}
	return len(b), nil
}

func (l *logLines) lines() ([][]byte, []time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all, l.at
}

type stage func(ctx context.Context, rec *pipeline.Record) error

func (s stage) Process(ctx context.Context, rec *pipeline.Record) error { return s(ctx, rec) }

// waits takes a time that depends on the record alone.
func (w *world) waits(ctx context.Context, rec *pipeline.Record) error {
	h := fnv.New32a()
	_, _ = h.Write(rec.Value())
	select {
	case <-time.After(w.slow * time.Duration(h.Sum32()%100) / 100):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// start begins a member, as a supervisor does: one that cannot reach the cluster when
// it begins is begun again.
func (w *world) start(n int) {
	m := &chaosMember{w: w, n: n, name: fmt.Sprint("m", n), log: &logLines{began: w.began}, done: make(chan struct{})}
	w.members[n] = m
	ctx, cancel := context.WithCancel(context.Background())
	m.cancel = cancel
	go func() {
		defer close(m.done)
		var unreachable *pipeline.EnvironmentError
		for {
			p, err := m.build()
			if err == nil {
				err = p.Run(ctx)
			}
			if m.err = err; !errors.As(err, &unreachable) || ctx.Err() != nil {
				return
			}
			m.close()
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
			}
		}
	}()
}

// build makes the pipeline of one run.
func (m *chaosMember) build() (*engine.Pipeline, error) {
	w := m.w
	s := kafkasource.Defaults()
	s.Brokers, s.Topics, s.Group, s.OnGap = w.addrs, []string{input}, group, "earliest"
	if w.parts[spare] > 0 {
		s.Topics = append(s.Topics, spare)
	}
	s.Session, s.Heartbeat, s.Rebalance = w.session, w.beat, rebalance
	k, err := kafkasource.New(s, kafkasource.Options{Pipeline: group, Drain: w.drain, Dial: kafka.DialFunc(w.wire.Dial(m.name))})
	if err != nil {
		return nil, err
	}
	sink := func(topic, partitioner string) *kafkasink.Sink {
		s := kafkasink.Defaults()
		s.Partitioner, s.Compression = partitioner, "none"
		err = errors.Join(err, s.Topic.UnmarshalText([]byte(topic)))
		sink, failed := kafkasink.New(s, k)
		err = errors.Join(err, failed)
		return sink
	}
	partitioner := "source"
	if w.byKey {
		partitioner = "murmur2"
	}
	to := output
	if w.family == "topics" {
		to, partitioner = "to-{meta.partition}", "murmur2"
	}
	out, dead := sink(to, partitioner), sink(letter, "murmur2")
	if err != nil {
		return nil, err
	}
	o := engine.Options{
		Name: group, Source: k, Order: w.order, Drain: w.drain + time.Second, CommitEvery: w.commit,
		Sinks:      []engine.Output{{Name: "out", Kind: "kafka", Sink: out, Timeout: w.timeout}},
		DeadLetter: engine.DeadLetter{Name: "dead", Kind: "kafka", Sink: dead, Timeout: w.timeout},
		Events:     event.New(m.log, event.Options{}).Pipeline(group),
	}
	if w.budget > 0 {
		o.Budget = engine.NewBudget(w.budget, 0)
	}
	if w.slow > 0 {
		o.Steps = []engine.Step{{Name: "wait", Kind: "wait", Stage: stage(w.waits), Wait: &engine.Wait{}, Workers: 8}}
	}
	p, err := engine.New(o)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.p, m.source, m.parts = p, k, []closer{k, out, dead}
	if m.aborted && p != nil {
		p.Abort()
	}
	return p, err
}

type closer interface{ Close(context.Context) error }

// close closes what a pipeline may not have been able to close in its time.
func (m *chaosMember) close() {
	m.mu.Lock()
	parts := m.parts
	m.mu.Unlock()
	for _, c := range parts {
		_ = c.Close(context.Background())
	}
}

// abort ends the member soon.
func (m *chaosMember) abort() {
	m.mu.Lock()
	m.aborted = true
	if m.p != nil {
		m.p.Abort()
	}
	m.mu.Unlock()
	m.cancel()
}

// exit waits for the end of Run and does what the end of the process does.
func (m *chaosMember) exit() {
	<-m.done
	m.w.wire.Kill(m.name)
	m.close()
}
