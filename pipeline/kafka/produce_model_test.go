package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// Lanes write to partitions that they share, as the engine does: what failed is written
// again, or never. Whatever the brokers append, answer or leave unanswered, wherever
// the leaders move, and whenever a write's context ends: what is acknowledged is in the
// log once, what is not is there once at most, what is refused is not, and each lane's
// messages are in order.
func TestProducerAgainstBrokersThatMayHaveStored(t *testing.T) {
	for i := range 5 { // a hundred plans each, of which rapid draws the later ones larger
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				plan := drawPlan(rt)
				var failed any // rapid ends a run by a panic, which must not cross the bubble
				synctest.Test(t, func(t *testing.T) {
					defer func() { failed = recover() }()
					plan.run(t, rt)
				})
				if failed != nil {
					panic(failed)
				}
			})
		})
	}
}

// A plan is all that a run depends on but for the order in which goroutines run, drawn
// before it: draws within it would depend on that.
type plan struct {
	fates [2][]fateOf
	lanes []lanePlan
	// doubted are messages that were refused alone although they may be in the log: the
	// topic's settings have changed, say.
	doubted map[string]bool
}

// A fateOf is a fate, with what must hold for a broker to mete it out.
type fateOf struct {
	name string
	fate
	absent bool // only to a batch that no request has brought, or will yet bring, into the log
	forget bool // the leader has lost track of the producer
}

type lanePlan struct{ writes []writePlan }

type writePlan struct {
	partitions []int32       // of its messages
	pause      time.Duration // before it
	leaves     []time.Duration
	abandons   bool // after these, never to come again
}

func drawPlan(t *rapid.T) *plan {
	doubts := []Error{UnknownServerError, UnknownTopicOrPartition, LeaderNotAvailable, NotLeaderOrFollower, RequestTimedOut,
		ReplicaNotAvailable, NetworkException, NotEnoughReplicasAfter, KafkaStorageError, FencedLeaderEpoch, UnknownLeaderEpoch, unheardOf}
	checks := []Error{CorruptMessage, NotEnoughReplicas, TopicAuthorizationFailed, OperationNotAttempted}
	one := rapid.Custom(func(t *rapid.T) fateOf {
		f := fateOf{name: rapid.SampledFrom([]string{"well", "steps down", "steps down", "doubt", "doubt", "check", "silent", "hang", "left out",
			"garbage", "late", "undone", "refused", "forgotten", "forgotten id"}).Draw(t, "fate")}
		stored := rapid.Bool().Draw(t, "stored")
		if rapid.Bool().Draw(t, "slow") {
			f.wait = time.Duration(rapid.IntRange(1, 3000).Draw(t, "wait ms")) * time.Millisecond
		}
		f.move = rapid.IntRange(0, 3).Draw(t, "leader moves") == 0
		f.stale = rapid.IntRange(0, 3).Draw(t, "stale answers")
		switch f.name {
		case "well":
			f.append = true
		case "steps down": // while the batch waits for its replicas
			f.fate.append, f.move, f.code = true, true, NotLeaderOrFollower
		case "doubt":
			f.fate.append, f.code = stored, rapid.SampledFrom(doubts).Draw(t, "code")
		case "check":
			f.code = rapid.SampledFrom(checks).Draw(t, "code")
		case "silent":
			f.append, f.silent = stored, true
		case "hang":
			f.append, f.hang = stored, true
		case "left out":
			f.append, f.fate.absent = stored, true
		case "garbage":
			f.append, f.garbage = stored, true
		case "late":
			f.late = time.Duration(rapid.IntRange(1, 30_000).Draw(t, "late ms")) * time.Millisecond
		case "undone":
			f.append, f.undone, f.code = true, true, rapid.SampledFrom([]Error{NotLeaderOrFollower, KafkaStorageError}).Draw(t, "code")
		case "refused":
			f.absent, f.code = true, rapid.SampledFrom([]Error{InvalidTimestamp, InvalidRecord, MessageTooLarge}).Draw(t, "code")
		case "forgotten":
			f.absent, f.forget, f.append = true, true, true
		case "forgotten id":
			f.absent, f.code = true, rapid.SampledFrom([]Error{UnknownProducerID, InvalidProducerEpoch}).Draw(t, "code")
		}
		return f
	})
	p := &plan{doubted: map[string]bool{}}
	for i := range p.fates {
		p.fates[i] = rapid.SliceOfN(one, 0, 25).Draw(t, "fates")
	}
	for range rapid.IntRange(1, 3).Draw(t, "lanes") {
		var l lanePlan
		for range rapid.IntRange(1, 6).Draw(t, "writes") {
			w := writePlan{
				partitions: rapid.SliceOfN(rapid.Int32Range(0, 1), 1, 8).Draw(t, "partitions"),
				pause:      time.Duration(rapid.IntRange(0, 500).Draw(t, "pause ms")) * time.Millisecond,
				abandons:   rapid.IntRange(0, 5).Draw(t, "abandons") == 0,
			}
			for range rapid.IntRange(0, 3).Draw(t, "leaves") {
				w.leaves = append(w.leaves, time.Duration(rapid.IntRange(0, 2000).Draw(t, "leaves after ms"))*time.Millisecond)
			}
			l.writes = append(l.writes, w)
		}
		p.lanes = append(p.lanes, l)
	}
	return p
}

// What became of a message, as its lane was told.
const (
	unstored = iota // not stored, or not known
	stored          // acknowledged
	refused         // never to be stored
)

type laneRun struct {
	msgs    []Message
	outcome []int
	failed  error
}

func (p *plan) run(t *testing.T, rt *rapid.T) {
	m := startModel(t, len(p.fates))
	m.meet = p.meet()
	var l ledger
	producer := NewProducer(m.client(t), ProducerConfig{MaxBatch: 200, Account: l.add})
	defer producer.Close()
	runs := make([]laneRun, len(p.lanes))
	var all sync.WaitGroup
	for i := range p.lanes {
		all.Go(func() { runs[i].write(m, producer, int32(i), p.lanes[i]) })
	}
	all.Wait()
	time.Sleep(3 * time.Minute) // orphans are settled, and what is late comes
	for i := range runs {
		runs[i].check(rt, m, i, p.doubted)
	}
	if sum, there := l.sum.Load(), producer.holds(); sum != there {
		rt.Errorf("%d bytes are counted, %d are there", sum, there)
	}
	producer.Close()
	l.closed(rt)
}

func (p *plan) meet() func(*modelPartition, *modelBatch) fate {
	left := p.fates
	return func(q *modelPartition, b *modelBatch) fate {
		if len(left[q.index]) == 0 {
			return fate{append: true}
		}
		f := left[q.index][0]
		left[q.index] = left[q.index][1:]
		if f.absent && (q.has(b) || q.late > 0) {
			if f.name != "refused" || b.n > 1 {
				return fate{append: true} // a broker that has the batch says so
			}
			p.doubted[b.values[0]] = true
		}
		if f.forget {
			q.lose(b.id)
		}
		return f.fate
	}
}

func (r *laneRun) write(m *modelBroker, p *Producer, lane int32, plan lanePlan) {
	for _, w := range plan.writes {
		time.Sleep(w.pause)
		var left []int
		for _, partition := range w.partitions {
			n := len(r.msgs)
			r.msgs = append(r.msgs, Message{
				TopicPartition: TopicPartition{m.topic, partition}, Value: fmt.Appendf(nil, "%d:%03d", lane, n), Time: int64(1 + n),
				Origin: Origin{Topic: "in", Partition: lane, Offset: int64(n)},
			})
			r.outcome = append(r.outcome, unstored)
			left = append(left, n)
		}
		for try := 0; len(left) > 0 && r.failed == nil; try++ {
			patience := 10 * time.Minute
			if try < len(w.leaves) {
				patience = w.leaves[try]
			} else if w.abandons {
				break
			}
			left = r.once(p, left, patience)
			if try > 100 {
				r.failed = fmt.Errorf("%d messages are still not stored", len(left))
			}
		}
	}
}

// once writes some messages and gives those to write again.
func (r *laneRun) once(p *Producer, some []int, patience time.Duration) []int {
	msgs := make([]Message, len(some))
	for i, n := range some {
		msgs[i] = r.msgs[n]
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err := p.Produce(ctx, msgs)
	var failed *ProduceError
	if err != nil && !errors.As(err, &failed) {
		r.failed = err
		return nil
	}
	for _, n := range some {
		r.outcome[n] = stored
	}
	if err == nil {
		return nil
	}
	var again []int
	for _, f := range failed.Failed {
		n := some[f.Index]
		var no *RefusedError
		if errors.As(f.Err, &no) {
			r.outcome[n] = refused
			continue
		}
		r.outcome[n] = unstored
		again = append(again, n)
	}
	return again
}

func (r *laneRun) check(t *rapid.T, m *modelBroker, lane int, doubted map[string]bool) {
	if r.failed != nil {
		t.Fatalf("lane %d: %v", lane, r.failed)
	}
	seen := make([]int, len(r.msgs))
	for partition := range int32(2) {
		var order []int
		for _, v := range m.values(partition) {
			var l, n int
			if _, err := fmt.Sscanf(v, "%d:%d", &l, &n); err != nil {
				t.Fatal(err)
			}
			if l != lane {
				continue
			}
			if seen[n]++; !doubted[v] { // whose rest may come late
				order = append(order, n)
			}
		}
		if !slices.IsSorted(order) {
			t.Fatalf("lane %d in partition %d: %v", lane, partition, order)
		}
	}
	for n, times := range seen {
		if what := r.outcome[n]; times > 1 || what == stored && times == 0 || what == refused && times > 0 && !doubted[string(r.msgs[n].Value)] {
			t.Fatalf("lane %d, message %d: in the log %d times, outcome %d (%v)", lane, n, times, what, m.values(r.msgs[n].Partition))
		}
	}
}
