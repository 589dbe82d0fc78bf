package kafkasource

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/engine"
	"github.com/penstockio/penstock/pipeline/event"
	"github.com/penstockio/penstock/pipeline/kafka"
	"github.com/penstockio/penstock/pipeline/kafka/connect"
	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
	"github.com/penstockio/penstock/pipeline/pipelinetest"
)

// A testRun is a pipeline from a Kafka source to memory.
type testRun struct {
	t      *testing.T
	p      *engine.Pipeline
	k      *Source
	sink   *pipelinetest.Memory
	budget *engine.Budget
	log    *lines
	began  time.Time
	cancel context.CancelFunc
	done   chan error
}

// lines keeps what an emitter writes.
type lines struct {
	mu  sync.Mutex
	all []map[string]any
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range bytes.Lines(b) {
		m := map[string]any{}
		if err := json.Unmarshal(line, &m); err != nil {
			return 0, err
		}
		l.all = append(l.all, m)
	}
	return len(b), nil
}

// named gives the events of a name.
func (l *lines) named(name string) (out []map[string]any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range l.all {
		if m["event_name"] == name {
			out = append(out, m)
		}
	}
	return out
}

// has says whether a line without an event's name begins with this text.
func (l *lines) has(text string) bool { return l.count(text) > 0 }

// count gives the number of such lines.
func (l *lines) count(text string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range l.all {
		if s, _ := m["message"].(string); strings.HasPrefix(s, text) {
			n++
		}
	}
	return n
}

const patience = 60 * time.Second

// startRun runs a pipeline; change may edit the options before.
func startRun(t *testing.T, s Settings, change ...func(*engine.Options)) *testRun {
	t.Helper()
	return startRunWith(t, s, Options{Pipeline: "test", Drain: 5 * time.Second}, change...)
}

// startRunDial is startRun with a dialer.
func startRunDial(t *testing.T, dial kafka.DialFunc, s Settings, change ...func(*engine.Options)) *testRun {
	t.Helper()
	return startRunWith(t, s, Options{Pipeline: "test", Drain: 5 * time.Second, Dial: dial}, change...)
}

// startRunWith is startRun with options for the source.
func startRunWith(t *testing.T, s Settings, ko Options, change ...func(*engine.Options)) *testRun {
	t.Helper()
	r := newTestRun(t, s, ko, change...)
	ctx, cancel := context.WithTimeout(context.Background(), 10*patience)
	r.begin(ctx, cancel)
	return r
}

// newTestRun makes a run that has not begun.
func newTestRun(t *testing.T, s Settings, ko Options, change ...func(*engine.Options)) *testRun {
	t.Helper()
	k, err := New(s, ko)
	if err != nil {
		t.Fatal(err)
	}
	r := &testRun{t: t, k: k, sink: &pipelinetest.Memory{}, log: &lines{}, began: time.Now(), done: make(chan error, 1)}
	r.budget = engine.NewBudget(0, 0)
	o := engine.Options{
		Name: "test", Source: k, Budget: r.budget, Drain: 10 * time.Second, CommitEvery: 50 * time.Millisecond,
		Sinks:  []engine.Output{{Name: "memory", Kind: "memory", Sink: r.sink}},
		Events: event.New(r.log, event.Options{}).Pipeline("test"),
	}
	for _, f := range change {
		f(&o)
	}
	r.budget = o.Budget
	if r.p, err = engine.New(o); err != nil {
		t.Fatal(err)
	}
	return r
}

// begin runs the pipeline until cancel is called, by the end of the test at the latest.
func (r *testRun) begin(ctx context.Context, cancel context.CancelFunc) {
	r.cancel = cancel
	go func() { r.done <- r.p.Run(ctx) }()
	r.t.Cleanup(func() { cancel(); <-r.done })
}

// end waits for the end of the run.
func (r *testRun) end() error {
	r.t.Helper()
	select {
	case err := <-r.done:
		r.done <- err
		return err
	case <-time.After(patience + 20*time.Second):
		r.t.Fatal("the pipeline does not end")
	}
	return nil
}

// stop ends the run and wants it clean.
func (r *testRun) stop() {
	r.t.Helper()
	r.cancel()
	if err := r.end(); err != nil {
		r.t.Fatal(err)
	}
}

// until waits for something to come true.
func (r *testRun) until(what string, ok func() bool) {
	r.t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	late := time.After(patience)
	for !ok() {
		select {
		case <-tick.C:
		case err := <-r.done:
			r.done <- err
			if ok() {
				return
			}
			r.t.Fatalf("waiting until %s: the pipeline ended: %v", what, err)
		case <-late:
			r.t.Fatalf("waiting until %s: it does not happen; %d records came", what, len(r.sink.Records()))
		}
	}
}

func (r *testRun) has(n int) {
	r.t.Helper()
	r.until(fmt.Sprintf("%d records are there", n), func() bool { return len(r.sink.Records()) >= n })
}

func groupSettings(k *kafkatest.Cluster, group string, topics ...string) Settings {
	s := Defaults()
	s.Brokers, s.Topics, s.Group = k.Addrs(), topics, group
	return s
}

// fill writes records numbered from first, to the partitions in turn.
func fill(t *testing.T, k *kafkatest.Cluster, topic string, partitions, first, n int) {
	t.Helper()
	recs := make([]*kgo.Record, n)
	for i := range recs {
		recs[i] = &kgo.Record{Partition: int32((first + i) % partitions), Key: fmt.Appendf(nil, "k%d", i%7), Value: fmt.Appendf(nil, "%d", first+i)}
	}
	k.Produce(t, topic, recs...)
}

// check wants every number below n at least once, once only if exact, and ascending
// offsets in each partition, repeats aside.
func check(t *testing.T, n int, exact bool, sinks ...*pipelinetest.Memory) {
	t.Helper()
	seen := map[string]int{}
	for _, s := range sinks {
		last := map[int32]int64{}
		for _, rec := range s.Records() {
			if at, ok := last[rec.Partition]; ok && rec.Offset <= at && exact {
				t.Errorf("%v after %d", rec.Position, at)
			}
			last[rec.Partition] = rec.Offset
			seen[string(rec.Value())]++
		}
	}
	for i := range n {
		switch c := seen[fmt.Sprint(i)]; {
		case c == 0:
			t.Fatalf("record %d is lost, %d different ones came", i, len(seen))
		case c > 1 && exact:
			t.Fatalf("record %d came %d times", i, c)
		}
	}
	if len(seen) != n {
		t.Fatalf("%d different records, not %d", len(seen), n)
	}
}

func TestKafkaReadsToTheEndAndCommits(t *testing.T) {
	k := kafkatest.Start(t)
	topic, group := k.Topic(t, 4), k.Group(t)
	fill(t, k, topic, 4, 0, 1000)
	s := groupSettings(k, group, topic)
	s.Stop = "end"
	r := startRun(t, s)
	if err := r.end(); err != nil {
		t.Fatal(err)
	}
	check(t, 1000, true, r.sink)
	for p, at := range k.Committed(t, group)[topic] {
		if at != 250 {
			t.Errorf("partition %d committed at %d", p, at)
		}
	}
	again := startRun(t, s)
	if err := again.end(); err != nil || len(again.sink.Records()) > 0 {
		t.Fatalf("%v, %d records in a second run", err, len(again.sink.Records()))
	}
	assigned := r.log.named("source.assigned")
	if len(assigned) != 1 || assigned[0]["partition_list"] != topic+":0-3" || assigned[0]["consumer_group"] != group {
		t.Error(assigned)
	}
	if len(r.log.named("source.connected")) != 1 || len(r.log.named("source.revoked")) != 1 {
		t.Error(r.log.all)
	}
}

func TestKafkaKeepsRecordsAsTheyAre(t *testing.T) {
	k := kafkatest.Start(t)
	topic := k.Topic(t, 1)
	at := time.UnixMilli(time.Now().UnixMilli() - 5000)
	k.Produce(t, topic,
		&kgo.Record{Key: nil, Value: nil, Timestamp: at},
		&kgo.Record{Key: []byte{}, Value: []byte{}, Timestamp: at, Headers: []kgo.RecordHeader{{Key: "b", Value: nil}, {Key: "a", Value: []byte{}}, {Key: "b", Value: []byte("2")}}},
	)
	s := groupSettings(k, k.Group(t), topic)
	s.Stop = "end"
	r := startRun(t, s)
	if err := r.end(); err != nil {
		t.Fatal(err)
	}
	recs := r.sink.Records()
	if len(recs) != 2 || recs[0].Key() != nil || !recs[0].Tombstone() || recs[0].Headers() != nil || recs[0].Time != at.UnixMilli() {
		t.Fatal(recs)
	}
	h := recs[1].Headers()
	if recs[1].Key() == nil || recs[1].Tombstone() || len(h) != 3 || h[0].Name != "b" || h[0].Value != nil || h[1].Value == nil || string(h[2].Value) != "2" {
		t.Fatal(recs[1])
	}
}

func TestKafkaGoesOnWhereItStopped(t *testing.T) {
	k := kafkatest.Start(t)
	topic, group := k.Topic(t, 3), k.Group(t)
	s := groupSettings(k, group, topic)
	var sinks []*pipelinetest.Memory
	for round := range 3 {
		fill(t, k, topic, 3, round*300, 300)
		r := startRun(t, s)
		sinks = append(sinks, r.sink)
		r.has(100)
		r.stop()
	}
	s.Stop = "end"
	r := startRun(t, s)
	if err := r.end(); err != nil {
		t.Fatal(err)
	}
	check(t, 900, true, append(sinks, r.sink)...)
}

func TestKafkaSharesPartitions(t *testing.T) {
	k := kafkatest.Start(t)
	topic, group := k.Topic(t, 6), k.Group(t)
	s := groupSettings(k, group, topic)
	fill(t, k, topic, 6, 0, 600)
	one := startRun(t, s)
	one.has(600)
	two := startRun(t, s)
	two.until("the second member has its share", func() bool { return len(two.k.Report().Partitions) == 3 && len(one.k.Report().Partitions) == 3 })
	fill(t, k, topic, 6, 600, 600)
	two.until("all is read", func() bool { return len(one.sink.Records())+len(two.sink.Records()) >= 1200 })
	two.stop()
	one.until("the first has everything again", func() bool { return len(one.k.Report().Partitions) == 6 })
	fill(t, k, topic, 6, 1200, 60)
	one.until("all is read", func() bool { return len(one.sink.Records())+len(two.sink.Records()) >= 1260 })
	one.stop()
	check(t, 1260, true, one.sink, two.sink)
	if len(one.log.named("source.revoked")) == 0 {
		t.Error("nothing was revoked")
	}
}

func TestKafkaStartsWhereItIsTold(t *testing.T) {
	k := kafkatest.Start(t)
	topic := k.Topic(t, 1)
	now := time.Now()
	for i := range 10 {
		k.Produce(t, topic, &kgo.Record{Value: fmt.Appendf(nil, "%d", i), Timestamp: now.Add(time.Duration(i-10) * time.Minute)})
	}
	for start, want := range map[string]int{
		"earliest": 10, "latest": 0,
		now.Add(-6*time.Minute - 30*time.Second).Format(time.RFC3339): 6,
		now.Add(time.Hour).Format(time.RFC3339):                       0,
	} {
		s := groupSettings(k, k.Group(t), topic)
		s.Start, s.Stop = start, "end"
		r := startRun(t, s)
		if err := r.end(); err != nil || len(r.sink.Records()) != want {
			t.Errorf("start %s: %d records, %v", start, len(r.sink.Records()), err)
		}
		if at := k.Committed(t, s.Group)[topic][0]; at != 10 {
			t.Errorf("start %s: committed at %d", start, at)
		}
	}
	s := groupSettings(k, k.Group(t), topic)
	s.Stop = now.Add(-3*time.Minute - 30*time.Second).Format(time.RFC3339)
	r := startRun(t, s)
	if err := r.end(); err != nil || len(r.sink.Records()) != 7 {
		t.Errorf("stop %s: %d records, %v", s.Stop, len(r.sink.Records()), err)
	}
}

func TestKafkaNeverSkipsAGapInSilence(t *testing.T) {
	k := kafkatest.Start(t)
	for name, tc := range map[string]struct {
		at     int64 // committed
		policy string
		reason string
		want   int // records
		to     float64
	}{
		"deleted, stop":      {2, "stop", gapDeleted, 0, 5},
		"deleted, earliest":  {2, "earliest", gapDeleted, 5, 5},
		"deleted, latest":    {2, "latest", gapDeleted, 0, 10},
		"beyond, stop":       {99, "stop", gapBeyond, 0, 5},
		"beyond, earliest":   {99, "earliest", gapBeyond, 5, 5},
		"beyond, latest":     {99, "latest", gapBeyond, 0, 10},
		"at the start, stop": {5, "stop", "", 5, 0},
		"at the end, stop":   {10, "stop", "", 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			topic, group := k.Topic(t, 1), k.Group(t)
			fill(t, k, topic, 1, 0, 10)
			cut, commit := kadm.Offsets{}, kadm.Offsets{}
			cut.AddOffset(topic, 0, 5, -1)
			commit.AddOffset(topic, 0, tc.at, -1)
			if _, err := k.Admin(t).DeleteRecords(t.Context(), cut); err != nil {
				t.Fatal(err)
			}
			if err := k.Admin(t).CommitAllOffsets(t.Context(), group, commit); err != nil {
				t.Fatal(err)
			}
			s := groupSettings(k, group, topic)
			s.OnGap = tc.policy
			r := startRun(t, s)
			if tc.reason != "" {
				r.until("the gap is told", func() bool { return len(r.log.named("source.gap")) > 0 })
			}
			if tc.policy == "stop" && tc.reason != "" {
				err := r.end()
				if err == nil || !strings.Contains(err.Error(), topic+"/0") || !strings.Contains(err.Error(), "on_gap") {
					t.Fatal(err)
				}
			} else {
				r.has(tc.want)
				fill(t, k, topic, 1, 10, 1)
				r.has(tc.want + 1)
				r.stop()
				if at := k.Committed(t, group)[topic][0]; at != 11 {
					t.Errorf("committed at %d", at)
				}
			}
			gaps := r.log.named("source.gap")
			if tc.reason == "" {
				if len(gaps) > 0 {
					t.Fatal(gaps)
				}
				return
			}
			if len(gaps) != 1 || gaps[0]["reason"] != tc.reason || gaps[0]["policy"] != tc.policy || gaps[0]["offset_from"] != float64(tc.at) || gaps[0]["offset_to"] != tc.to {
				t.Fatal(gaps)
			}
		})
	}
}

func TestKafkaNoticesATopicThatWasMadeAnew(t *testing.T) {
	k := kafkatest.Start(t)
	topic, group := k.Topic(t, 1), k.Group(t)
	fill(t, k, topic, 1, 0, 10)
	r := startRun(t, groupSettings(k, group, topic))
	r.has(10)
	if _, err := k.Admin(t).DeleteTopics(t.Context(), topic); err != nil {
		t.Fatal(err)
	}
	r.until("the topic can be made again", func() bool {
		a, err := k.Admin(t).CreateTopic(t.Context(), 1, -1, nil, topic)
		return err == nil && a.Err == nil
	})
	fill(t, k, topic, 1, 10, 30)
	// Either the group takes the partition away and gives it back, or the source sees
	// another topic behind the name: never does it go on at offset 10 in silence.
	r.until("it is noticed", func() bool {
		return len(r.log.named("source.gap")) > 0 || len(r.sink.Records()) >= 40
	})
	if len(r.log.named("source.gap")) == 0 {
		check(t, 40, false, r.sink)
	}
}

// corrupt has a kfake cluster answer fetches at an offset with these batches.
func corrupt(k *kafkatest.Cluster, at int64, raw []byte) {
	k.Fake().ControlKey(int16(kmsg.Fetch), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
		k.Fake().KeepControl()
		req := kreq.(*kmsg.FetchRequest)
		if len(req.Topics) != 1 || len(req.Topics[0].Partitions) != 1 || req.Topics[0].Partitions[0].FetchOffset != at {
			return nil, nil, false
		}
		resp := req.ResponseKind().(*kmsg.FetchResponse)
		p := kmsg.NewFetchResponseTopicPartition()
		p.HighWatermark, p.LastStableOffset, p.LogStartOffset = 100, 100, 0
		p.RecordBatches = raw
		topic := kmsg.NewFetchResponseTopic()
		topic.Topic, topic.TopicID = req.Topics[0].Topic, req.Topics[0].TopicID
		topic.Partitions = append(topic.Partitions, p)
		resp.Topics = append(resp.Topics, topic)
		return resp, nil, true
	})
}

// A batch that cannot be read is told and stops the source, or is passed over by the
// policy: one whose checksum is wrong, and one whose records are.
func TestKafkaNeverSkipsACorruptBatchInSilence(t *testing.T) {
	flipped := craft{base: 2, values: numbered(2, 2)}.bytes(t)
	flipped[len(flipped)-1] ^= 1
	cut := func(packed []byte) []byte { return packed[:len(packed)-3] }
	for reason, raw := range map[string][]byte{
		"crc":        flipped,
		"compressed": craft{base: 2, values: numbered(2, 2), codec: codecs["snappy"], squash: cut}.bytes(t),
	} {
		for _, policy := range []string{"stop", "skip"} {
			t.Run(reason+"/"+policy, func(t *testing.T) {
				k := kafkatest.StartFake(t)
				topic, group := k.Topic(t, 1), k.Group(t)
				fill(t, k, topic, 1, 0, 6)
				// The good ones in front and behind come with it.
				corrupt(k, 0, slices.Concat(craft{values: []string{"0", "1"}}.bytes(t), raw, craft{base: 4, values: []string{"4"}}.bytes(t)))
				s := groupSettings(k, group, topic)
				s.OnCorrupt = policy
				r := startRun(t, s)
				if policy == "stop" {
					err := r.end()
					if err == nil || !strings.Contains(err.Error(), "on_corrupt") || !strings.Contains(err.Error(), "reading "+topic+"/0: reading the batch at offset 2: ") {
						t.Fatal(err)
					}
				} else {
					r.has(4)
					r.stop()
					if v := string(bytes.Join(r.sink.Values(), []byte(" "))); v != "0 1 4 5" {
						t.Fatal(v)
					}
					if at := k.Committed(t, group)[topic][0]; at != 6 {
						t.Fatalf("committed at %d", at)
					}
				}
				e := r.log.named("source.corrupt")
				if len(e) != 1 || e[0]["offset_from"] != 2.0 || e[0]["offset_to"] != 4.0 || e[0]["reason"] != reason || e[0]["policy"] != policy {
					t.Fatal(e)
				}
			})
		}
	}
}

func TestKafkaFollowsItsLeaders(t *testing.T) {
	k := kafkatest.StartFake(t, kafkatest.Brokers(3))
	topic, group := k.Topic(t, 6), k.Group(t)
	r := startRun(t, groupSettings(k, group, topic))
	for round := range 10 {
		fill(t, k, topic, 6, round*60, 60)
		r.has(round * 50)
		k.Fake().ShufflePartitionLeaders()
	}
	r.has(600)
	r.stop()
	check(t, 600, true, r.sink)
}

func TestKafkaGoesOnAfterABrokenConnection(t *testing.T) {
	k := kafkatest.StartFake(t)
	topic, group := k.Topic(t, 2), k.Group(t)
	fill(t, k, topic, 2, 0, 100)
	r := startRun(t, groupSettings(k, group, topic))
	r.has(100)
	left := 3
	k.Fake().ControlKey(int16(kmsg.Fetch), func(kmsg.Request) (kmsg.Response, error, bool) {
		if left--; left < 0 {
			return nil, nil, false
		}
		k.Fake().KeepControl()
		return nil, errors.New("cut"), true
	})
	fill(t, k, topic, 2, 100, 100)
	r.has(200)
	r.until("the broker is back", func() bool { return len(r.log.named("source.connected")) == 2 })
	r.stop()
	check(t, 200, true, r.sink)
	if d := r.log.named("source.disconnected"); len(d) != 1 || d[0]["broker"] != k.Addrs()[0] {
		t.Fatal(d)
	}
}

func TestKafkaStaysWithinTheBudget(t *testing.T) {
	k := kafkatest.Start(t)
	topic, group := k.Topic(t, 4), k.Group(t)
	value := bytes.Repeat([]byte("v"), 10_000)
	var recs []*kgo.Record
	for i := range 800 {
		recs = append(recs, &kgo.Record{Partition: int32(i % 4), Value: value})
	}
	w := k.Client(t, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.DefaultProduceTopic(topic), kgo.ProducerBatchMaxBytes(50_000), kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err := w.ProduceSync(t.Context(), recs...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	const budget = 1 << 20
	most := int64(0)
	s := groupSettings(k, group, topic)
	s.Stop = "end"
	r := startRun(t, s, func(o *engine.Options) {
		o.Budget = engine.NewBudget(0, budget)
		o.Sinks[0].Sink.(*pipelinetest.Memory).Fail = func(*pipeline.Record) error {
			if _, n := o.Budget.Use(); n > most {
				most = n
			}
			return nil
		}
	})
	if err := r.end(); err != nil {
		t.Fatal(err)
	}
	if n := len(r.sink.Records()); n != 800 {
		t.Fatalf("%d records", n)
	}
	// A batch that is larger than what was taken for it comes whole, one a poll; and places
	// for records and buffers that are kept come on top, which do not wait: of so small a budget
	// they are much. Of 120 runs one in sixty had more than half of it, 1.58 times it at the most.
	if most > budget+budget*3/4 {
		t.Fatalf("%d bytes in flight of %d", most, budget)
	}
	if n, b := r.budget.Use(); n != 0 || b != 0 {
		t.Fatalf("%d records and %d bytes are still charged", n, b)
	}
}

func TestKafkaReadsCompressedBatchesInPieces(t *testing.T) {
	k := kafkatest.Start(t)
	topic, group := k.Topic(t, 1), k.Group(t)
	w := k.Client(t, kgo.ProducerBatchCompression(kgo.ZstdCompression()), kgo.DefaultProduceTopic(topic), kgo.ProducerBatchMaxBytes(1<<20))
	for range 60 { // 60 MB of zeros in a few KiB
		if err := w.ProduceSync(t.Context(), &kgo.Record{Value: make([]byte, 1_000_000)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	s := groupSettings(k, group, topic)
	s.Stop = "end"
	n := 0
	r := startRun(t, s, func(o *engine.Options) {
		o.Sinks[0].Sink = sinkFunc(func(recs []*pipeline.Record) { n += len(recs) })
	})
	if err := r.end(); err != nil || n != 60 {
		t.Fatalf("%d records, %v", n, err)
	}
}

type sinkFunc func([]*pipeline.Record)

func (f sinkFunc) Write(_ context.Context, recs []*pipeline.Record) error { f(recs); return nil }
func (f sinkFunc) Close(context.Context) error                            { return nil }

func TestKafkaTellsWhatIsWrongAtStart(t *testing.T) {
	k := kafkatest.StartFake(t, kafkatest.Fake(kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-256", "alice", "top secret")))
	s := Defaults()
	s.Brokers, s.Topics = k.Addrs(), []string{"flights"}
	s.SASL = &connect.SASL{Mechanism: "scram-sha-256", Username: "alice", Password: "guessed"}
	r := startRun(t, s)
	err := r.end()
	var env *pipeline.EnvironmentError
	if !errors.As(err, &env) || strings.Contains(err.Error(), "guessed") {
		t.Fatal(err)
	}
	s.SASL.Password = "top secret"
	r = startRun(t, s)
	if err = r.end(); !errors.As(err, &env) || !strings.Contains(err.Error(), "flights") {
		t.Fatal(err)
	}
}
