package kafka

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
)

// A follower is a member whose events are played into a set of partitions. Revoked
// partitions are released at once, unless drain is set.
type follower struct {
	Group
	t     testing.TB
	drain bool

	mu       sync.Mutex
	serving  map[TopicPartition]int // its term
	draining map[TopicPartition]int
	lost     int
	events   int
	err      error
	last     Event
	news     chan struct{} // closed and made anew at each event
	ended    chan struct{}
}

func follow(t testing.TB, c *kafkatest.Cluster, config GroupConfig, drain bool) *follower {
	t.Helper()
	return followBy(t, testClient(t, c, func(config *Config) { config.Dial = c.Dial }), config, drain)
}

func followBy(t testing.TB, client *Client, config GroupConfig, drain bool) *follower {
	t.Helper()
	g, err := NewGroup(client, config)
	if err != nil {
		t.Fatal(err)
	}
	f := &follower{Group: g, t: t, drain: drain, serving: map[TopicPartition]int{}, draining: map[TopicPartition]int{},
		news: make(chan struct{}), ended: make(chan struct{})}
	go f.run()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = g.Leave(ctx, false)
		<-f.ended
	})
	return f
}

func (f *follower) run() {
	defer close(f.ended)
	for e := range f.Events() {
		f.mu.Lock()
		for _, tp := range e.Assigned {
			if _, ok := f.serving[tp]; ok {
				f.t.Errorf("%v is assigned twice", tp)
			}
			delete(f.draining, tp)
			f.serving[tp] = e.Term
		}
		for _, tp := range e.Revoked {
			f.draining[tp] = f.serving[tp]
			delete(f.serving, tp)
		}
		for _, tp := range e.Lost {
			f.lost++
			delete(f.serving, tp)
			delete(f.draining, tp)
		}
		if e.Err != nil {
			f.err = e.Err
		}
		f.events++
		f.last = e
		close(f.news)
		f.news = make(chan struct{})
		f.mu.Unlock()
		if !f.drain && len(e.Revoked) > 0 {
			f.release(e.Revoked...)
		}
	}
}

func (f *follower) release(tps ...TopicPartition) {
	f.mu.Lock()
	for _, tp := range tps {
		delete(f.draining, tp)
	}
	f.mu.Unlock()
	f.Released(tps)
}

// until waits for ok, which is asked at each event.
func (f *follower) until(what string, ok func() bool) {
	f.t.Helper()
	ctx := soon(f.t)
	for {
		f.mu.Lock()
		done, news := ok(), f.news
		f.mu.Unlock()
		if done {
			return
		}
		select {
		case <-news:
		case <-ctx.Done():
			f.mu.Lock()
			defer f.mu.Unlock()
			f.t.Fatalf("waiting until %s: serving %v, draining %v, error %v", what, f.serving, f.draining, f.err)
		}
	}
}

func (f *follower) untilServing(n int) {
	f.t.Helper()
	f.until(fmt.Sprintf("%d partitions are served", n), func() bool { return len(f.serving) == n && (f.drain || len(f.draining) == 0) })
}

func quick(c *kafkatest.Cluster, t testing.TB, topics ...string) GroupConfig {
	return GroupConfig{Group: c.Group(t), Topics: topics, Session: 6 * time.Second, Heartbeat: 20 * time.Millisecond,
		Rebalance: 10 * time.Second, Watch: 50 * time.Millisecond}
}

func (f *follower) commit(tp TopicPartition, term int, offset int64) error {
	f.t.Helper()
	return f.Commit(soon(f.t), map[TopicPartition]Mark{tp: {Offset: offset, Term: term}})
}

func (f *follower) termOf(tp TopicPartition) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	if term, ok := f.draining[tp]; ok {
		return term
	}
	return f.serving[tp]
}

func TestMembersJoinAndLeave(t *testing.T) {
	c := kafkatest.Start(t)
	one, two := c.Topic(t, 6), c.Topic(t, 2)
	config := quick(c, t, one, two)
	a := follow(t, c, config, false)
	a.untilServing(8)
	b := follow(t, c, config, false)
	a.untilServing(4)
	b.untilServing(4)
	d := follow(t, c, config, false)
	a.until("three share", func() bool { return len(a.serving) <= 3 })
	b.until("three share", func() bool { return len(b.serving) <= 3 })
	d.until("three share", func() bool { return len(d.serving) >= 2 })
	for _, f := range []*follower{b, d} {
		if err := f.Leave(soon(t), false); err != nil {
			t.Fatal(err)
		}
	}
	a.untilServing(8)
	if a.lost != 0 || a.Life() != 0 {
		t.Errorf("%d partitions lost, life %d", a.lost, a.Life())
	}
}

func TestServedPartitionsStayDuringARebalance(t *testing.T) {
	c := kafkatest.Start(t)
	topic := c.Topic(t, 6)
	config := quick(c, t, topic)
	a := follow(t, c, config, true)
	a.untilServing(6)
	b := follow(t, c, config, false)
	a.until("three are revoked", func() bool { return len(a.draining) == 3 && len(a.serving) == 3 })
	b.until("it has joined", func() bool { return b.events > 0 })
	if len(b.serving) != 0 {
		t.Errorf("partitions that drain have a new owner: %v", b.serving)
	}
	// One is given back alone and moves alone.
	tps := sortedPartitions(a.draining)
	a.release(tps[0])
	b.untilServing(1)
	if _, ok := b.serving[tps[0]]; !ok {
		t.Errorf("%v was released, %v is served", tps[0], b.serving)
	}
	if err := a.commit(tps[1], a.termOf(tps[1]), 7); err != nil {
		t.Errorf("committing while draining: %v", err)
	}
	if err := a.commit(tps[0], 1, 7); !errors.Is(err, ErrFenced) {
		t.Errorf("committing what was given back: %v", err)
	}
	a.release(tps[1:]...)
	b.untilServing(3)
	if got := c.Committed(t, config.Group)[topic]; len(got) != 1 || got[tps[1].Partition] != 7 {
		t.Errorf("committed %v", got)
	}
}

func TestDrainLongerThanTheSessionKeepsOwnership(t *testing.T) {
	c := kafkatest.StartFake(t)
	topic := c.Topic(t, 4)
	config := quick(c, t, topic)
	config.Session, config.Rebalance = 200*time.Millisecond, 300*time.Millisecond
	a := follow(t, c, config, true)
	a.untilServing(4)
	b := follow(t, c, config, false)
	a.until("two are revoked", func() bool { return len(a.draining) == 2 })
	beats := c.Fake().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat}, Group: config.Group, Observe: true, Count: -1})
	if err := beats.Wait(soon(t), 60); err != nil { // of two members, every 20 ms: more than 500 ms
		t.Fatal(err)
	}
	if a.Life() != 0 || len(b.serving) != 0 {
		t.Fatalf("life %d, the other serves %v", a.Life(), b.serving)
	}
	for tp := range a.draining {
		if err := a.commit(tp, a.termOf(tp), 3); err != nil {
			t.Error(err)
		}
	}
	a.release(sortedPartitions(a.draining)...)
	b.untilServing(2)
}

func TestEvictionEndsALifeAndItsCommits(t *testing.T) {
	c := kafkatest.StartFake(t)
	topic := c.Topic(t, 2)
	config := quick(c, t, topic)
	config.Session = 300 * time.Millisecond
	a := follow(t, c, config, false)
	a.untilServing(2)
	tp := TopicPartition{topic, 0}
	if err := a.commit(tp, 1, 5); err != nil {
		t.Fatal(err)
	}
	c.Fake().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat}, Group: config.Group, Err: kerr.UnknownMemberID})
	a.until("it is lost and assigned again", func() bool { return a.lost == 2 && len(a.serving) == 2 })
	if a.Life() != 1 || a.termOf(tp) != 2 {
		t.Fatalf("life %d", a.Life())
	}
	if err := a.commit(tp, 1, 9); !errors.Is(err, ErrFenced) {
		t.Errorf("committing in the old life: %v", err)
	}
	if got, err := a.Committed(soon(t), []TopicPartition{tp, {topic, 1}}); err != nil || got[tp] != 5 || got[TopicPartition{topic, 1}] != -1 {
		t.Errorf("committed %v, %v", got, err)
	}
	if err := a.commit(tp, 2, 6); err != nil {
		t.Error(err)
	}
}

func TestCommitIsFencedBetweenItsTries(t *testing.T) {
	c := kafkatest.StartFake(t)
	topic := c.Topic(t, 1)
	config := quick(c, t, topic)
	a := follow(t, c, config, false)
	a.untilServing(1)
	// The group moves on without the member: the commit is refused, its next try is
	// of another life.
	c.Fake().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Group: config.Group, Err: kerr.UnknownMemberID},
		kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat}, Group: config.Group, Err: kerr.UnknownMemberID})
	if err := a.commit(TopicPartition{topic, 0}, 1, 9); !errors.Is(err, ErrFenced) {
		t.Errorf("committing while thrown out: %v", err)
	}
	if got := c.Committed(t, config.Group); len(got) != 0 {
		t.Errorf("committed %v", got)
	}
}

func TestCommitOutlivesCodesThatPass(t *testing.T) {
	c := kafkatest.StartFake(t)
	topic := c.Topic(t, 1)
	config := quick(c, t, topic)
	a := follow(t, c, config, false)
	a.untilServing(1)
	for _, e := range []*kerr.Error{kerr.RebalanceInProgress, kerr.IllegalGeneration, kerr.NotCoordinator, kerr.CoordinatorLoadInProgress} {
		c.Fake().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Group: config.Group, Err: e})
	}
	if err := a.commit(TopicPartition{topic, 0}, 1, 9); err != nil {
		t.Error(err)
	}
	c.Fake().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetFetch}, Topic: topic, Err: kerr.UnstableOffsetCommit, Count: 3})
	for range 3 {
		if got, err := a.Committed(soon(t), []TopicPartition{{topic, 0}}); err != nil || len(got) != 0 {
			t.Errorf("committed %v, %v, while a transaction is pending", got, err)
		}
	}
	if got, err := a.Committed(soon(t), []TopicPartition{{topic, 0}}); err != nil || got[TopicPartition{topic, 0}] != 9 {
		t.Errorf("committed %v, %v", got, err)
	}
	c.Fake().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetFetch}, Group: config.Group, Err: kerr.GroupAuthorizationFailed})
	if got, err := a.Committed(soon(t), []TopicPartition{{topic, 0}}); !errors.Is(err, GroupAuthorizationFailed) {
		t.Errorf("an error is no answer: %v, %v", got, err)
	}
}

func TestLateCommitDoesNotTakeTheGroupBack(t *testing.T) {
	c := kafkatest.Start(t)
	topic := c.Topic(t, 1)
	config := quick(c, t, topic)
	a := follow(t, c, config, false)
	a.untilServing(1)
	tp := TopicPartition{topic, 0}
	if err := a.Leave(soon(t), false); err != nil {
		t.Fatal(err)
	}
	b := follow(t, c, config, false)
	b.untilServing(1)
	if err := b.commit(tp, 1, 100); err != nil {
		t.Fatal(err)
	}
	if err := a.commit(tp, 1, 10); !errors.Is(err, ErrFenced) {
		t.Errorf("a member that has left commits: %v", err)
	}
	if got := c.Committed(t, config.Group)[topic][0]; got != 100 {
		t.Errorf("committed %d", got)
	}
}

func TestPartitionsThatAreAddedAreShared(t *testing.T) {
	c := kafkatest.Start(t)
	topic := c.Topic(t, 2)
	config := quick(c, t, topic)
	a := follow(t, c, config, false)
	a.untilServing(2)
	b := follow(t, c, config, false)
	a.untilServing(1)
	b.untilServing(1)
	c.AddPartitions(t, topic, 6)
	a.untilServing(3)
	b.untilServing(3)
}

func TestTopicThatComesLaterIsServed(t *testing.T) {
	c := kafkatest.Start(t)
	there, later := c.Topic(t, 1), c.Name(t)
	a := follow(t, c, quick(c, t, there, later), false)
	a.untilServing(1)
	c.CreateTopic(t, later, 3)
	a.untilServing(4)
}

func TestCoordinatorMoves(t *testing.T) {
	c := kafkatest.StartFake(t, kafkatest.Brokers(3))
	topic := c.Topic(t, 4)
	config := quick(c, t, topic)
	a := follow(t, c, config, false)
	a.untilServing(4)
	for i := range 5 {
		c.Fake().RehashCoordinators()
		if err := a.commit(TopicPartition{topic, 0}, a.termOf(TopicPartition{topic, 0}), int64(i)); err != nil {
			t.Fatal(err)
		}
	}
	b := follow(t, c, config, false)
	b.untilServing(2)
	a.untilServing(2)
	if a.Life() != 0 {
		t.Errorf("life %d: a coordinator that moves takes nothing away", a.Life())
	}
}

func TestSilentCoordinatorTakesNothingAway(t *testing.T) {
	c := kafkatest.StartFake(t)
	topic := c.Topic(t, 2)
	config := quick(c, t, topic)
	config.Session = 300 * time.Millisecond
	a := follow(t, c, config, false)
	a.untilServing(2)
	f := c.Fake().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat, kmsg.FindCoordinator}, Group: config.Group, Err: kerr.CoordinatorNotAvailable, Count: -1})
	if err := f.Wait(soon(t), 5); err != nil {
		t.Fatal(err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.Life() != 0 || len(a.serving) != 2 {
		t.Errorf("life %d, serving %v", a.Life(), a.serving)
	}
	f.Remove()
}

func TestStaticMemberKeepsItsPartitionsOverARestart(t *testing.T) {
	c := kafkatest.Start(t)
	topic := c.Topic(t, 4)
	config := quick(c, t, topic)
	one, two := config, config
	one.Instance, two.Instance = "one", "two"
	a := follow(t, c, one, false)
	a.untilServing(4)
	b := follow(t, c, two, false)
	a.untilServing(2)
	b.untilServing(2)
	had := fmt.Sprint(sortedPartitions(b.serving))
	if err := b.Leave(soon(t), true); err != nil {
		t.Fatal(err)
	}
	again := follow(t, c, two, false)
	again.untilServing(2)
	if got := fmt.Sprint(sortedPartitions(again.serving)); got != had {
		t.Errorf("had %s, has %s", had, got)
	}
	a.untilServing(2)
	if a.lost != 0 || again.Life() != 0 {
		t.Errorf("%d partitions lost", a.lost)
	}
	// A third with the same name throws it out for good.
	third := follow(t, c, two, false)
	again.until("it has stopped", func() bool { return again.err != nil })
	if !errors.Is(again.err, FencedInstanceID) {
		t.Errorf("stopped with %v", again.err)
	}
	third.untilServing(2)
}

// A real broker does not tell a static member that comes back that it leads.
func TestStaticLeaderThatWasRestartedNoticesNewPartitions(t *testing.T) {
	c := kafkatest.Start(t)
	topic := c.Topic(t, 2)
	config := quick(c, t, topic)
	config.Instance = "one"
	a := follow(t, c, config, false)
	a.untilServing(2)
	if err := a.Leave(soon(t), true); err != nil {
		t.Fatal(err)
	}
	again := follow(t, c, config, false)
	again.untilServing(2)
	c.AddPartitions(t, topic, 5)
	again.untilServing(5)
}

func TestMoreMembersThanPartitionsSettle(t *testing.T) {
	c := kafkatest.Start(t)
	topic := c.Topic(t, 4)
	config := quick(c, t, topic)
	var all []*follower
	for range 6 {
		all = append(all, follow(t, c, config, false))
	}
	total := func() (n, generation int) {
		for _, f := range all {
			f.mu.Lock()
			n += len(f.serving)
			generation = max(generation, int(f.last.Generation))
			f.mu.Unlock()
		}
		return n, generation
	}
	ctx := soon(t)
	settled := 0
	for n, last := 0, -1; settled < 25; {
		if !sleep(ctx, 20*time.Millisecond) {
			t.Fatalf("the group does not settle: %d partitions served, generation %d", n, last)
		}
		var generation int
		n, generation = total()
		if settled++; n != 4 || generation != last {
			settled = 0
		}
		last = generation
	}
	for _, f := range all {
		if len(f.serving) > 1 {
			t.Errorf("one member serves %v", f.serving)
		}
	}
}

func TestMixedWithFranzGo(t *testing.T) {
	c := kafkatest.Start(t)
	topic := c.Topic(t, 6)
	config := quick(c, t, topic)
	for _, first := range []string{"ours", "franz-go"} {
		t.Run(first+" leads", func(t *testing.T) {
			config := config
			config.Group = c.Group(t)
			var mu sync.Mutex
			theirs := map[int32]bool{}
			var a *follower
			if first == "ours" {
				a = follow(t, c, config, false)
				a.untilServing(6)
			}
			cl := c.Client(t, kgo.ConsumerGroup(config.Group), kgo.ConsumeTopics(topic), kgo.Balancers(kgo.CooperativeStickyBalancer()),
				kgo.HeartbeatInterval(50*time.Millisecond), kgo.SessionTimeout(6*time.Second),
				kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, m map[string][]int32) {
					mu.Lock()
					defer mu.Unlock()
					for _, p := range m[topic] {
						theirs[p] = true
					}
				}),
				kgo.OnPartitionsRevoked(func(_ context.Context, _ *kgo.Client, m map[string][]int32) {
					mu.Lock()
					defer mu.Unlock()
					for _, p := range m[topic] {
						delete(theirs, p)
					}
				}))
			has := func(n int) {
				t.Helper()
				ctx := soon(t)
				for {
					mu.Lock()
					got := len(theirs)
					mu.Unlock()
					if got == n {
						return
					}
					if !sleep(ctx, 5*time.Millisecond) {
						t.Fatalf("franz-go has %d partitions, want %d", got, n)
					}
				}
			}
			if first != "ours" {
				has(6)
				a = follow(t, c, config, false)
			}
			a.untilServing(3)
			has(3)
			for p := range int32(6) {
				mu.Lock()
				_, ours := a.serving[TopicPartition{topic, p}]
				if ours == theirs[p] {
					t.Errorf("partition %d: ours %v, theirs %v", p, ours, theirs[p])
				}
				mu.Unlock()
			}
			cl.Close()
			a.untilServing(6)
		})
	}
}

func TestRefusalsEndTheMember(t *testing.T) {
	for _, e := range []*kerr.Error{kerr.InconsistentGroupProtocol, kerr.GroupAuthorizationFailed, kerr.InvalidSessionTimeout} {
		t.Run(e.Message, func(t *testing.T) {
			c := kafkatest.StartFake(t)
			config := quick(c, t, c.Topic(t, 1))
			c.Fake().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.JoinGroup}, Group: config.Group, Err: e, Count: -1})
			a := follow(t, c, config, false)
			a.until("it has stopped", func() bool { return a.err != nil })
			if !errors.Is(a.err, Error(e.Code)) {
				t.Errorf("stopped with %v", a.err)
			}
			select {
			case <-a.ended:
			case <-soon(t).Done():
				t.Error("events are not closed")
			}
		})
	}
}

// A broker that was restarted and has kept no groups says that there is none, to a heartbeat and to a sync.
func TestMemberJoinsAGroupThatIsGoneAnew(t *testing.T) {
	for _, key := range []kmsg.Key{kmsg.Heartbeat, kmsg.SyncGroup, kmsg.JoinGroup} {
		t.Run(key.Name(), func(t *testing.T) {
			c := kafkatest.StartFake(t)
			config := quick(c, t, c.Topic(t, 2))
			a := follow(t, c, config, false)
			a.untilServing(2)
			keys := []kmsg.Key{key}
			if key != kmsg.Heartbeat { // which is what has it join again
				keys = append(keys, kmsg.Heartbeat)
			}
			for _, k := range keys {
				err := kerr.GroupIDNotFound
				if k != key {
					err = kerr.RebalanceInProgress
				}
				c.Fake().Fault(kfake.Fault{Keys: []kmsg.Key{k}, Group: config.Group, Err: err})
			}
			a.until("it is lost and assigned again", func() bool { return a.err != nil || a.lost == 2 && len(a.serving) == 2 })
			if a.err != nil {
				t.Fatalf("stopped with %v", a.err)
			}
			if a.Life() != 1 {
				t.Errorf("life %d", a.Life())
			}
		})
	}
}

// A join without a member id makes a group that is not there: refused, it is a group of another kind.
func TestGroupOfAnotherKindEndsTheMember(t *testing.T) {
	c := kafkatest.StartFake(t)
	config := quick(c, t, c.Topic(t, 1))
	c.Fake().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.JoinGroup}, Group: config.Group, Err: kerr.GroupIDNotFound, Count: -1})
	a := follow(t, c, config, false)
	a.until("it has stopped", func() bool { return a.err != nil })
	if !errors.Is(a.err, GroupIDNotFound) || !strings.Contains(a.err.Error(), "members of another protocol") {
		t.Errorf("stopped with %v", a.err)
	}
}

func TestLeaveDoesNotWaitForAJoin(t *testing.T) {
	c := kafkatest.StartFake(t)
	config := quick(c, t, c.Topic(t, 2))
	pending, release := make(chan struct{}), make(chan struct{})
	defer close(release)
	joins := 0
	c.Fake().ControlKey(int16(kmsg.JoinGroup), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.Fake().KeepControl()
		if joins++; joins == 2 { // the first hands out the member id
			c.Fake().SleepControl(func() { close(pending); <-release })
		}
		return nil, nil, false
	})
	a := follow(t, c, config, false)
	<-pending
	if err := a.Leave(soon(t), false); err != nil {
		t.Error(err)
	}
}

// refuse has a kfake cluster answer a code for a topic whenever its metadata is asked
// for.
func refuse(c *kafkatest.Cluster, topic string, code *kerr.Error) *kfake.FaultHandle {
	return c.Fake().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Metadata}, Topic: topic, Err: code, Count: -1})
}

func TestLeaderThatIsDeniedATopicTakesItFromNobody(t *testing.T) {
	for name, code := range map[string]*kerr.Error{"denied": kerr.TopicAuthorizationFailed, "unknown": kerr.UnknownTopicOrPartition} {
		t.Run(name, func(t *testing.T) {
			c := kafkatest.StartFake(t)
			topic := c.Topic(t, 4)
			config := quick(c, t, topic)
			config.Watch = time.Hour // the members look at the topic when one joins, and not again
			told := make(chan error, 100)
			config.Report = func(err error) { told <- err }
			a := follow(t, c, config, false)
			a.untilServing(4)
			out := refuse(c, topic, code)
			client := a.Group.(*member).client
			for ctx := soon(t); ; { // one answer is not believed
				if _, err := client.Partitions(ctx, topic); errors.Is(err, Error(code.Code)) {
					break
				}
				if err := client.Refresh(ctx, topic); err != nil {
					t.Fatal(err)
				}
			}
			b := follow(t, c, config, false)
			a.untilServing(2)
			b.untilServing(2)
			out.Remove()
			select {
			case err := <-told:
				if !strings.Contains(err.Error(), topic) || !errors.Is(err, Error(code.Code)) {
					t.Error(err)
				}
			default:
				t.Error("it is not reported")
			}
			a.mu.Lock()
			defer a.mu.Unlock()
			if a.lost > 0 {
				t.Errorf("%d partitions were lost", a.lost)
			}
		})
	}
}

func TestLeaderThatIsDeniedATopicWaitsForItsRights(t *testing.T) {
	c := kafkatest.StartFake(t)
	topic := c.Topic(t, 2)
	config := quick(c, t, topic)
	a := follow(t, c, config, false)
	a.untilServing(2)
	denied := refuse(c, topic, kerr.TopicAuthorizationFailed)
	if err := denied.Wait(soon(t), 10); err != nil { // as many looks
		t.Fatal(err)
	}
	a.untilServing(2)
	c.AddPartitions(t, c.Topic(t, 1), 2) // another topic does not matter
	denied.Remove()
	c.AddPartitions(t, topic, 3)
	a.untilServing(3)
	a.mu.Lock()
	events := a.events
	a.mu.Unlock()
	if events > 4 {
		t.Errorf("%d events: the group was shared out again and again", events)
	}
}

func TestTopicThatIsDeletedIsTakenAway(t *testing.T) {
	c := kafkatest.Start(t)
	topic, other := c.Topic(t, 2), c.Topic(t, 1)
	config := quick(c, t, topic, other)
	a := follow(t, c, config, false)
	a.untilServing(3)
	if _, err := c.Admin(t).DeleteTopics(t.Context(), topic); err != nil {
		t.Fatal(err)
	}
	a.untilServing(1)
}
