package kafkasource

import (
	"context"
	"fmt"
	"time"

	"github.com/penstockio/penstock/pipeline/event"
	"github.com/penstockio/penstock/pipeline/kafka"
)

const (
	askTogether = 5 * time.Millisecond   // waited for others that need an offset too: after an abort all do
	askPatience = 5 * time.Second        // of one request; those that came meanwhile are in the next one
	askAgain    = 250 * time.Millisecond // longest pause until an offset that cannot be had is asked for again
	askReport   = 10 * time.Second       // between reports that offsets cannot be had
)

// assign takes over partitions. It asks nobody: where events are followed nothing may
// wait for a broker, so that a partition can be given back whatever it waits for.
func (k *Source) assign(e kafka.Event) {
	k.emit(event.SourceAssigned{
		ConsumerGroup: k.s.Group, Generation: int64(e.Generation), MemberID: e.MemberID,
		Partitions: int64(len(e.Assigned)), PartitionList: list(e.Assigned),
	})
	parts := make([]*partition, len(e.Assigned))
	for i, tp := range e.Assigned {
		parts[i] = k.newPartition(tp, e.Term)
		k.register(parts[i])
	}
	k.askOffsets(parts...)
}

// reopen opens a new lane, at the committed offset, for a partition whose lane the engine has
// ended. It takes p over: the caller does not touch it afterwards.
func (k *Source) reopen(p *partition) { k.askOffsets(p) }

// askOffsets takes partitions over, to be opened at their committed offsets. It does not wait:
// one task asks for all that are to be opened, in one request.
func (k *Source) askOffsets(parts ...*partition) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, p := range parts {
		p.moveTo(opening)
	}
	k.asked = append(k.asked, parts...)
	if k.asking || k.closed {
		return
	}
	k.asking = true
	k.tasks.Go(k.openAsked)
}

// openAsked opens partitions until none is left in asked. One whose offset a transaction is
// about to move is asked for again, and the others do not wait for it.
func (k *Source) openAsked() {
	pause, lastReport := askTogether, time.Now()
	for {
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-k.ctx.Done():
			timer.Stop()
			return
		}
		k.mu.Lock()
		parts := k.asked[:0:0]
		for _, p := range k.asked {
			if k.stillOurs(p) {
				parts = append(parts, p)
			}
		}
		k.asked = nil
		k.asking = len(parts) > 0
		k.mu.Unlock()
		if len(parts) == 0 {
			return
		}
		rest, err := k.openCommitted(parts)
		if err != nil {
			if k.ctx.Err() == nil {
				k.fail(err)
			}
			return
		}
		pause = min(2*pause, askAgain)
		if len(rest) == 0 {
			pause, lastReport = askTogether, time.Now()
		} else if time.Since(lastReport) > askReport {
			lastReport = time.Now()
			k.events.Log().Warn().Int("partitions", len(rest)).Msg("the group's offsets for these partitions cannot be told, as when a transaction of another client is about to move them; they are not read until it ends")
		}
		k.mu.Lock()
		k.asked = append(rest, k.asked...)
		k.mu.Unlock()
	}
}

// stillOurs says whether a partition is to be read. One whose term has ended is not, even
// before the event that says so has come: what is read under such a term cannot be committed.
func (k *Source) stillOurs(p *partition) bool {
	return !p.isGivenUp() && k.group.Owns(p.tp, p.termNow())
}

// openCommitted opens partitions at their committed offset and gives those back for
// which it cannot be had yet. An error is final.
func (k *Source) openCommitted(parts []*partition) (rest []*partition, err error) {
	tps := make([]kafka.TopicPartition, len(parts))
	for i, p := range parts {
		tps[i] = p.tp
	}
	ctx, cancel := context.WithTimeout(k.ctx, askPatience)
	defer cancel()
	k.noteIDs(ctx, parts)
	from, err := k.group.Committed(ctx, tps)
	switch {
	case err == nil:
	case k.ctx.Err() == nil && (ctx.Err() != nil || kafka.Temporary(err)):
		k.events.Log().Warn().Err(err).Msg("asking where to read on goes on")
		return parts, nil
	default:
		return nil, fmt.Errorf("starting to read %s: %w", list(tps), err)
	}
	var fresh []*partition
	for _, p := range parts {
		at, ok := from[p.tp]
		switch {
		case !ok:
			rest = append(rest, p)
		case !k.stillOurs(p):
		case at < 0:
			fresh = append(fresh, p)
		default:
			k.openAtCommit(p, at)
		}
	}
	if len(fresh) > 0 {
		k.start(func() { k.openFresh(fresh) })
	}
	return rest, nil
}

// noteIDs notes the ids of the partitions' topics before their committed offsets are asked for:
// a topic that is made anew after that is another one. An id that cannot be had now is noted by
// the fetch loop.
func (k *Source) noteIDs(ctx context.Context, parts []*partition) {
	ids := map[string]kafka.TopicID{}
	for _, p := range parts {
		if p.id != (kafka.TopicID{}) {
			continue
		}
		id, ok := ids[p.tp.Topic]
		if !ok {
			id, _ = k.client.TopicID(ctx, p.tp.Topic)
			ids[p.tp.Topic] = id
		}
		p.id = id
	}
}

// openAtCommit opens a partition at the offset that the group has stored. If that is known to be
// an offset of another topic of the name, p gets the id of that one: the fetch loop finds that
// it is not the topic's.
func (k *Source) openAtCommit(p *partition, at int64) {
	if id := k.group.StoredLineage(p.tp, at).Topic; id != (kafka.TopicID{}) {
		p.id = id
	}
	p.committed.Store(at)
	k.openAndRead(p, at)
}

// openAndRead opens a partition and has it read. One that cannot be opened ends the source,
// unless it was given up.
func (k *Source) openAndRead(p *partition, at int64) {
	switch err := k.open(p, at); {
	case err == nil:
		k.route(p)
	case k.ctx.Err() == nil && !p.isGivenUp():
		k.start(func() { k.fail(err) }) // which waits for the reader
	}
}

// open gives a partition, which belongs to the caller, a lane that begins at an offset. A lane
// whose term has ended meanwhile is ended at once. That is looked at under the lock with which
// giveUp takes the lane: so either open sees the end, or giveUp finds the lane.
func (k *Source) open(p *partition, at int64) error {
	lane, from, err := k.engine.Lane(k.ctx, p.tp.String(), at)
	if err != nil {
		return fmt.Errorf("starting to read %v: %w", p.tp, err)
	}
	k.remember(lane, p)
	p.next, p.confirmed = from, false
	stored := k.group.StoredLineage(p.tp, from)
	if stored.Topic != (kafka.TopicID{}) && stored.Topic != p.id {
		stored.Epoch = -1
	}
	p.epochs.begin(p.id, from, stored.Epoch)
	p.epochs.noteTopic(p.termNow(), p.id)
	p.began.offset.Store(from)
	p.began.at.Store(time.Now().UnixNano())
	p.fetched.Store(from)
	p.mu.Lock()
	p.lane = lane
	ended := p.state == givenUp || !k.group.Owns(p.tp, p.term)
	p.mu.Unlock()
	if ended {
		_, _ = lane.End(endedContext())
	}
	return nil
}
