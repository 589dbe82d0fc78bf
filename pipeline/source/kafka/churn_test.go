package kafkasource

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
	"github.com/penstockio/penstock/pipeline/pipelinetest"
)

// Members come, go and are thrown out, offsets are pending, and commits are held back on
// their way, some past the time that a request has: in the end nothing is missing, and
// what is committed is the end.
func TestKafkaCommitsSettleUnderChurn(t *testing.T) {
	seeds := uint64(12)
	if testing.Short() {
		seeds = 3
	}
	for seed := range seeds {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			virtually(t, func(t *testing.T, k *kafkatest.Cluster, o Options) { churn(t, k, o, seed) })
		})
	}
}

func churn(t *testing.T, k *kafkatest.Cluster, o Options, seed uint64) {
	const partitions = 6
	rnd := rand.New(rand.NewPCG(seed, 1))
	var mu sync.Mutex
	delay := func(key int16, _ []byte) <-chan struct{} {
		mu.Lock()
		defer mu.Unlock()
		if key != int16(kmsg.OffsetCommit) || rnd.IntN(12) > 0 {
			return nil
		}
		ch := make(chan struct{})
		time.AfterFunc(time.Duration(rnd.IntN(12_000))*time.Millisecond, func() { close(ch) })
		return ch
	}
	random := func(n int) int { mu.Lock(); defer mu.Unlock(); return rnd.IntN(n) }
	topic, group := k.Topic(t, partitions), k.Group(t)
	s := groupSettings(k, group, topic)
	s.Session, s.Heartbeat = 6*time.Second, 500*time.Millisecond
	o.Drain = time.Second
	var sinks []*pipelinetest.Memory
	join := func() *testRun {
		o := o
		o.Dial = k.Proxy(t, delay).Dial
		r := startRunWith(t, s, o)
		sinks = append(sinks, r.sink)
		return r
	}
	runs := []*testRun{join()}
	n := 0
	for range 25 {
		more := 6 + random(60)
		fill(t, k, topic, partitions, n, more)
		n += more
		switch what := random(10); {
		case what < 3 && len(runs) < 4:
			runs = append(runs, join())
		case what < 5 && len(runs) > 1:
			runs[0].cancel()
			_ = runs[0].end() // its last commit may have been held back
			runs = runs[1:]
		case what == 5:
			k.Fake().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat}, Group: group, Err: kerr.UnknownMemberID, Count: 1})
		case what == 6:
			f := k.Fake().Fault(kfake.Fault{
				Keys: []kmsg.Key{kmsg.OffsetFetch}, Topic: topic, Partitions: []int32{int32(random(partitions))}, Err: kerr.UnstableOffsetCommit, Count: -1,
			})
			time.AfterFunc(time.Duration(random(5000))*time.Millisecond, f.Remove)
		}
		time.Sleep(time.Duration(random(2500)) * time.Millisecond)
	}
	settled := func() bool {
		c := k.Committed(t, group)[topic]
		for p := range partitions {
			if want := (n + partitions - 1 - p) / partitions; c[int32(p)] != int64(want) {
				return false
			}
		}
		return true
	}
	time.Sleep(2 * time.Minute) // longer than what the last doubt is looked into
	if !settled() {
		t.Errorf("%d records in %d partitions, committed %v", n, partitions, k.Committed(t, group)[topic])
	}
	for _, r := range runs {
		r.cancel()
		if err := r.end(); err != nil {
			t.Error(err)
		}
	}
	check(t, n, false, sinks...)
}
