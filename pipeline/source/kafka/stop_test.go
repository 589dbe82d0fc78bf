package kafkasource

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/penstockio/penstock/pipeline/kafka"
	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
)

// heldGroup gives a finite run in virtual time that has read partition 0 of 2, and cannot
// read partition 1 of the topic until the fault is removed.
func heldGroup(t *testing.T, policy string) (*kafkatest.Cluster, *testRun, string, *kfake.FaultHandle) {
	k := kafkatest.StartFake(t, kafkatest.Virtual())
	topic := k.Topic(t, 2)
	fill(t, k, topic, 2, 0, 20)
	f := k.Fake().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: topic, Partitions: []int32{1}, Err: kerr.LeaderNotAvailable, Count: -1})
	s := groupSettings(k, k.Group(t), topic)
	s.Stop, s.OnGap = "end", policy
	r := startRunDial(t, k.Dial, s)
	r.has(10)
	return k, r, topic, f
}

// soonEnds waits for the end of a run, which its own time must not bring about.
func (r *testRun) soonEnds() error {
	r.t.Helper()
	err := r.end()
	if time.Since(r.began) > patience-10*time.Second {
		r.t.Fatalf("it has not ended by itself: %v", err)
	}
	return err
}

func TestKafkaEndsAlthoughTheTopicIsDeleted(t *testing.T) {
	for _, policy := range []string{"stop", "earliest"} {
		synctest.Test(t, func(t *testing.T) {
			k, r, topic, _ := heldGroup(t, policy)
			if err := k.Fake().DeleteTopic(topic); err != nil {
				t.Fatal(err)
			}
			err := r.soonEnds()
			gaps := r.log.named("source.gap")
			if len(gaps) != 1 || gaps[0]["reason"] != gapTopicDeleted || gaps[0]["partition"] != 1.0 || gaps[0]["offset_from"] != 0.0 || gaps[0]["offset_to"] != 10.0 {
				t.Errorf("%s: %v", policy, gaps)
			}
			if policy == "stop" && (err == nil || !strings.Contains(err.Error(), topic) || !strings.Contains(err.Error(), "deleted")) || policy != "stop" && err != nil {
				t.Errorf("%s: %v", policy, err)
			}
		})
	}
}

func TestKafkaEndsAlthoughAnotherMembersTopicIsDeleted(t *testing.T) {
	for _, at := range []int64{-1, 5, 500} { // committed
		synctest.Test(t, func(t *testing.T) {
			k := kafkatest.StartFake(t, kafkatest.Virtual())
			topic, other, group := k.Topic(t, 1), k.Topic(t, 1), k.Group(t)
			fill(t, k, topic, 1, 0, 10)
			fill(t, k, other, 1, 0, 10)
			if at >= 0 {
				commitAs(t, k, group, topic, 0, at)
			}
			k.Fake().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: topic, Err: kerr.LeaderNotAvailable, Count: -1})
			s := groupSettings(k, group, topic, other)
			s.Stop, s.OnGap = "end", "latest"
			a, b := startRunDial(t, k.Dial, s), startRunDial(t, k.Dial, s)
			a.until("one topic is read", func() bool { return len(a.sink.Records())+len(b.sink.Records()) == 10 })
			if err := k.Fake().DeleteTopic(topic); err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(a.soonEnds(), b.soonEnds()); err != nil {
				t.Errorf("committed %d: %v", at, err)
			}
		})
	}
}

func TestKafkaEndsAlthoughTheTopicIsMadeAgain(t *testing.T) {
	for _, policy := range []string{"stop", "earliest", "latest"} {
		synctest.Test(t, func(t *testing.T) {
			k, r, topic, f := heldGroup(t, policy)
			if err := errors.Join(k.Fake().DeleteTopic(topic), k.Fake().CreateTopic(topic, 2, nil)); err != nil {
				t.Fatal(err)
			}
			into(t, k, topic, 1, 1000, 3)
			f.Remove()
			err := r.soonEnds()
			if gaps := r.log.named("source.gap"); len(gaps) == 0 || gaps[0]["reason"] != gapRecreated {
				t.Errorf("%s: %v", policy, gaps)
			}
			if (policy == "stop") != (err != nil) {
				t.Errorf("%s: %v", policy, err)
			}
			if n := len(r.sink.Records()); policy == "earliest" && n != 13 {
				t.Errorf("%d records, not the 10 of before and the 3 of the new topic", n)
			}
		})
	}
}

func TestKafkaEndsWhenTheTopicIsDenied(t *testing.T) {
	for name, keys := range map[string][]kmsg.Key{"all": {kmsg.Fetch, kmsg.Metadata, kmsg.ListOffsets}, "metadata": {kmsg.Metadata}} {
		synctest.Test(t, func(t *testing.T) {
			k, r, topic, f := heldGroup(t, "earliest")
			k.Fake().Fault(kfake.Fault{Keys: keys, Topic: topic, Err: kerr.TopicAuthorizationFailed, Count: -1})
			if name == "all" {
				f.Remove()
			}
			if err := r.soonEnds(); !errors.Is(err, kafka.TopicAuthorizationFailed) {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
}

func TestKafkaPartitionsThatComeLaterDoNotKeepItFromEnding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, r, topic, f := heldGroup(t, "stop")
		k.AddPartitions(t, topic, 4)
		into(t, k, topic, 3, 1000, 3)
		time.Sleep(15 * time.Second) // the group gives them to the member
		f.Remove()
		if err := r.soonEnds(); err != nil {
			t.Error(err)
		}
		check(t, 20, true, r.sink) // to the end as it was at the start
	})
}
