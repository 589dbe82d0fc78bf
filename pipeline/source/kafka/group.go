package kafkasource

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/event"
	"github.com/penstockio/penstock/pipeline/kafka"
)

// A knownLane is what the source knows of a lane beside the lane itself.
type knownLane struct {
	part *partition
	term int // what the lane's commits are signed with (I8)
}

// remember notes which partition and term a new lane is of, and forgets the lanes that have
// ended: no mark of theirs comes any more. They cannot be forgotten together with their
// partition, whose new lane may open while the last commit of the old one is still to come.
func (k *Source) remember(lane pipeline.Lane, p *partition) {
	term := p.termNow()
	k.mu.Lock()
	defer k.mu.Unlock()
	for l := range k.lanes {
		select {
		case <-l.Ended():
			delete(k.lanes, l)
		default:
		}
	}
	k.lanes[lane] = knownLane{part: p, term: term}
}

// known gives what remember has noted; false: the lane has ended.
func (k *Source) known(lane pipeline.Lane) (knownLane, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	l, ok := k.lanes[lane]
	return l, ok
}

// follow carries out what the group says until the member has stopped. What has to wait for
// somebody runs in a goroutine beside it: a partition must be given back whatever another waits for.
func (k *Source) follow() {
	for e := range k.group.Events() {
		k.mu.Lock()
		k.generation, k.memberID = int64(e.Generation), e.MemberID
		k.joined = e.Err == nil && !k.closed
		k.mu.Unlock()
		if len(e.Lost) > 0 {
			k.lose(e)
		}
		if len(e.Revoked) > 0 {
			k.revoke(e)
		}
		if len(e.Assigned) > 0 {
			k.assign(e)
		}
		if e.Err != nil && k.ctx.Err() == nil {
			k.fail(fmt.Errorf("being a member of group %s: %w", k.s.Group, e.Err))
		}
	}
}

// register makes p the partition that events of the group, reports and bounds are about.
func (k *Source) register(p *partition) {
	k.mu.Lock()
	k.parts[p.tp] = p
	k.mu.Unlock()
	p.bound.Store(k.stop.bound(p.tp)) // it may have become known meanwhile
}

// offsets is ListOffsets until ctx ends.
func (k *Source) offsets(ctx context.Context, at map[kafka.TopicPartition]int64, committed bool) (map[kafka.TopicPartition]int64, error) {
	for {
		found, err := k.client.ListOffsets(ctx, at, committed)
		if err == nil || ctx.Err() != nil || !kafka.Temporary(err) {
			return found, err
		}
		k.events.Log().Warn().Err(err).Msg("asking for offsets goes on")
	}
}

// unregister removes partitions from those that are read, and gives those that were.
func (k *Source) unregister(tps []kafka.TopicPartition) []*partition {
	var taken []*partition
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, tp := range tps {
		if p := k.parts[tp]; p != nil {
			taken = append(taken, p)
			delete(k.parts, tp)
			delete(k.unreached, p)
		}
	}
	return taken
}

// revoke drains partitions, all at once, and gives each back when its work is done.
func (k *Source) revoke(e kafka.Event) {
	parts := k.unregister(e.Revoked)
	k.start(func() {
		ctx, cancel := context.WithTimeout(k.ctx, k.o.Drain)
		defer cancel()
		k.end(ctx, parts, e, "rebalance", func(p *partition) { k.group.Released([]kafka.TopicPartition{p.tp}) })
		var rest []kafka.TopicPartition
		for _, tp := range e.Revoked {
			if !slices.ContainsFunc(parts, func(p *partition) bool { return p.tp == tp }) {
				rest = append(rest, tp) // never opened: there is nothing to finish
			}
		}
		if len(rest) > 0 {
			k.group.Released(rest)
		}
	})
}

// lose drops partitions that somebody else has, or may have.
func (k *Source) lose(e kafka.Event) {
	e.Revoked = e.Lost
	k.end(endedContext(), k.unregister(e.Lost), e, "lost", func(*partition) {})
}

// end ends the lanes of partitions and tells about it. done is called for each.
func (k *Source) end(ctx context.Context, parts []*partition, e kafka.Event, reason string, done func(*partition)) {
	var mu sync.Mutex
	var all pipeline.EndReport
	var wait sync.WaitGroup
	for _, p := range parts {
		lane := p.giveUp()
		if lane == nil { // nothing has been read yet
			done(p)
			continue
		}
		wait.Go(func() {
			report, err := lane.End(ctx)
			done(p)
			mu.Lock()
			defer mu.Unlock()
			all.InFlight += report.InFlight
			all.Drained += report.Drained
			all.Returned += report.Returned
			all.Abandoned += report.Abandoned
			if err != nil && ctx.Err() == nil {
				k.events.Log().Warn().Err(err).Msg("a partition was given back without its last commit; what was not committed will be read again")
			}
		})
	}
	wait.Wait()
	k.emit(event.SourceRevoked{
		ConsumerGroup: k.s.Group, Generation: int64(e.Generation), Partitions: int64(len(e.Revoked)),
		PartitionList: list(e.Revoked), Reason: reason,
		InflightAtRevoke: int64(all.InFlight), Drained: int64(all.Drained), Returned: int64(all.Returned), Abandoned: int64(all.Abandoned),
	})
}

// emit writes an event.
func (k *Source) emit(ev any) { k.events.Emit(ev, "") }

func comparePartitions(a, b kafka.TopicPartition) int {
	return cmp.Or(strings.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
}

// list writes partitions like orders:0-3,7 flights:1.
func list(tps []kafka.TopicPartition) string {
	tps = slices.SortedFunc(slices.Values(tps), comparePartitions)
	var b strings.Builder
	for i := 0; i < len(tps); i++ {
		switch {
		case i == 0:
			b.WriteString(tps[i].Topic + ":")
		case tps[i].Topic != tps[i-1].Topic:
			b.WriteString(" " + tps[i].Topic + ":")
		default:
			b.WriteString(",")
		}
		first := i
		for i+1 < len(tps) && tps[i+1].Topic == tps[i].Topic && tps[i+1].Partition == tps[i].Partition+1 {
			i++
		}
		fmt.Fprint(&b, tps[first].Partition)
		if i > first {
			fmt.Fprintf(&b, "-%d", tps[i].Partition)
		}
	}
	return b.String()
}

// wait sleeps, and says false when the partition is given up or the source closes.
func (k *Source) wait(p *partition, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-p.quit:
	case <-k.ctx.Done():
	}
	return false
}

// endedContext is a context that has ended already: a lane that is ended with it drains nothing.
func endedContext() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}
