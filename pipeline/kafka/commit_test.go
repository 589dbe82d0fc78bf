package kafka

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/segmentio/kafka-go/protocol"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"

	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
)

// virtually runs a test in virtual time on kfake, or in real time on a real broker.
func virtually(t *testing.T, f func(t *testing.T, c *kafkatest.Cluster)) {
	t.Helper()
	if os.Getenv(kafkatest.Env) != "" {
		f(t, kafkatest.Start(t))
		return
	}
	synctest.Test(t, func(t *testing.T) { f(t, kafkatest.StartFake(t, kafkatest.Virtual())) })
}

// A delayer delays the next commits that pass a proxy.
type delayer struct {
	mu      sync.Mutex
	next    int
	delayed []chan struct{}
	got     chan struct{} // one for each that is delayed
}

func newDelayer() *delayer { return &delayer{got: make(chan struct{}, 1000)} }

func (h *delayer) delay(key int16, _ []byte) <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	if key != int16(protocol.OffsetCommit) || h.next == 0 {
		return nil
	}
	h.next--
	ch := make(chan struct{})
	h.delayed = append(h.delayed, ch)
	h.got <- struct{}{}
	return ch
}

func (h *delayer) take(n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.next = n
}

// release lets those go on that are delayed.
func (h *delayer) release() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, ch := range h.delayed {
		close(ch)
	}
	h.delayed = nil
}

// followDelayed follows through a proxy that delays commits.
func followDelayed(t testing.TB, c *kafkatest.Cluster, config GroupConfig, drain bool) (*follower, *delayer) {
	h := newDelayer()
	proxy := c.Proxy(t, h.delay)
	return followBy(t, testClient(t, c, func(config *Config) { config.Dial = proxy.Dial }), config, drain), h
}

// giveUp commits and gives up while the request is on its way.
func (f *follower) giveUp(h *delayer, tp TopicPartition, offset int64) {
	f.t.Helper()
	h.take(1)
	ctx, cancel := context.WithCancel(soon(f.t))
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- f.Commit(ctx, map[TopicPartition]Mark{tp: {Offset: offset, Term: f.termOf(tp)}}) }()
	<-h.got
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		f.t.Errorf("committing %d without an answer: %v", offset, err)
	}
}

// untilCommitted waits until an offset is what is stored.
func untilCommitted(t testing.TB, c *kafkatest.Cluster, group string, tp TopicPartition, want int64) {
	t.Helper()
	ctx := soon(t)
	for {
		got := c.Committed(t, group)[tp.Topic][tp.Partition]
		if got == want {
			return
		}
		if !sleep(ctx, 10*time.Millisecond) {
			t.Fatalf("committed %d, want %d", got, want)
		}
	}
}

// A commit got no answer, a later one did, and then the broker gets to the first.
func TestCommitThatIsAppliedLateIsPutRight(t *testing.T) {
	virtually(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic := c.Topic(t, 1)
		config := quick(c, t, topic)
		tp := TopicPartition{topic, 0}
		a, h := followDelayed(t, c, config, false)
		a.untilServing(1)
		a.giveUp(h, tp, 60)
		if err := a.commit(tp, a.termOf(tp), 70); err != nil {
			t.Fatal(err)
		}
		h.release()
		untilCommitted(t, c, config.Group, tp, 60) // it has gone back
		untilCommitted(t, c, config.Group, tp, 70)
		// So does one that comes later still, and one that was never answered at all counts.
		a.giveUp(h, tp, 80)
		h.release()
		untilCommitted(t, c, config.Group, tp, 80)
		if err := a.commit(tp, a.termOf(tp), 75); err != nil {
			t.Fatal(err)
		}
		if got := c.Committed(t, config.Group)[topic][0]; got != 80 {
			t.Errorf("75 was committed when 80 may have been stored: %d", got)
		}
	})
}

// A commit is on its way while its partition goes to another member, who commits more,
// and comes back: the group refuses it, because it is of an earlier generation.
func TestCommitOfAnEarlierGenerationIsRefused(t *testing.T) {
	virtually(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic := c.Topic(t, 2)
		config := quick(c, t, topic)
		a, h := followDelayed(t, c, config, true)
		a.untilServing(2)
		b := follow(t, c, config, false)
		a.until("one is revoked", func() bool { return len(a.draining) == 1 })
		tp := sortedPartitions(a.draining)[0]
		a.giveUp(h, tp, 60)
		a.release(tp)
		b.untilServing(1)
		if err := b.commit(tp, b.termOf(tp), 160); err != nil {
			t.Fatal(err)
		}
		if err := b.Leave(soon(t), false); err != nil {
			t.Fatal(err)
		}
		a.untilServing(2)
		h.release()
		if err := a.commit(tp, a.termOf(tp), 170); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		for sleep(ctx, 10*time.Millisecond) { // virtual time on kfake; the broker has had the request for long
			if got := c.Committed(t, config.Group)[topic][tp.Partition]; got != 170 {
				t.Fatalf("committed %d", got)
			}
		}
	})
}

// A partition that the group gives back while it drains begins its next term in another
// generation, if a commit of the one before may still be applied.
func TestTermsAreKeptApartByAGeneration(t *testing.T) {
	for _, last := range []string{"answered", "given up", "under way"} {
		doubt := last != "answered"
		virtually(t, func(t *testing.T, c *kafkatest.Cluster) {
			topic := c.Topic(t, 2)
			config := quick(c, t, topic)
			a, h := followDelayed(t, c, config, true)
			a.untilServing(2)
			b := follow(t, c, config, false)
			a.until("one is revoked", func() bool { return len(a.draining) == 1 })
			tp := sortedPartitions(a.draining)[0]
			if err := b.Leave(soon(t), false); err != nil {
				t.Fatal(err)
			}
			generation := func() int32 { a.mu.Lock(); defer a.mu.Unlock(); return a.last.Generation }
			m := a.Group.(*member)
			a.until("it is given back", func() bool {
				m.mu.Lock()
				defer m.mu.Unlock()
				_, ok := m.assigned[tp]
				return ok
			})
			before, term := generation(), a.termOf(tp)
			done := make(chan error, 1)
			switch last {
			case "answered":
				if err := a.commit(tp, term, 60); err != nil {
					t.Error(err)
				}
			case "given up":
				a.giveUp(h, tp, 60)
			case "under way":
				h.take(1)
				go func() { done <- a.Commit(soon(t), map[TopicPartition]Mark{tp: {Offset: 60, Term: term}}) }()
				<-h.got
			}
			a.release(tp)
			a.until("it is served again", func() bool { return len(a.serving) == 2 })
			if now := a.termOf(tp); now <= term || a.Owns(tp, term) || !a.Owns(tp, now) {
				t.Errorf("term %d after %d", now, term)
			}
			if (generation() > before) != doubt {
				t.Errorf("the last commit is %s: generation %d after %d", last, generation(), before)
			}
			h.release()
			if last == "under way" {
				if err := <-done; !errors.Is(err, ErrFenced) {
					t.Errorf("it ends with %v", err)
				}
			}
		})
	}
}

func TestRenewedTermMayBeginLower(t *testing.T) {
	c := kafkatest.Start(t)
	topic := c.Topic(t, 1)
	config := quick(c, t, topic)
	tp := TopicPartition{topic, 0}
	a := follow(t, c, config, false)
	a.untilServing(1)
	old := a.termOf(tp)
	for _, offset := range []int64{90, 40} {
		if err := a.commit(tp, old, offset); err != nil {
			t.Fatal(err)
		}
	}
	if got := c.Committed(t, config.Group)[topic][0]; got != 90 {
		t.Errorf("committed %d within a term", got)
	}
	term, ok := a.Renew(tp, old)
	if !ok || term <= old {
		t.Fatalf("term %d after %d", term, old)
	}
	if err := a.commit(tp, old, 95); !errors.Is(err, ErrFenced) {
		t.Errorf("committing in the term before: %v", err)
	}
	if err := a.commit(tp, term, 5); err != nil {
		t.Fatal(err)
	}
	if got := c.Committed(t, config.Group)[topic][0]; got != 5 {
		t.Errorf("committed %d in the new term", got)
	}
	if _, ok := a.Renew(tp, old); ok {
		t.Error("a term that is over is renewed")
	}
}

// A commit of the log before is applied late: it would skip what the new log has. It was
// given up before the new term began, or after.
func TestCommitOfTheLogBeforeIsPutRight(t *testing.T) {
	for _, before := range []bool{true, false} {
		virtually(t, func(t *testing.T, c *kafkatest.Cluster) {
			topic := c.Topic(t, 1)
			config := quick(c, t, topic)
			tp := TopicPartition{topic, 0}
			a, h := followDelayed(t, c, config, false)
			a.untilServing(1)
			term := a.termOf(tp)
			ctx, cancel := context.WithCancel(soon(t))
			done := make(chan error, 1)
			h.take(1)
			go func() { done <- a.Commit(ctx, map[TopicPartition]Mark{tp: {Offset: 99, Term: term}}) }()
			<-h.got
			giveUp := func() {
				cancel()
				if err := <-done; err == nil {
					t.Error("a commit without an answer is done")
				}
			}
			if before {
				giveUp()
			}
			term, ok := a.Renew(tp, term)
			if !ok {
				t.Fatal("the term is over")
			}
			if !before {
				giveUp()
			}
			if err := a.commit(tp, term, 5); err != nil {
				t.Fatal(err)
			}
			h.release()
			untilCommitted(t, c, config.Group, tp, 99)
			untilCommitted(t, c, config.Group, tp, 5)
		})
	}
}

// What is wrong with one partition is no reason not to store the others.
func TestCommitStoresWhatItMay(t *testing.T) {
	c := kafkatest.StartFake(t)
	topic := c.Topic(t, 4)
	config := quick(c, t, topic)
	a := follow(t, c, config, false)
	a.untilServing(4)
	tp := func(p int32) TopicPartition { return TopicPartition{topic, p} }
	c.Fake().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Topic: topic, Partitions: []int32{1}, Err: kerr.UnknownTopicOrPartition, Count: -1})
	c.Fake().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Topic: topic, Partitions: []int32{2}, Err: kerr.RebalanceInProgress, Count: 2})
	term := a.termOf(tp(0))
	err := a.Commit(soon(t), map[TopicPartition]Mark{tp(0): {5, term}, tp(1): {5, term}, tp(2): {5, term}, tp(3): {5, term - 1}})
	var failed *CommitError
	if !errors.As(err, &failed) || len(failed.Partitions) != 2 || failed.Partitions[tp(3)] != ErrFenced || failed.Partitions[tp(1)] != UnknownTopicOrPartition ||
		!errors.Is(err, ErrFenced) || !errors.Is(err, UnknownTopicOrPartition) {
		t.Errorf("%v", err)
	}
	if got := c.Committed(t, config.Group)[topic]; len(got) != 2 || got[0] != 5 || got[2] != 5 {
		t.Errorf("committed %v", got)
	}
}

// What was given up on must not be delivered later by the kernel: the connection is reset.
func TestGivenUpConnectionIsReset(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var set connSet
	set.init((&net.Dialer{}).DialContext)
	client, err := set.dial(soon(t), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	if err := client.SetDeadline(resetNow); err != nil {
		t.Fatal(err)
	}
	if _, err := server.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the broker sees %v", err)
	}
	if _, err := client.Write([]byte{1}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("writing on: %v", err)
	}
	if !set.close(time.Second) {
		t.Error("the connection is still counted")
	}
}

// Whatever is delayed, for how long, and whoever gives up when: what is stored in the
// end is the highest that was acknowledged, or one that was sent after it.
func TestCommitsNeverGoBack(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var failed any // rapid ends a run by a panic, which must not cross the bubble
		synctest.Test(t, func(t *testing.T) {
			defer func() { failed = recover() }()
			commitsNeverGoBack(t, rt)
		})
		if failed != nil {
			panic(failed)
		}
	})
}

func commitsNeverGoBack(t *testing.T, rt *rapid.T) {
	c := kafkatest.StartFake(t, kafkatest.Virtual())
	topic := c.Topic(t, 2)
	config := quick(c, t, topic)
	config.Heartbeat, config.Watch = time.Second, time.Minute // a run takes minutes, of virtual time
	var mu sync.Mutex
	delays := rapid.SliceOfN(rapid.SampledFrom([]time.Duration{0, 0, 0, time.Second, 4 * time.Second, 9 * time.Second}), 1, 20).Draw(rt, "delays")
	n := 0
	proxy := c.Proxy(t, func(key int16, _ []byte) <-chan struct{} {
		mu.Lock()
		defer mu.Unlock()
		if key != int16(protocol.OffsetCommit) || n >= len(delays) || delays[n] == 0 {
			n++
			return nil
		}
		ch := make(chan struct{})
		time.AfterFunc(delays[n], func() { close(ch) })
		n++
		return ch
	})
	a := followBy(t, testClient(t, c, func(config *Config) { config.Dial = proxy.Dial }), config, false)
	a.untilServing(2)
	var wait sync.WaitGroup
	acked, sent := map[int32]int64{}, map[int32]int64{}
	for range rapid.IntRange(1, 12).Draw(rt, "commits") {
		p := rapid.Int32Range(0, 1).Draw(rt, "partition")
		offset := sent[p] + rapid.Int64Range(0, 5).Draw(rt, "more") + 1
		sent[p] = offset
		patience := time.Duration(rapid.IntRange(1, 12).Draw(rt, "patience")) * time.Second
		wait.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			tp := TopicPartition{topic, p}
			if err := a.Commit(ctx, map[TopicPartition]Mark{tp: {Offset: offset, Term: a.termOf(tp)}}); err == nil {
				mu.Lock()
				acked[p] = max(acked[p], offset)
				mu.Unlock()
			}
		})
		time.Sleep(time.Duration(rapid.IntRange(0, 3000).Draw(rt, "pause")) * time.Millisecond)
	}
	wait.Wait()
	time.Sleep(3 * lastDoubt)
	got := c.Committed(t, config.Group)[topic]
	for p := range sent {
		if got[p] < acked[p] || got[p] > sent[p] {
			rt.Fatalf("partition %d: committed %d, acknowledged %d, sent %d", p, got[p], acked[p], sent[p])
		}
	}
}
