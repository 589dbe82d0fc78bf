package kafkasource

import (
	"context"
	"fmt"
	"math/rand"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/penstockio/penstock/pipeline/kafka"
	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
)

// virtualCluster starts brokers on a network within the bubble.
func virtualCluster(t *testing.T, brokers int) *kafkatest.Cluster {
	ports := make([]int, brokers)
	for i := range ports {
		ports[i] = 9092 + i
	}
	return kafkatest.StartFake(t, kafkatest.Virtual(), kafkatest.Brokers(brokers), kafkatest.Fake(kfake.Ports(ports...)))
}

// startVirtual runs a pipeline in the bubble.
func startVirtual(t *testing.T, s Settings, dial kafka.DialFunc) *testRun {
	t.Helper()
	r := newTestRun(t, s, Options{Pipeline: "test", Drain: 5 * time.Second, Dial: dial})
	r.begin(context.WithCancel(context.Background()))
	return r
}

// A broker that has not heard yet of the topic's new id says what it knows, once.
func TestStaleTopicIDIsNoGap(t *testing.T) {
	for _, brokers := range []int{1, 3} {
		t.Run(fmt.Sprint(brokers, " brokers"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := virtualCluster(t, brokers)
				topic := k.Topic(t, 1)
				s := groupSettings(k, k.Group(t), topic)
				s.OnGap = "earliest"
				r := startVirtual(t, s, k.Dial)
				fill(t, k, topic, 1, 0, 100)
				r.virtually(100)
				old := k.Metadata(t, 10, topic)
				k.Recreate(t, topic, 1)
				fill(t, k, topic, 1, 1000, 500)
				r.virtually(600)
				var told atomic.Int32
				k.Fake().ControlKey(int16(kmsg.Metadata), func(req kmsg.Request) (kmsg.Response, error, bool) {
					k.Fake().KeepControl()
					m := req.(*kmsg.MetadataRequest)
					if m.Version == 10 && len(m.Topics) == 1 && told.CompareAndSwap(0, 1) {
						return old, nil, true
					}
					return nil, nil, false
				})
				for i := range 60 { // records keep coming, for ten minutes
					fill(t, k, topic, 1, 2000+10*i, 10)
					time.Sleep(10 * time.Second)
				}
				r.virtually(1200)
				time.Sleep(time.Minute)
				if n := len(r.sink.Records()); n != 1200 {
					t.Errorf("%d records of 1200 were delivered", n)
				}
				if gaps := r.log.named("source.gap"); len(gaps) != 1 {
					t.Errorf("%d gaps: %v", len(gaps), gaps)
				}
				if told.Load() != 1 {
					t.Error("the stale answer was not given")
				}
				r.cancel()
				<-r.done
				r.done <- nil
			})
		})
	}
}

// virtually waits for n records, for up to ten minutes of virtual time.
func (r *testRun) virtually(n int) {
	r.t.Helper()
	for range 6000 {
		if len(r.sink.Records()) >= n {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	r.t.Fatalf("%d records of %d came in ten minutes", len(r.sink.Records()), n)
}

// A link that is slow, and one that breaks before the biggest answer is through: the
// records come, each once, in a time that the link allows.
func TestSlowLinkGetsOn(t *testing.T) {
	for _, tc := range []struct {
		name string
		link *kafkatest.Narrow
		most time.Duration
		down bool // whether the broker may be lost on the way
	}{
		{"60 KB a second", &kafkatest.Narrow{Rate: 60_000}, 2 * time.Minute, false},
		{"5 KB a second", &kafkatest.Narrow{Rate: 5_000}, 20 * time.Minute, false},
		{"every connection stalls", &kafkatest.Narrow{Rate: 60_000, Stall: 300_000, Stalls: 1 << 20}, 30 * time.Minute, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := virtualCluster(t, 1)
				topic := k.Topic(t, 1)
				random := rand.New(rand.NewSource(1))
				for range 40 { // 4 MB
					v := make([]byte, 100_000)
					random.Read(v)
					k.Produce(t, topic, &kgo.Record{Value: v})
				}
				tc.link.Under = k.Dial
				begin := time.Now()
				r := startVirtual(t, groupSettings(k, k.Group(t), topic), tc.link.Dial)
				for len(r.sink.Records()) < 40 && time.Since(begin) < tc.most {
					time.Sleep(time.Second)
				}
				if n := len(r.sink.Records()); n != 40 {
					t.Errorf("%d records of 40 after %v", n, time.Since(begin))
				}
				if down := r.log.named("source.disconnected"); len(down) > 0 && !tc.down {
					t.Errorf("disconnected: %v", down)
				}
				r.cancel()
				<-r.done
				r.done <- nil
			})
		})
	}
}

// A topic that was created again and is shorter than what was read of the old one is
// told of once, as what it is.
func TestShorterTopicOfTheSameNameIsOneGap(t *testing.T) {
	for _, brokers := range []int{1, 3} {
		t.Run(fmt.Sprint(brokers, " brokers"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := virtualCluster(t, brokers)
				topic := k.Topic(t, 1)
				s := groupSettings(k, k.Group(t), topic)
				s.OnGap = "earliest"
				r := startVirtual(t, s, k.Dial)
				fill(t, k, topic, 1, 0, 100)
				r.virtually(100)
				k.Recreate(t, topic, 1)
				fill(t, k, topic, 1, 1000, 50)
				r.virtually(150)
				time.Sleep(time.Minute)
				if n := len(r.sink.Records()); n != 150 {
					t.Errorf("%d records of 150 were delivered", n)
				}
				if gaps := r.log.named("source.gap"); len(gaps) != 1 || gaps[0]["reason"] != gapRecreated {
					t.Errorf("%d gaps: %v", len(gaps), gaps)
				}
				r.cancel()
				<-r.done
				r.done <- nil
			})
		})
	}
}

// A broker that is too old ends the run at its start, with what to do; the oldest that
// will do is read from.
func TestOldBrokers(t *testing.T) {
	v := kversion.Stable()
	v.SetMaxKeyVersion(int16(kmsg.OffsetFetch), 5)
	k := kafkatest.StartFake(t, kafkatest.Fake(kfake.MaxVersions(v)))
	topic := k.Topic(t, 2)
	err := startRun(t, groupSettings(k, k.Group(t), topic)).end()
	if err == nil || !strings.Contains(err.Error(), "OffsetFetch") || !strings.Contains(err.Error(), "Kafka "+kafka.OldestKafka) {
		t.Fatal(err)
	}
	old := kafkatest.StartFake(t, kafkatest.Fake(kfake.MaxVersions(kversion.V2_4_0())))
	topic = old.Topic(t, 2)
	fill(t, old, topic, 2, 0, 100)
	s := groupSettings(old, old.Group(t), topic)
	s.Stop = "end"
	r := startRun(t, s)
	if err := r.end(); err != nil {
		t.Fatal(err)
	}
	check(t, 100, true, r.sink)
	if again := startRun(t, s); again.end() != nil || len(again.sink.Records()) > 0 {
		t.Fatal("what was committed is read again")
	}
}
