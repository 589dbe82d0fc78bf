package kafkasource

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/engine"
	"github.com/penstockio/penstock/pipeline/kafka"
	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
	"github.com/penstockio/penstock/pipeline/kafka/recordbatch"
)

func TestWhereALogDiverges(t *testing.T) {
	type starts = []recordbatch.EpochStart
	// Read up to 100: epoch 3 from 10 on, 5 from 40 on, 6 from 90 on.
	read := starts{{Epoch: 3, From: 10}, {Epoch: 5, From: 40}, {Epoch: 6, From: 90}}
	for name, tc := range map[string]struct {
		read   starts
		end    recordbatch.EpochStart
		leader int32
		at     int64
		cut    bool
	}{
		"all of it is there":            {read, recordbatch.EpochStart{Epoch: 6, From: 100}, 7, 100, false},
		"and more":                      {read, recordbatch.EpochStart{Epoch: 6, From: 500}, 6, 100, false},
		"cut within the last epoch":     {read, recordbatch.EpochStart{Epoch: 6, From: 95}, 7, 95, true},
		"the last epoch is not there":   {read, recordbatch.EpochStart{Epoch: 5, From: 90}, 7, 90, true},
		"the one before was cut too":    {read, recordbatch.EpochStart{Epoch: 5, From: 60}, 7, 60, true},
		"and had more than was read":    {read, recordbatch.EpochStart{Epoch: 5, From: 300}, 7, 90, true},
		"two epochs are not there":      {read, recordbatch.EpochStart{Epoch: 3, From: 70}, 7, 40, true},
		"older than what is remembered": {read, recordbatch.EpochStart{Epoch: 1, From: 5}, 7, 5, true},
		"an epoch that was not read":    {read, recordbatch.EpochStart{Epoch: 4, From: 40}, 7, 40, true},
		"the leader has no epochs":      {read, recordbatch.EpochStart{Epoch: -1, From: -1}, 7, -1, false},
		"another cluster's log":         {read, recordbatch.EpochStart{Epoch: -1, From: -1}, 2, -1, true},
	} {
		e := &epochs{}
		e.begin(kafka.TopicID{}, 10, -1)
		e.add(tc.read, 100, false)
		if at, cut := e.diverged(100, tc.end, tc.leader); at != tc.at || cut != tc.cut {
			t.Errorf("%s: %d, %v", name, at, cut)
		}
	}
}

func TestEpochsOfWhatWasRead(t *testing.T) {
	e := &epochs{}
	want := func(offset int64, epoch int32) {
		t.Helper()
		if got := e.epochAt(offset); got != epoch {
			t.Errorf("in front of %d: epoch %d, not %d", offset, got, epoch)
		}
	}
	e.begin(kafka.TopicID{}, 50, 2)
	want(50, 2)
	e.add([]recordbatch.EpochStart{{Epoch: 2, From: 50}, {Epoch: 4, From: 60}}, 80, false)
	want(50, 2)
	want(60, 2)
	want(61, 4)
	want(80, 4)
	want(81, -1) // not read yet
	e.add(nil, 90, true)
	want(80, 4)
	want(90, -1) // a batch that could not be read
	e.begin(kafka.TopicID{}, 55, 9)
	want(55, 2) // what was read is known better than what was stored
	e.begin(kafka.TopicID{1}, 52, 9)
	want(52, 9) // but not what was read of another topic
	e.begin(kafka.TopicID{1}, 55, -1)
	e.begin(kafka.TopicID{}, 1000, -1)
	want(1000, -1)
	for i := range int32(3 * mostEpochs) {
		e.add([]recordbatch.EpochStart{{Epoch: 5 + i, From: 1000 + int64(i)}}, 1001+int64(i), false)
	}
	want(1000+3*mostEpochs, 4+3*mostEpochs)
	if len(e.list) > mostEpochs {
		t.Errorf("%d are remembered", len(e.list))
	}
}

// electBehind has partition 0 of a topic move to the other of two brokers, which says that the
// epoch read last ended at an offset: kfake has no election of a replica that is behind, so the
// answer is made up, and the records stay.
func electBehind(t *testing.T, k *kafkatest.Cluster, topic string, end int64) {
	t.Helper()
	k.Fake().ControlKey(int16(kmsg.OffsetForLeaderEpoch), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
		k.Fake().KeepControl()
		resp := kreq.ResponseKind().(*kmsg.OffsetForLeaderEpochResponse)
		st, sp := kmsg.NewOffsetForLeaderEpochResponseTopic(), kmsg.NewOffsetForLeaderEpochResponseTopicPartition()
		sp.LeaderEpoch, sp.EndOffset = 0, end
		st.Topic, st.Partitions = topic, append(st.Partitions, sp)
		resp.Topics = append(resp.Topics, st)
		return resp, nil, true
	})
	if err := k.Fake().MoveTopicPartition(topic, 0, 1-k.Fake().LeaderFor(topic, 0)); err != nil {
		t.Fatal(err)
	}
}

// A leader that was elected behind the one before says that the epoch read last ends earlier.
func TestKafkaNoticesALogThatWasCutAndHasGrownAgain(t *testing.T) {
	for _, policy := range []string{"stop", "earliest", "latest"} {
		t.Run(policy, func(t *testing.T) {
			k := kafkatest.StartFake(t, kafkatest.Brokers(2))
			topic, group := k.Topic(t, 1), k.Group(t)
			s := groupSettings(k, group, topic)
			s.OnGap = policy
			fill(t, k, topic, 1, 0, 20)
			r := startRun(t, s)
			r.has(20)
			r.until("it is committed", func() bool { return k.Committed(t, group)[topic][0] == 20 })
			electBehind(t, k, topic, 10)
			fill(t, k, topic, 1, 20, 5)
			wantGap := func(r *testRun, to float64) {
				t.Helper()
				r.until("the gap is told", func() bool { return len(r.log.named("source.gap")) > 0 })
				g := r.log.named("source.gap")
				if len(g) != 1 || g[0]["reason"] != gapTruncated || g[0]["offset_from"] != 20.0 || g[0]["offset_to"] != to {
					t.Fatal(g)
				}
			}
			switch policy {
			case "stop":
				// Whoever begins after that knows it too, until somebody says what to do.
				for range 2 {
					wantGap(r, 10)
					if err := r.end(); err == nil || !strings.Contains(err.Error(), "on_gap: earliest to go on at 10") {
						t.Fatal(err)
					}
					r = startRun(t, s)
				}
				_ = r.end()
				s.OnGap = "earliest"
				again := startRun(t, s)
				wantGap(again, 10)
				again.has(15)
				again.stop()
				if v := string(again.sink.Values()[0]); v != "10" {
					t.Errorf("it goes on at %s", v)
				}
			case "earliest":
				wantGap(r, 10)
				r.has(35)
				r.stop()
				if v := string(r.sink.Values()[20]); v != "10" {
					t.Errorf("it goes on at %s", v)
				}
			case "latest":
				r.until("the gap is told", func() bool { return len(r.log.named("source.gap")) > 0 })
				r.until("it goes on at the end", func() bool { return k.Committed(t, group)[topic][0] >= 20 })
				r.stop()
			}
		})
	}
}

type asking func(ctx context.Context) error

func (f asking) Process(ctx context.Context, _ *pipeline.Record) error { return f(ctx) }

// A partition that is given back takes along what has not begun: whoever gets it next reads
// that, and no record comes twice.
func TestKafkaHandsBackWhatHasNotBegun(t *testing.T) {
	k := kafkatest.StartFake(t)
	topic, group := k.Topic(t, 4), k.Group(t)
	s := groupSettings(k, group, topic)
	const records = 1200
	fill(t, k, topic, 4, 0, records)
	slow := func(o *engine.Options) {
		o.Steps = []engine.Step{{Name: "ask", Wait: &engine.Wait{}, Workers: 2, Stage: asking(func(ctx context.Context) error {
			select {
			case <-time.After(4 * time.Millisecond):
			case <-ctx.Done():
			}
			return ctx.Err()
		})}}
	}
	a := startRun(t, s, slow)
	a.until("some have come", func() bool { return len(a.sink.Records()) > 20 })
	b := startRun(t, s, slow)
	a.until("partitions are given back", func() bool { return len(a.log.named("source.revoked")) > 0 })
	e := a.log.named("source.revoked")[0]
	n := func(name string) float64 { v, _ := e[name].(float64); return v }
	if n("returned") == 0 || n("abandoned") != 0 || n("inflight_at_revoke") != n("drained")+n("returned") || n("drained") > 10 {
		t.Error(e)
	}
	a.until("all have come", func() bool { return len(a.sink.Records())+len(b.sink.Records()) >= records })
	b.stop()
	a.stop()
	seen := map[string]int{}
	for _, v := range append(a.sink.Values(), b.sink.Values()...) {
		seen[string(v)]++
	}
	if all := len(a.sink.Values()) + len(b.sink.Values()); all != records || len(seen) != records {
		t.Errorf("%d records came, %d of them different; want %d", all, len(seen), records)
	}
}

// What was read in front of a gap may be gone from the broker, and is finished before the
// partition goes on behind the gap: also what waits in front of a slow step.
func TestKafkaFinishesWhatItHasReadBeforeAGap(t *testing.T) {
	k := kafkatest.StartFake(t, kafkatest.Brokers(2))
	topic, group := k.Topic(t, 1), k.Group(t)
	s := groupSettings(k, group, topic)
	s.OnGap = "earliest"
	fill(t, k, topic, 1, 0, 20)
	answer, asked := make(chan struct{}), make(chan struct{}, 1)
	r := startRun(t, s, func(o *engine.Options) {
		o.Steps = []engine.Step{{Name: "ask", Wait: &engine.Wait{Timeout: patience, Deadline: patience}, Workers: 1, Stage: asking(func(ctx context.Context) error {
			select {
			case asked <- struct{}{}:
			default:
			}
			select {
			case <-answer:
			case <-ctx.Done():
			}
			return ctx.Err()
		})}}
	})
	<-asked
	r.until("all are read", func() bool { return r.k.Report().Partitions[0].Fetched == 20 })
	electBehind(t, k, topic, 10)
	fill(t, k, topic, 1, 20, 5)
	r.until("the gap is told", func() bool { return len(r.log.named("source.gap")) > 0 })
	close(answer)
	r.has(35)
	r.stop()
	for i, v := range r.sink.Values() {
		want := i
		if i >= 20 {
			want = i - 10 // it goes on where the log was cut
		}
		if string(v) != strconv.Itoa(want) {
			t.Fatalf("at place %d there is %s, want %d", i, v, want)
		}
	}
}

func TestKafkaOldEpochsBringNoGap(t *testing.T) {
	k := kafkatest.StartFake(t, kafkatest.Brokers(3))
	topic, group := k.Topic(t, 2), k.Group(t)
	w := k.Client(t, kgo.TransactionalID(group), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.DefaultProduceTopic(topic))
	want := 0
	var r *testRun
	var runs []*testRun
	for round := range 12 {
		if round%4 == 0 { // who begins anew compares with what was stored
			if r != nil {
				r.stop()
			}
			r = startRun(t, groupSettings(k, group, topic))
			runs = append(runs, r)
		}
		if err := w.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		for p := range int32(2) {
			if err := w.ProduceSync(t.Context(), &kgo.Record{Partition: p, Value: fmt.Append(nil, round)}).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
		k.Fake().ShufflePartitionLeaders()
		end := kgo.TryCommit
		if round%3 == 0 {
			end = kgo.TryAbort
		} else {
			want += 2
		}
		if err := w.EndTransaction(t.Context(), end); err != nil {
			t.Fatal(err)
		}
		r.until("all is read", func() bool {
			n := 0
			for _, r := range runs {
				n += len(r.sink.Records())
			}
			return n == want
		})
		k.Fake().ShufflePartitionLeaders()
	}
	r.stop()
	for _, r := range runs {
		if g := r.log.named("source.gap"); len(g) > 0 {
			t.Error(g)
		}
	}
	offsets, err := k.Admin(t).FetchOffsets(t.Context(), group)
	if err != nil {
		t.Fatal(err)
	}
	offsets.Each(func(o kadm.OffsetResponse) {
		if o.LeaderEpoch != -1 || !regexp.MustCompile(`^topic_id=[A-Za-z0-9_-]{22} leader_epoch=[0-9]+$`).MatchString(o.Metadata) {
			t.Errorf("stored: %+v", o.Offset)
		}
	})
}
