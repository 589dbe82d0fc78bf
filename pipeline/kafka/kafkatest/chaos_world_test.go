package kafkatest_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/event"
	"github.com/penstockio/penstock/pipeline/kafka"
	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
	"github.com/penstockio/penstock/pipeline/source"
	"github.com/penstockio/penstock/sinks"
)

// A world is one run of a plan.
type world struct {
	*plan
	t       *testing.T
	cluster *kafkatest.Cluster
	wire    *kafkatest.Wire
	addrs   []string // of the brokers
	history kafkatest.History
	ref     *referee
	began   time.Time
	client  *kgo.Client // of what is fed
	members map[int]*chaosMember
	stops   sync.WaitGroup
	fed     int // records, for their keys
}

// A chaosMember is one pipeline of the group.
type chaosMember struct {
	w      *world
	n      int
	name   string
	log    *logLines
	cancel context.CancelFunc
	done   chan struct{} // closed when the last Run has returned
	err    error         // of that Run; to be read after done
	killed bool
	ending bool // stop or kill has been called

	mu      sync.Mutex
	aborted bool
	p       *pipeline.Pipeline
	source  *source.Kafka
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

const (
	finishing = 4 * time.Minute // in which all must be finished after the faults
	look      = 100 * time.Millisecond
	rebalance = 20 * time.Second
	resting   = 45 * time.Second // in which requests that were lost are given up, and the group comes to rest
)

func (w *world) run() {
	w.began = time.Now()
	w.cluster = kafkatest.StartFake(w.t, kafkatest.Virtual(), kafkatest.Brokers(w.brokers))
	w.addrs = w.cluster.Addrs()
	w.ref = newReferee(w)
	for topic, n := range w.parts {
		if err := w.cluster.Fake().CreateTopic(topic, n, nil); err != nil {
			w.t.Fatal(err)
		}
	}
	w.wire = kafkatest.NewWire(w.t, w.cluster, w.fault)
	w.dial()
	w.members = map[int]*chaosMember{}
	w.t.Cleanup(func() { // whatever has failed
		for _, m := range w.members {
			m.abort()
			m.exit()
		}
		w.client.Close()
	})
	for _, a := range w.acts {
		time.Sleep(time.Until(w.began.Add(a.at)))
		w.do(a)
		if w.t.Failed() {
			break
		}
	}
	time.Sleep(time.Until(w.began.Add(w.length)))
	w.finish()
	w.stops.Wait()
	if !w.t.Failed() {
		time.Sleep(resting)
	}
	for _, m := range w.members {
		if !m.ending {
			m.ending = true
			m.cancel()
			m.exit()
			if m.err != nil {
				w.t.Errorf("%s, stopped after the faults: %v", m.name, m.err)
			}
		}
	}
	w.ref.sample()
	w.wire.Close()
	if !w.t.Failed() || w.ref.bad {
		w.ref.check()
	}
}

func (w *world) now() time.Duration { return time.Since(w.began).Round(time.Microsecond) }

func (w *world) dial() {
	var err error
	w.client, err = kgo.NewClient(kgo.SeedBrokers(w.addrs...), kgo.Dialer(w.cluster.Dial),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.MetadataMinAge(10*time.Millisecond), kgo.ProducerLinger(0))
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) do(a act) {
	f := w.cluster.Fake()
	switch a.what {
	case "feed":
		w.feed(a.who)
	case "start":
		w.start(a.who)
	case "stop":
		m := w.members[a.who]
		m.ending = true
		w.stops.Go(func() { m.cancel(); m.exit() })
	case "kill":
		m := w.members[a.who]
		m.ending, m.killed = true, true
		w.wire.Kill(m.name)
		w.stops.Go(func() { m.abort(); m.exit() })
	case "move":
		_ = f.MoveTopicPartition(a.topic, int32(a.who)%w.parts[a.topic], int32(a.who)%int32(w.brokers))
	case "shuffle":
		f.ShufflePartitionLeaders()
	case "rehash":
		f.RehashCoordinators()
	case "break":
		w.wire.Break("", w.addrs[a.who%w.brokers])
	case "widen":
		w.cluster.AddPartitions(w.t, a.topic, int(w.parts[a.topic])+2)
		w.parts[a.topic] += 2
		w.client.Close()
		w.dial()
	case "delete":
		w.ref.delete(a.topic, func() error { return f.DeleteTopic(a.topic) })
	case "create":
		if err := f.CreateTopic(a.topic, w.parts[a.topic], nil); err != nil {
			w.t.Error(err)
		}
	case "remake":
		w.client.Close()
		w.ref.remake(a.topic, func() {
			if err := errors.Join(f.DeleteTopic(a.topic), f.CreateTopic(a.topic, w.parts[a.topic], nil)); err != nil {
				w.t.Error(err)
			}
		})
		w.dial()
	default:
		w.t.Fatalf("%s is no act", a.what)
	}
}

// feed writes records to the inputs, past the wire.
func (w *world) feed(n int) {
	var recs []*kgo.Record
	for range n {
		topic := input
		if w.parts[spare] > 0 && w.fed%3 == 0 {
			topic = spare
		}
		p := int32(w.fed) % w.parts[topic]
		rec := &kgo.Record{Topic: topic, Partition: p, Value: []byte(w.ref.name(topic, p))}
		if w.fed%5 > 0 {
			rec.Key = fmt.Append(nil, "k", w.fed%7)
		}
		recs = append(recs, rec)
		w.fed++
	}
	if err := w.client.ProduceSync(context.Background(), recs...).FirstErr(); err != nil {
		w.t.Fatalf("feeding: %v", err)
	}
	w.ref.fed(recs)
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
func (m *chaosMember) build() (*pipeline.Pipeline, error) {
	w := m.w
	s := source.DefaultKafka()
	s.Brokers, s.Topics, s.Group, s.OnGap = w.addrs, []string{input}, group, "earliest"
	if w.parts[spare] > 0 {
		s.Topics = append(s.Topics, spare)
	}
	s.Session, s.Heartbeat, s.Rebalance = w.session, w.beat, rebalance
	k, err := source.NewKafka(s, source.KafkaOptions{Pipeline: group, Drain: w.drain, Dial: kafka.DialFunc(w.wire.Dial(m.name))})
	if err != nil {
		return nil, err
	}
	sink := func(topic, partitioner string) *sinks.Kafka {
		s := sinks.DefaultKafka()
		s.Partitioner, s.Compression = partitioner, "none"
		err = errors.Join(err, s.Topic.UnmarshalText([]byte(topic)))
		sink, failed := sinks.NewKafka(s, k)
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
	o := pipeline.Options{
		Name: group, Source: k, Order: w.order, Drain: w.drain + time.Second, CommitEvery: w.commit,
		Sinks:      []pipeline.Output{{Name: "out", Kind: "kafka", Sink: out, Timeout: w.timeout}},
		DeadLetter: pipeline.Output{Name: "dead", Kind: "kafka", Sink: dead, Timeout: w.timeout},
		Events:     event.New(m.log, event.Options{}).Pipeline(group),
	}
	if w.budget > 0 {
		o.Budget = pipeline.NewBudget(w.budget, 0)
	}
	if w.slow > 0 {
		o.Steps = []pipeline.Step{{Name: "wait", Kind: "wait", Stage: stage(w.waits), Waits: true, Workers: 8}}
	}
	p, err := pipeline.New(o)
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

// ended says which member has ended by itself.
func (w *world) ended() *chaosMember {
	for _, m := range w.members {
		select {
		case <-m.done:
			if !m.ending {
				return m
			}
		default:
		}
	}
	return nil
}

// finish waits until all that was fed is committed.
func (w *world) finish() {
	for began := time.Now(); ; time.Sleep(look) {
		w.ref.sample()
		left := w.ref.left()
		if left == "" {
			return
		}
		m := w.ended()
		if m != nil {
			w.t.Errorf("at %v: %s has ended: %v", w.now(), m.name, m.err)
		} else if time.Since(began) > finishing {
			w.t.Errorf("%v after the faults it is not finished: %s", finishing, left)
		} else {
			continue
		}
		w.dump()
		for _, m := range w.members {
			m.ending = true
			m.abort()
		}
		return
	}
}

// dump says what the members wait for.
func (w *world) dump() {
	for _, m := range w.members {
		if m.ending {
			continue
		}
		flight := m.p.InFlight()
		w.t.Logf("%s: %+v; %d in flight: %.1000s", m.name, m.source.Report(), len(flight), fmt.Sprintf("%+v", flight))
	}
	info := w.cluster.Fake().GroupInfo(group)
	w.t.Logf("group: %+v", info)
}

// tale is what the members have logged of their source, and the commits, in order.
func (w *world) tale() string {
	type line struct {
		at   time.Duration
		text string
	}
	var all []line
	for _, m := range w.members {
		lines, times := m.log.lines()
		for i, text := range lines {
			if bytes.Contains(text, []byte(`stats"`)) {
				continue
			}
			all = append(all, line{times[i], m.name + " " + brief(text)})
		}
	}
	for _, m := range w.ref.marks {
		all = append(all, line{m.at, fmt.Sprintf("commit of %v: %d", m.lane, m.offset)})
	}
	slices.SortStableFunc(all, func(a, b line) int { return cmp.Compare(a.at, b.at) })
	var b strings.Builder
	for _, l := range all[:min(len(all), 600)] {
		fmt.Fprintf(&b, "%12v %s\n", l.at.Round(time.Millisecond), l.text)
	}
	return b.String()
}

// brief leaves out of a line what says little here.
func brief(line []byte) string {
	m := map[string]any{}
	if json.Unmarshal(line, &m) != nil {
		return string(line)
	}
	var b strings.Builder
	fmt.Fprint(&b, m["level"], " ", m["event_name"], ":")
	for _, k := range slices.Sorted(maps.Keys(m)) {
		switch k {
		case "level", "event_name", "timestamp", "service_name", "service_version", "service_instance_id", "pipeline", "event_kind", "consumer_group", "member_id", "severity", "time", "schema", "v", "event_id":
		default:
			fmt.Fprintf(&b, " %s=%.200v", k, m[k])
		}
	}
	return b.String()
}

// fault is what the plan has in store for a call.
func (w *world) fault(c *kafkatest.Call) (f kafkatest.Fault) {
	key := kmsg.Key(c.Req.Key())
	var see []func(*kafkatest.Call, kmsg.Response)
	var edit []func(kmsg.Response)
	switch key {
	case kmsg.OffsetCommit:
		see = append(see, func(*kafkatest.Call, kmsg.Response) { w.ref.sample() })
	case kmsg.OffsetFetch:
		see = append(see, w.ref.tells)
	case kmsg.Metadata:
		see = append(see, func(_ *kafkatest.Call, r kmsg.Response) { w.history.See(r.(*kmsg.MetadataResponse)) })
	}
	at := time.Since(w.began)
	for i, e := range w.episodes {
		if e.key != key || at < e.from || at >= e.to || e.client != "" && e.client != c.Client ||
			e.broker >= 0 && w.addrs[e.broker] != c.Broker {
			continue
		}
		w.befall(c, i, e, &f, &edit)
	}
	if len(see) > 0 {
		f.Seen = func(c *kafkatest.Call, r kmsg.Response) {
			for _, s := range see {
				s(c, r)
			}
		}
	}
	if len(edit) > 0 {
		f.Edit = func(r kmsg.Response) {
			for _, e := range edit {
				e(r)
			}
		}
	}
	if f.Hold > 0 && key == kmsg.OffsetCommit {
		f.Unless = w.ref.late
	}
	return f
}

func (w *world) befall(c *kafkatest.Call, i int, e episode, f *kafkatest.Fault, edit *[]func(kmsg.Response)) {
	match := func(topic string, partition int32) bool {
		return (e.topic == "" || e.topic == topic) && (e.only < 0 || e.only == partition) && w.roll(i, c, topic, partition) < e.share
	}
	whole := w.roll(i, c) < e.share
	switch e.what {
	case "refuse":
		if e.topic != "" || e.key == kmsg.Metadata { // of some partitions: the true answer, changed
			*edit = append(*edit, func(r kmsg.Response) { kafkatest.SetCode(r, e.code, match) })
			if e.key != kmsg.Metadata && e.key != kmsg.OffsetFetch && whole {
				f.Answer = kafkatest.Refusal(c.Req, e.code)
			}
		} else if whole {
			f.Answer = kafkatest.Refusal(c.Req, e.code)
		}
	case "doubt":
		*edit = append(*edit, func(r kmsg.Response) { doubt(r, e.code, match, whole) })
	case "cut":
		if whole {
			f.Cut = kafkatest.CutAnswer
		}
	case "tear":
		if whole {
			f.Cut = kafkatest.CutMidway
		}
	case "early":
		if whole {
			f.Cut = kafkatest.CutRequest
		}
	case "hold":
		if whole {
			f.Hold = time.Duration(w.roll(i, c, "hold") * float64(e.pause))
		}
	case "late":
		if whole {
			f.Delay = time.Duration(w.roll(i, c, "late") * float64(e.pause))
		}
	case "swallow":
		f.Swallow = f.Swallow || whole
	case "age":
		if whole {
			*edit = append(*edit, func(r kmsg.Response) { w.history.Age(r.(*kmsg.MetadataResponse), time.Since(w.began)-e.from) })
		}
	}
}

// doubt sets a code where the broker has done what was asked.
func doubt(resp kmsg.Response, code int16, match kafkatest.Match, whole bool) {
	type place struct {
		topic     string
		partition int32
	}
	done := map[place]bool{}
	switch r := resp.(type) {
	case *kmsg.ProduceResponse:
		for _, t := range r.Topics {
			for _, p := range t.Partitions {
				done[place{t.Topic, p.Partition}] = p.ErrorCode == 0
			}
		}
	case *kmsg.OffsetCommitResponse:
		for _, t := range r.Topics {
			for _, p := range t.Partitions {
				done[place{t.Topic, p.Partition}] = p.ErrorCode == 0
			}
		}
	case *kmsg.HeartbeatResponse:
		if whole && r.ErrorCode == 0 {
			kafkatest.SetCode(r, code, nil)
		}
		return
	case *kmsg.SyncGroupResponse:
		if whole && r.ErrorCode == 0 {
			kafkatest.SetCode(r, code, nil)
		}
		return
	}
	kafkatest.SetCode(resp, code, func(topic string, partition int32) bool {
		return done[place{topic, partition}] && match(topic, partition)
	})
}
