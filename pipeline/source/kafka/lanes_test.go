package kafkasource

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/engine"
	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
)

// pending makes a partition one whose committed offset a transaction is about to move.
func pending(k *kafkatest.Cluster, topic string, partition int32) *kfake.FaultHandle {
	return k.Fake().Fault(kfake.Fault{
		Keys: []kmsg.Key{kmsg.OffsetFetch}, Topic: topic, Partitions: []int32{partition}, Err: kerr.UnstableOffsetCommit, Count: -1,
	})
}

// virtually runs a test in virtual time.
func virtually(t *testing.T, f func(t *testing.T, k *kafkatest.Cluster, o Options)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		k := kafkatest.StartFake(t, kafkatest.Virtual())
		f(t, k, Options{Pipeline: "test", Drain: 5 * time.Second, Dial: k.Dial})
	})
}

func TestKafkaPendingTransactionHoldsNoOtherPartitionBack(t *testing.T) {
	virtually(t, func(t *testing.T, k *kafkatest.Cluster, o Options) {
		topic := k.Topic(t, 4)
		fill(t, k, topic, 4, 0, 40)
		held := pending(k, topic, 1)
		s := groupSettings(k, k.Group(t), topic)
		a := startRunWith(t, s, o)
		a.until("the other partitions are read", func() bool { return len(a.sink.Records()) == 30 })
		// It can be given back as well, whichever of the two gets it.
		b := startRunWith(t, s, o)
		b.until("the second member has its part", func() bool {
			return len(a.k.Report().Partitions) == 2 && len(b.k.Report().Partitions) == 2
		})
		held.Remove()
		a.until("all is read", func() bool { return len(a.sink.Records())+len(b.sink.Records()) == 40 })
		b.stop()
		a.stop()
		check(t, 40, true, a.sink, b.sink)
	})
}

func TestKafkaMemberThatWasThrownOutReadsNothingUnderItsOldLife(t *testing.T) {
	virtually(t, func(t *testing.T, k *kafkatest.Cluster, o Options) {
		topic, group := k.Topic(t, 2), k.Group(t)
		a := startRunWith(t, groupSettings(k, group, topic), o)
		a.until("both are read", func() bool { return len(a.k.Report().Partitions) == 2 })
		held := pending(k, topic, 3)
		k.AddPartitions(t, topic, 4)
		a.until("the offset is asked for", func() bool { return held.Hits() > 2 })
		fill(t, k, topic, 2, 0, 100)
		a.has(100)
		out := k.Fake().Fault(kfake.Fault{
			Keys: []kmsg.Key{kmsg.Heartbeat, kmsg.JoinGroup, kmsg.OffsetCommit}, Group: group, Err: kerr.UnknownMemberID, Count: -1,
		})
		a.until("it is out", func() bool { return out.Hits() > 5 })
		out.Remove()
		fill(t, k, topic, 2, 100, 100)
		a.until("it is in again and has committed", func() bool {
			c := k.Committed(t, group)[topic]
			return c[0] == 100 && c[1] == 100
		})
		held.Remove()
		a.stop()
		check(t, 200, false, a.sink)
		times := map[string]int{}
		for _, r := range a.sink.Records() {
			if times[string(r.Value())]++; times[string(r.Value())] > 3 {
				t.Fatalf("record %s came again and again", r.Value())
			}
		}
	})
}

func TestKafkaCommitOutageIsReported(t *testing.T) {
	virtually(t, func(t *testing.T, k *kafkatest.Cluster, o Options) {
		topic, group := k.Topic(t, 2), k.Group(t)
		r := startRunWith(t, groupSettings(k, group, topic), o)
		fill(t, k, topic, 2, 0, 100)
		r.until("the first is committed", func() bool { c := k.Committed(t, group)[topic]; return c[0] == 50 && c[1] == 50 })
		out := k.Fake().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Group: group, Err: kerr.CoordinatorNotAvailable, Count: -1})
		fill(t, k, topic, 2, 100, 100)
		r.has(200)
		time.Sleep(35 * time.Second)
		failed := r.log.named("commit.failed")
		if len(failed) < 2 || failed[0]["error_type"] != "kafka_coordinator_not_available" || failed[0]["attempt"] != 1.0 || failed[1]["attempt"].(float64) < 2 {
			t.Errorf("35 s without a commit: %v", failed)
		}
		out.Remove()
		r.until("all is committed", func() bool { c := k.Committed(t, group)[topic]; return c[0] == 100 && c[1] == 100 })
		r.stop()
	})
}

// A stop while commits get no answer ends within its budget, tells of it, and leaves
// the group, which need not wait for the session to end.
func TestKafkaLeavesItsGroupDuringACommitOutage(t *testing.T) {
	virtually(t, func(t *testing.T, k *kafkatest.Cluster, o Options) {
		topic, group := k.Topic(t, 2), k.Group(t)
		r := startRunWith(t, groupSettings(k, group, topic), o, func(o *engine.Options) { o.Drain = 3 * time.Second })
		fill(t, k, topic, 2, 0, 100)
		r.until("the first is committed", func() bool { c := k.Committed(t, group)[topic]; return c[0] == 50 && c[1] == 50 })
		left := k.Fake().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.LeaveGroup}, Group: group, Observe: true, Count: -1})
		out := k.Fake().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Group: group, Err: kerr.CoordinatorNotAvailable, Count: -1})
		fill(t, k, topic, 2, 100, 100)
		r.has(200)
		r.until("a commit fails", func() bool { return out.Hits() > 0 })
		began := time.Now()
		r.cancel()
		if err := r.end(); err == nil || !strings.Contains(err.Error(), "committing for the last time") || !strings.Contains(err.Error(), "COORDINATOR_NOT_AVAILABLE") {
			t.Errorf("it ends with %v", err)
		}
		if took := time.Since(began); took > 4*time.Second {
			t.Errorf("it ends after %s", took)
		}
		if left.Hits() == 0 {
			t.Error("it has not left its group")
		}
	})
}

// commits watches the commits that reach a cluster.
type commits struct {
	mu       sync.Mutex
	latest   map[int32]int64
	wentBack []string
}

func (c *commits) see(req kmsg.Request) {
	o := req.(*kmsg.OffsetCommitRequest)
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, t := range o.Topics {
		for _, p := range t.Partitions {
			if was := c.latest[p.Partition]; p.Offset < was {
				c.wentBack = append(c.wentBack, fmt.Sprintf("partition %d: %d after %d, generation %d", p.Partition, p.Offset, was, o.Generation))
			}
			c.latest[p.Partition] = max(p.Offset, c.latest[p.Partition])
		}
	}
}

// A commit gets no answer, and before it is tried again its partition has been with
// another member, who has committed more.
func TestKafkaCommitOfAnEarlierTermIsNotTriedAgain(t *testing.T) {
	virtually(t, func(t *testing.T, k *kafkatest.Cluster, o Options) {
		topic, group := k.Topic(t, 2), k.Group(t)
		s := groupSettings(k, group, topic)
		o.Drain = time.Second
		a := startRunWith(t, s, o)
		fill(t, k, topic, 2, 0, 100)
		both := func(want int64) func() bool {
			return func() bool { c := k.Committed(t, group)[topic]; return c[0] == want && c[1] == want }
		}
		a.until("the first is committed", both(50))
		seen := &commits{latest: map[int32]int64{}}
		var hung atomic.Bool
		k.Fake().ControlKey(int16(kmsg.OffsetCommit), func(req kmsg.Request) (kmsg.Response, error, bool) {
			k.Fake().KeepControl()
			if hung.CompareAndSwap(false, true) {
				k.Fake().SleepControl(func() { time.Sleep(4900 * time.Millisecond) })
				return nil, errors.New("the request is lost"), true
			}
			seen.see(req)
			return nil, nil, false
		})
		fill(t, k, topic, 2, 100, 20)
		a.has(120)
		a.until("a commit of 60 hangs", hung.Load)
		b := startRunWith(t, s, o)
		b.until("the other member has one", func() bool { return len(b.k.Report().Partitions) == 1 })
		p := b.k.Report().Partitions[0].Partition
		fill(t, k, topic, 2, 120, 200)
		b.until("it commits", func() bool { return k.Committed(t, group)[topic][p] == 160 })
		b.stop()
		a.until("the first has both again", func() bool { return len(a.k.Report().Partitions) == 2 })
		time.Sleep(20 * time.Second)
		if !both(160)() || len(seen.wentBack) > 0 {
			t.Errorf("committed %v at the end; went back: %v", k.Committed(t, group)[topic], seen.wentBack)
		}
		a.stop()
	})
}

// The same, with a request that is not lost: it reaches the broker when the partition is
// back, and is of an earlier generation. On a real broker too.
func TestKafkaCommitOfAnEarlierTermThatComesLate(t *testing.T) {
	run := virtually
	if os.Getenv(kafkatest.Env) != "" {
		run = func(t *testing.T, f func(*testing.T, *kafkatest.Cluster, Options)) {
			f(t, kafkatest.Start(t), Options{Pipeline: "test"})
		}
	}
	run(t, func(t *testing.T, k *kafkatest.Cluster, o Options) {
		topic, group := k.Topic(t, 2), k.Group(t)
		s := groupSettings(k, group, topic)
		s.Session = 6 * time.Second // a request has 3 s
		seen := &commits{latest: map[int32]int64{}}
		var delaying atomic.Bool
		delayed, release, again := make(chan struct{}), make(chan struct{}), make(chan struct{})
		var once sync.Once
		proxy := k.Proxy(t, func(key int16, request []byte) <-chan struct{} {
			if key != int16(kmsg.OffsetCommit) {
				return nil
			}
			req := kmsg.NewPtrOffsetCommitRequest()
			req.Version = int16(binary.BigEndian.Uint16(request[2:]))
			if err := req.ReadFrom(request[10+binary.BigEndian.Uint16(request[8:]):]); err != nil { // behind the client's name
				t.Error(err)
			}
			if delaying.CompareAndSwap(true, false) {
				close(delayed)
				return release
			}
			seen.see(req)
			select {
			case <-delayed:
				if req.Topics[0].Partitions[0].Offset > 160 {
					once.Do(func() { close(again) })
				}
			default:
			}
			return nil
		})
		o.Drain, o.Dial = time.Second, proxy.Dial
		a := startRunWith(t, s, o)
		fill(t, k, topic, 2, 0, 100)
		both := func(want int64) func() bool {
			return func() bool { c := k.Committed(t, group)[topic]; return c[0] == want && c[1] == want }
		}
		a.until("the first is committed", both(50))
		delaying.Store(true)
		fill(t, k, topic, 2, 100, 20)
		<-delayed
		b := startRunWith(t, s, o)
		b.until("the other member has one", func() bool { return len(b.k.Report().Partitions) == 1 })
		p := b.k.Report().Partitions[0].Partition
		fill(t, k, topic, 2, 120, 200)
		b.until("it commits", func() bool { return k.Committed(t, group)[topic][p] == 160 })
		b.stop()
		a.until("the first has both again", func() bool { return len(a.k.Report().Partitions) == 2 })
		close(release)
		fill(t, k, topic, 2, 320, 20)
		<-again // its commits go on
		a.until("all is committed", both(170))
		a.stop()
		if !both(170)() || len(seen.wentBack) > 0 {
			t.Errorf("committed %v at the end; went back: %v", k.Committed(t, group)[topic], seen.wentBack)
		}
	})
}

// A failing engine does not open the lane of a partition that is taken away meanwhile.
type failing struct {
	pipeline.Feed
	k    *Source
	name string
}

func (f failing) Lane(ctx context.Context, name string, committed int64) (pipeline.Lane, int64, error) {
	if name != f.name {
		return f.Feed.Lane(ctx, name, committed)
	}
	f.k.mu.Lock()
	for tp, p := range f.k.parts {
		if tp.String() == name {
			p.giveUp()
		}
	}
	f.k.mu.Unlock()
	return nil, 0, errors.New("opening a lane: its stored offset is not known")
}

// A failingSource opens through a failing engine.
type failingSource struct {
	*Source
	name string
}

func (f failingSource) Open(ctx context.Context, e pipeline.Feed) error {
	return f.Source.Open(ctx, failing{e, f.Source, f.name})
}

func TestKafkaLaneThatDoesNotOpenHoldsNoOtherBack(t *testing.T) {
	for _, fresh := range []bool{true, false} {
		virtually(t, func(t *testing.T, k *kafkatest.Cluster, o Options) {
			topic, group := k.Topic(t, 4), k.Group(t)
			fill(t, k, topic, 4, 0, 40)
			if !fresh {
				commit := kadm.Offsets{}
				for p := range int32(4) {
					commit.AddOffset(topic, p, 0, -1)
				}
				if err := k.Admin(t).CommitAllOffsets(t.Context(), group, commit); err != nil {
					t.Fatal(err)
				}
			}
			r := startRunWith(t, groupSettings(k, group, topic), o, func(o *engine.Options) {
				o.Source = failingSource{o.Source.(*Source), topic + "/1"}
			})
			r.until("the others are read", func() bool { return len(r.sink.Records()) == 30 })
			r.stop()
		})
	}
}

// A notebook is a transactor in memory, one of whose commits fails.
type notebook struct {
	mu    sync.Mutex
	fail  bool
	ended int // transactions that were aborted
	next  map[string]int64
}

func (n *notebook) Bind(pipeline.Source) error  { return nil }
func (n *notebook) Begin(context.Context) error { return nil }

func (n *notebook) Stored(_ context.Context, lane string) (int64, bool, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	next, ok := n.next[lane]
	return next, ok, nil
}

func (n *notebook) Commit(_ context.Context, marks []pipeline.Mark) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.fail {
		n.fail = false
		return errors.New("committing a transaction: no answer")
	}
	for _, m := range marks {
		n.next[m.Lane.Name()] = m.Next
	}
	return nil
}

func (n *notebook) Abort(context.Context) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ended++
	return nil
}

func TestKafkaAsksOnceForAllAfterAnAbort(t *testing.T) {
	virtually(t, func(t *testing.T, k *kafkatest.Cluster, o Options) {
		const partitions = 12
		topic, group := k.Topic(t, partitions), k.Group(t)
		asked := k.Fake().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetFetch}, Group: group, Observe: true, Count: -1})
		n := &notebook{next: map[string]int64{}}
		r := startRunWith(t, groupSettings(k, group, topic), o, func(o *engine.Options) { o.Transactor = n })
		fill(t, k, topic, partitions, 0, 120)
		r.has(120)
		time.Sleep(time.Second)
		if hits := asked.Hits(); hits != 1 {
			t.Errorf("asked %d times for offsets at the start", hits)
		}
		n.mu.Lock()
		n.fail = true
		n.mu.Unlock()
		fill(t, k, topic, partitions, 120, 120)
		r.until("a transaction is aborted and its records come again", func() bool {
			n.mu.Lock()
			defer n.mu.Unlock()
			all := n.ended == 1
			for p := range partitions {
				all = all && n.next[fmt.Sprintf("%s/%d", topic, p)] == 20
			}
			return all
		})
		if hits := asked.Hits(); hits > 3 {
			t.Errorf("%d partitions were asked for in %d requests after an abort", partitions, hits-1)
		}
		r.stop()
	})
}
