package kafkasource

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
)

// remade makes a topic anew, with n records from 1000 on in its only partition.
func remade(t *testing.T, k *kafkatest.Cluster, topic string, n int) {
	t.Helper()
	if err := errors.Join(k.Fake().DeleteTopic(topic), k.Fake().CreateTopic(topic, 1, nil)); err != nil {
		t.Fatal(err)
	}
	fill(t, k, topic, 1, 1000, n)
}

// commitOld stores an offset as it was stored for the topic of before, or without a text.
func commitOld(t *testing.T, k *kafkatest.Cluster, group, topic string, text string) {
	t.Helper()
	var o kadm.Offsets
	o.Add(kadm.Offset{Topic: topic, Partition: 0, At: 20, LeaderEpoch: -1, Metadata: text})
	if err := k.Admin(t).CommitAllOffsets(t.Context(), group, o); err != nil {
		t.Fatal(err)
	}
}

// readOld reads 20 records, stops, and gives what it has stored beside the offset.
func readOld(t *testing.T, k *kafkatest.Cluster, group, topic string) string {
	t.Helper()
	fill(t, k, topic, 1, 0, 20)
	s := groupSettings(k, group, topic)
	s.Stop = "end"
	r := startRunDial(t, k.Dial, s)
	if err := r.end(); err != nil {
		t.Fatal(err)
	}
	offsets, err := k.Admin(t).FetchOffsets(t.Context(), group)
	if err != nil {
		t.Fatal(err)
	}
	o, _ := offsets.Lookup(topic, 0)
	return o.Metadata
}

// An offset that was stored for another topic of the same name skips nothing of this
// one, whoever starts from it; one that somebody else has stored is believed.
func TestKafkaStoredOffsetOfATopicThatWasMadeAnew(t *testing.T) {
	for name, tc := range map[string]struct {
		policy, stop string
		records      int // in the new topic
		others       string
		want, gaps   int
	}{
		"it has outgrown the offset":      {"earliest", "never", 30, "", 30, 1},
		"to its end":                      {"earliest", "end", 30, "", 30, 1},
		"to its end in front of it":       {"earliest", "end", 10, "", 10, 1},
		"going on at the end":             {"latest", "end", 30, "", 0, 1},
		"stopping":                        {"stop", "end", 30, "", 0, 1},
		"another client moved the offset": {"earliest", "end", 30, "host-7", 10, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := kafkatest.StartFake(t, kafkatest.Virtual())
				topic, group := k.Topic(t, 1), k.Group(t)
				text := readOld(t, k, group, topic)
				remade(t, k, topic, tc.records)
				if tc.others != "" {
					text = tc.others
				}
				commitOld(t, k, group, topic, text)
				s := groupSettings(k, group, topic)
				s.Stop, s.OnGap = tc.stop, tc.policy
				r := startRunDial(t, k.Dial, s)
				if tc.stop == "end" {
					if err := r.soonEnds(); (err != nil) != (tc.policy == "stop") {
						t.Error(err)
					}
				} else {
					r.has(tc.want)
				}
				if n := len(r.sink.Records()); n != tc.want {
					t.Errorf("%d records, not %d", n, tc.want)
				}
				gaps := r.log.named("source.gap")
				if len(gaps) != tc.gaps || tc.gaps > 0 && (gaps[0]["reason"] != gapRecreated || gaps[0]["offset_from"] != 20.0) {
					t.Error(gaps)
				}
			})
		})
	}
}

// Nor is a finite source at its end while the others have stored an earlier topic's.
func TestKafkaEndWaitsForOffsetsOfTheTopicAsItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := kafkatest.StartFake(t, kafkatest.Virtual())
		topic, other, group := k.Topic(t, 1), k.Topic(t, 1), k.Group(t)
		text := readOld(t, k, group, topic)
		remade(t, k, topic, 10)
		commitOld(t, k, group, topic, text)
		fill(t, k, other, 1, 0, 10)
		s := groupSettings(k, group, topic, other)
		s.Stop, s.OnGap = "end", "earliest"
		a, b := startRunDial(t, k.Dial, s), startRunDial(t, k.Dial, s)
		for _, r := range []*testRun{a, b} {
			if err := r.soonEnds(); err != nil {
				t.Fatal(err)
			}
			if at := k.Committed(t, group)[topic][0]; at != 10 {
				t.Errorf("a member has ended, and %d is committed of 10", at)
			}
		}
	})
}

// While brokers disagree which topic it is, nothing is read on at the old offset,
// although the log that answers has outgrown it.
func TestKafkaReadsNothingWhileItIsInDoubtWhichTopicItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := virtualCluster(t, 2)
		topic := k.Topic(t, 1)
		var history kafkatest.History
		var mu sync.Mutex
		var since time.Time // which a broker has not heard; zero: it has heard all
		late := k.Addrs()[1]
		wire := kafkatest.NewWire(t, k, func(c *kafkatest.Call) (f kafkatest.Fault) {
			if kmsg.Key(c.Req.Key()) != kmsg.Metadata {
				return f
			}
			f.Seen = func(_ *kafkatest.Call, r kmsg.Response) { history.See(r.(*kmsg.MetadataResponse)) }
			mu.Lock()
			defer mu.Unlock()
			if from := since; !from.IsZero() && c.Broker == late {
				f.Edit = func(r kmsg.Response) { history.Age(r.(*kmsg.MetadataResponse), time.Since(from)) }
			}
			return f
		})
		t.Cleanup(wire.Close)
		s := groupSettings(k, k.Group(t), topic)
		s.OnGap = "earliest"
		r := startRunDial(t, wire.Dial("m"), s)
		fill(t, k, topic, 1, 0, 20)
		r.has(20)
		mu.Lock()
		since = time.Now()
		mu.Unlock()
		time.Sleep(time.Second)
		remade(t, k, topic, 10)
		for n := 1010; n < 1100; n += 5 { // and it grows past 20
			time.Sleep(3 * time.Second)
			fill(t, k, topic, 1, n, 5)
		}
		if n := len(r.sink.Records()); n != 20 {
			t.Errorf("%d records were read while it was in doubt, from %q on", n-20, r.sink.Values()[20])
		}
		mu.Lock()
		since = time.Time{}
		mu.Unlock()
		r.has(120)
		for i, v := range r.sink.Values()[20:] {
			if string(v) != fmt.Sprint(1000+i) {
				t.Fatalf("%s, not %d", v, 1000+i)
			}
		}
		if gaps := r.log.named("source.gap"); len(gaps) != 1 || gaps[0]["reason"] != gapRecreated {
			t.Error(gaps)
		}
	})
}

// Where nothing has been read of the topic before, nothing is missing: what is in the
// new one is read from its start, whatever the policy.
func TestKafkaTopicMadeAnewOfWhichNothingWasRead(t *testing.T) {
	for _, policy := range []string{"stop", "earliest", "latest"} {
		synctest.Test(t, func(t *testing.T) {
			k := virtualCluster(t, 1)
			topic := k.Topic(t, 1)
			s := groupSettings(k, k.Group(t), topic)
			s.OnGap = policy
			r := startRunDial(t, k.Dial, s)
			r.until("it reads", func() bool { return len(r.log.named("source.connected")) > 0 })
			was, _ := r.k.client.Identity(topic)
			remade(t, k, topic, 0)
			r.until("it is noticed", func() bool {
				id, sure := r.k.client.Identity(topic)
				return sure && id != was || r.k.client.Refresh(t.Context(), topic) != nil
			})
			time.Sleep(10 * time.Second)
			fill(t, k, topic, 1, 0, 20)
			r.has(20)
			time.Sleep(time.Minute)
			check(t, 20, true, r.sink)
			if gaps := r.log.named("source.gap"); len(gaps) > 0 {
				t.Errorf("%s: %v", policy, gaps)
			}
			r.stop()
		})
	}
}

// A member that has read the topic of before knows epochs that say nothing of this one,
// when it gets the partition back from a member that has read on in this one.
func TestKafkaEpochsOfAnEarlierTopicAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := virtualCluster(t, 2)
		topic, group := k.Topic(t, 2), k.Group(t)
		s := groupSettings(k, group, topic)
		s.OnGap = "earliest"
		a := startRunDial(t, k.Dial, s)
		for n := range 3 { // in several epochs
			fill(t, k, topic, 2, 20*n, 20)
			a.has(20 * (n + 1))
			for p := range int32(2) {
				if err := k.Fake().MoveTopicPartition(topic, p, 1-k.Fake().LeaderFor(topic, p)); err != nil {
					t.Fatal(err)
				}
			}
		}
		time.Sleep(5 * time.Second)
		b := startRunDial(t, k.Dial, s)
		b.until("it has a partition", func() bool { return len(b.log.named("source.connected")) > 0 })
		if err := errors.Join(k.Fake().DeleteTopic(topic), k.Fake().CreateTopic(topic, 2, nil)); err != nil {
			t.Fatal(err)
		}
		fill(t, k, topic, 2, 1000, 50)
		b.has(25)
		time.Sleep(5 * time.Second)
		b.stop()
		time.Sleep(10 * time.Second)
		fill(t, k, topic, 2, 1050, 10)
		a.until("all is committed", func() bool {
			at := k.Committed(t, group)[topic]
			return at[0] == 30 && at[1] == 30
		})
		for _, g := range append(a.log.named("source.gap"), b.log.named("source.gap")...) {
			if g["reason"] != gapRecreated {
				t.Error(g)
			}
		}
		a.stop()
	})
}
