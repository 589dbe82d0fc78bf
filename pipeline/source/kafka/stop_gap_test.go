package kafkasource

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/engine"
	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
)

// deleteTo deletes the records of a partition in front of an offset.
func deleteTo(t *testing.T, k *kafkatest.Cluster, topic string, partition int32, offset int64) {
	t.Helper()
	cut := kadm.Offsets{}
	cut.AddOffset(topic, partition, offset, -1)
	if _, err := k.Admin(t).DeleteRecords(t.Context(), cut); err != nil {
		t.Fatal(err)
	}
}

// commitAs stores an offset as another client does, with nothing beside it.
func commitAs(t *testing.T, k *kafkatest.Cluster, group, topic string, partition int32, offset int64) {
	t.Helper()
	commit := kadm.Offsets{}
	commit.AddOffset(topic, partition, offset, -1)
	if err := k.Admin(t).CommitAllOffsets(t.Context(), group, commit); err != nil {
		t.Fatal(err)
	}
}

// A run that is to end says the same of an offset that is not there as one that reads on
// and on, also where its end is in front of that offset.
func TestKafkaEndHidesNoGap(t *testing.T) {
	past, now := "1990-01-01T00:00:00Z", "1999-01-01T00:00:00Z" // in a bubble it is 2000
	for name, tc := range map[string]struct {
		start int64 // of the log, which has offsets up to 20
		at    int64 // committed
		stop  string

		reason         string // "": no gap
		earliest       int    // records that on_gap: earliest brings
		from, to, next float64
	}{
		"committed beyond the end":            {10, 500, "end", gapBeyond, 10, 500, 10, 20},
		"one beyond the end":                  {10, 21, "end", gapBeyond, 10, 21, 10, 20},
		"nothing is there any more":           {20, 3, "end", gapDeleted, 0, 3, 20, 20},
		"nor was the commit in front of it":   {20, 500, "end", gapBeyond, 0, 500, 20, 20},
		"deleted in front of the log":         {10, 3, "end", gapDeleted, 10, 3, 10, 20},
		"a time that nothing is older than":   {10, 500, past, gapBeyond, 0, 500, 10, 10},
		"a time, and deleted in front":        {10, 3, past, gapDeleted, 0, 3, 10, 10},
		"a time that all is older than":       {10, 500, now, gapBeyond, 10, 500, 10, 20},
		"committed at the end":                {10, 20, "end", "", 0, 0, 0, 20},
		"committed at the end, nothing there": {20, 20, "end", "", 0, 0, 0, 20},
		"committed behind the time":           {10, 15, past, "", 0, 0, 0, 15},
		"committed at the start":              {10, 10, "end", "", 10, 0, 0, 20},
	} {
		for _, policy := range []string{"stop", "earliest", "latest"} {
			t.Run(name+", "+policy, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					k := kafkatest.StartFake(t, kafkatest.Virtual())
					topic, group := k.Topic(t, 3), k.Group(t)
					fillOld(t, k, topic)
					if tc.start > 0 {
						deleteTo(t, k, topic, 1, tc.start)
					}
					commitAs(t, k, group, topic, 1, tc.at)
					s := groupSettings(k, group, topic)
					s.Stop, s.OnGap = tc.stop, policy
					r := startRunDial(t, k.Dial, s)
					err := r.soonEnds()
					gaps := r.log.named("source.gap")
					if tc.reason == "" {
						if err != nil || len(gaps) > 0 {
							t.Fatal(err, gaps)
						}
						return
					}
					to := tc.to
					if policy == "latest" {
						to = 20
					}
					if len(gaps) != 1 || gaps[0]["reason"] != tc.reason || gaps[0]["offset_from"] != tc.from || gaps[0]["offset_to"] != to || gaps[0]["partition"] != 1.0 {
						t.Fatal(gaps)
					}
					if policy == "stop" {
						if err == nil || !strings.Contains(err.Error(), topic+"/1") || !strings.Contains(err.Error(), "on_gap") {
							t.Error(err)
						}
						return
					}
					if err != nil {
						t.Fatal(err)
					}
					if policy == "latest" {
						tc.earliest, tc.next = 0, 20
					}
					n := 0
					for _, rec := range r.sink.Records() {
						if rec.Partition == 1 {
							n++
						}
					}
					if n != tc.earliest {
						t.Errorf("%d records of the partition, not %d", n, tc.earliest)
					}
					if at := k.Committed(t, group)[topic][1]; float64(at) != tc.next {
						t.Errorf("committed at %d, not at %v", at, tc.next)
					}
				})
			})
		}
	}
}

// fillOld writes 20 records of 1995 to each of 3 partitions.
func fillOld(t *testing.T, k *kafkatest.Cluster, topic string) {
	t.Helper()
	var recs []*kgo.Record
	for i := range 60 {
		recs = append(recs, &kgo.Record{Partition: int32(i % 3), Value: []byte("1"), Timestamp: time.Date(1995, 1, 1, 0, 0, 0, 0, time.UTC)})
	}
	k.Produce(t, topic, recs...)
}

// A topic that was made again, empty or short, of which another client has stored an
// offset: nothing beside it names the topic, and yet the offset is not there.
func TestKafkaEndSeesOffsetsOfOthersThatATopicMadeAgainDoesNotReach(t *testing.T) {
	for _, n := range []int{0, 10} {
		synctest.Test(t, func(t *testing.T) {
			k := kafkatest.StartFake(t, kafkatest.Virtual())
			topic, group := k.Topic(t, 1), k.Group(t)
			_ = readOld(t, k, group, topic)
			remade(t, k, topic, n)
			time.Sleep(time.Minute) // until the referee knows it
			commitOld(t, k, group, topic, "host-7")
			s := groupSettings(k, group, topic)
			s.Stop, s.OnGap = "end", "earliest"
			r := startRunDial(t, k.Dial, s)
			if err := r.soonEnds(); err != nil || len(r.sink.Records()) != n {
				t.Errorf("%d records, not %d, %v", len(r.sink.Records()), n, err)
			}
			if gaps := r.log.named("source.gap"); len(gaps) != 1 || gaps[0]["reason"] != gapBeyond {
				t.Error(gaps)
			}
		})
	}
}

// One that is empty, and of which this pipeline has stored an offset.
func TestKafkaEndSeesThatATopicWasMadeAgainEmpty(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := kafkatest.StartFake(t, kafkatest.Virtual())
		topic, group := k.Topic(t, 1), k.Group(t)
		text := readOld(t, k, group, topic)
		remade(t, k, topic, 0)
		time.Sleep(time.Minute) // until the referee knows it
		commitOld(t, k, group, topic, text)
		s := groupSettings(k, group, topic)
		s.Stop = "end"
		r := startRunDial(t, k.Dial, s)
		if err := r.soonEnds(); err == nil {
			t.Error("it ends well")
		}
		if gaps := r.log.named("source.gap"); len(gaps) != 1 || gaps[0]["reason"] != gapRecreated {
			t.Error(gaps)
		}
	})
}

// An end within what a transaction holds back, or behind its markers, is no gap.
func TestKafkaEndInTransactionsIsNoGap(t *testing.T) {
	for name, tc := range map[string]struct {
		isolation string
		end       func(*kgo.Client) error // of the last transaction; nil: it stays open
		at        int64                   // committed; -1: nothing
		next      int64
	}{
		"behind a marker":                                {"read_committed", endWith(kgo.TryCommit), 6, 6},
		"in front of a marker":                           {"read_committed", endWith(kgo.TryCommit), 5, 6},
		"all aborted":                                    {"read_committed", endWith(kgo.TryAbort), 2, 6},
		"all aborted, read by nobody":                    {"read_committed", endWith(kgo.TryAbort), -1, 6},
		"in what is open, as one that reads all left it": {"read_committed", nil, 5, 5},
		"in front of what is open":                       {"read_committed", nil, 2, 2},
		"reading all":                                    {"read_uncommitted", nil, 5, 5},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := kafkatest.StartFake(t, kafkatest.Virtual())
				topic, group := k.Topic(t, 1), k.Group(t)
				into(t, k, topic, 0, 0, 2)
				w := k.Client(t, kgo.TransactionalID(group), kgo.DefaultProduceTopic(topic))
				if err := w.BeginTransaction(); err != nil {
					t.Fatal(err)
				}
				for range 3 {
					if err := w.ProduceSync(t.Context(), &kgo.Record{Value: []byte("1")}).FirstErr(); err != nil {
						t.Fatal(err)
					}
				}
				if tc.end != nil {
					if err := tc.end(w); err != nil {
						t.Fatal(err)
					}
				}
				if tc.at >= 0 {
					commitAs(t, k, group, topic, 0, tc.at)
				}
				s := groupSettings(k, group, topic)
				s.Stop, s.Isolation = "end", tc.isolation
				r := startRunDial(t, k.Dial, s)
				if err := r.soonEnds(); err != nil {
					t.Fatal(err)
				}
				if gaps := r.log.named("source.gap"); len(gaps) > 0 {
					t.Error(gaps)
				}
				if at := k.Committed(t, group)[topic][0]; at != tc.next {
					t.Errorf("committed at %d, not at %d", at, tc.next)
				}
			})
		})
	}
}

func endWith(how kgo.TransactionEndTry) func(*kgo.Client) error {
	return func(w *kgo.Client) error { return w.EndTransaction(context.Background(), how) }
}

// Where nothing is committed, no place to begin at is a gap, and empty partitions end.
func TestKafkaEndOfAFreshGroupIsNoGap(t *testing.T) {
	for _, start := range []string{"earliest", "latest", "1990-01-01T00:00:00Z", "1999-01-01T00:00:00Z"} {
		synctest.Test(t, func(t *testing.T) {
			k := kafkatest.StartFake(t, kafkatest.Virtual())
			topic, empty, group := k.Topic(t, 3), k.Topic(t, 2), k.Group(t)
			fillOld(t, k, topic)
			deleteTo(t, k, topic, 1, 10)
			deleteTo(t, k, topic, 2, 20)
			s := groupSettings(k, group, topic, empty)
			s.Stop, s.Start = "end", start
			r := startRunDial(t, k.Dial, s)
			if err := r.soonEnds(); err != nil {
				t.Error(start, err)
			}
			if gaps := r.log.named("source.gap"); len(gaps) > 0 {
				t.Error(start, gaps)
			}
			want := 30
			if start == "latest" || start[:4] == "1999" {
				want = 0
			}
			if n := len(r.sink.Records()); n != want {
				t.Errorf("start %s: %d records, not %d", start, n, want)
			}
		})
	}
}

// A leader that was elected behind, and whose log ends where the group's offset is now:
// it has other records there than those that were read.
func TestKafkaEndSeesALogThatWasCut(t *testing.T) {
	k := kafkatest.StartFake(t, kafkatest.Brokers(2))
	topic, group := k.Topic(t, 1), k.Group(t)
	_ = readOld(t, k, group, topic)
	electBehind(t, k, topic, 10)
	s := groupSettings(k, group, topic)
	s.Stop, s.OnGap = "end", "earliest"
	r := startRun(t, s)
	if err := r.end(); err != nil || len(r.sink.Records()) != 10 {
		t.Errorf("%d records, not the 10 behind the cut: %v", len(r.sink.Records()), err)
	}
	if g := r.log.named("source.gap"); len(g) != 1 || g[0]["reason"] != gapTruncated {
		t.Error(g)
	}
}

// What another member has stored beyond the end, or in front of an empty log, is not the
// end of its partition: it is about to find that out.
func TestKafkaEndWaitsForAGapOfAnotherMember(t *testing.T) {
	for name, start := range map[string]int64{"beyond": 0, "deleted": 20} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := kafkatest.StartFake(t, kafkatest.Virtual())
				topic, other, group := k.Topic(t, 1), k.Topic(t, 1), k.Group(t)
				fill(t, k, topic, 1, 0, 20)
				at := int64(500)
				if start > 0 {
					deleteTo(t, k, topic, 0, start)
					at = 3
				}
				commitAs(t, k, group, topic, 0, at)
				fill(t, k, other, 1, 0, 10)
				// Whoever has it cannot see for a while that the offset is not there.
				f := k.Fake().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: topic, Err: kerr.LeaderNotAvailable, Count: -1})
				s := groupSettings(k, group, topic, other)
				s.Stop, s.OnGap = "end", "earliest"
				a, b := startRunDial(t, k.Dial, s), startRunDial(t, k.Dial, s)
				a.until("the other topic is read", func() bool { return len(a.sink.Records())+len(b.sink.Records()) == 10 })
				time.Sleep(10 * time.Second)
				for _, r := range []*testRun{a, b} {
					select {
					case err := <-r.done:
						r.done <- err
						t.Errorf("a member has ended although a partition is not at its end: %v", err)
					default:
					}
				}
				f.Remove()
				for _, r := range []*testRun{a, b} {
					if err := r.soonEnds(); err != nil {
						t.Error(err)
					}
				}
				if at := k.Committed(t, group)[topic][0]; at != 20 {
					t.Errorf("committed at %d, not at 20", at)
				}
				if g := append(a.log.named("source.gap"), b.log.named("source.gap")...); len(g) != 1 {
					t.Error(g)
				}
			})
		})
	}
}

// An end that is still to come hides nothing either, whether a gap is there before it or
// the partition is opened after it.
func TestKafkaEndAtATimeToComeHidesNoGap(t *testing.T) {
	for _, late := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			k := kafkatest.StartFake(t, kafkatest.Virtual())
			topic, group := k.Topic(t, 1), k.Group(t)
			fill(t, k, topic, 1, 0, 20)
			commitAs(t, k, group, topic, 0, 500)
			s := groupSettings(k, group, topic)
			s.Stop, s.OnGap = time.Now().Add(10*time.Second).Format(time.RFC3339), "earliest"
			var f *kfake.FaultHandle
			if late {
				f = k.Fake().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetFetch}, Group: group, Err: kerr.CoordinatorLoadInProgress, Count: -1})
			}
			r := startRunDial(t, k.Dial, s)
			if late {
				time.Sleep(20 * time.Second)
				f.Remove()
			}
			if err := r.soonEnds(); err != nil || len(r.sink.Records()) != 20 {
				t.Errorf("late %v: %d records, %v", late, len(r.sink.Records()), err)
			}
			if gaps := r.log.named("source.gap"); len(gaps) != 1 || gaps[0]["reason"] != gapBeyond {
				t.Errorf("late %v: %v", late, gaps)
			}
		})
	}
}

// A transactor has stored progress of its own, which stands for the group's offset.
type storedAt struct{ next int64 }

func (s *storedAt) Bind(pipeline.Source) error                          { return nil }
func (s *storedAt) Stored(context.Context, string) (int64, bool, error) { return s.next, true, nil }
func (s *storedAt) Begin(context.Context) error                         { return nil }
func (s *storedAt) Commit(context.Context, []pipeline.Mark) error       { return nil }
func (s *storedAt) Abort(context.Context) error                         { return nil }

// What a transactor has stored is no more the end than what the group has.
func TestKafkaEndHidesNoGapOfATransactor(t *testing.T) {
	for at, reason := range map[int64]string{500: gapBeyond, 3: gapDeleted, 20: ""} {
		synctest.Test(t, func(t *testing.T) {
			k := kafkatest.StartFake(t, kafkatest.Virtual())
			topic, group := k.Topic(t, 1), k.Group(t)
			fill(t, k, topic, 1, 0, 20)
			deleteTo(t, k, topic, 0, 20)
			commitAs(t, k, group, topic, 0, 20)
			s := groupSettings(k, group, topic)
			s.Stop = "end"
			r := startRunDial(t, k.Dial, s, func(o *engine.Options) { o.Transactor = &storedAt{at} })
			err := r.soonEnds()
			gaps := r.log.named("source.gap")
			if (err == nil) != (reason == "") || reason != "" && (len(gaps) != 1 || gaps[0]["reason"] != reason) {
				t.Errorf("stored %d: %v, %v", at, err, gaps)
			}
		})
	}
}
