package kafkasource

import (
	"context"
	"fmt"
	"time"

	"github.com/penstockio/penstock/pipeline/event"
	"github.com/penstockio/penstock/pipeline/kafka"
)

const (
	askTogether = 5 * time.Millisecond // for others that need an offset too: after an abort all do
	askPatience = 5 * time.Second      // for one question, after which those that came meanwhile join it
	askAgain    = 250 * time.Millisecond
	askTell     = 10 * time.Second
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
		k.adopt(parts[i])
	}
	k.ask(parts...)
}

// reopen gives a partition whose lane the engine has ended a new one, at the committed
// offset. The caller gives p away.
func (k *Source) reopen(p *partition) { k.ask(p) }

// ask has partitions opened at their committed offset. It does not wait; the caller
// gives them away. One task asks for all that wait, in one request.
func (k *Source) ask(parts ...*partition) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, p := range parts {
		p.to(opening)
	}
	k.asked = append(k.asked, parts...)
	if k.asking || k.closed {
		return
	}
	k.asking = true
	k.tasks.Go(k.askAll)
}

// askAll asks until nobody waits any more. Partitions whose offset a transaction is
// about to move stay, and are asked for again; the others are not held back by them.
func (k *Source) askAll() {
	pause, told := askTogether, time.Now()
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
			pause, told = askTogether, time.Now()
		} else if time.Since(told) > askTell {
			told = time.Now()
			k.events.Log().Warn().Int("partitions", len(rest)).Msg("the group's offsets for these partitions cannot be told, as when a transaction of another client is about to move them; they are not read until it ends")
		}
		k.mu.Lock()
		k.asked = append(rest, k.asked...)
		k.mu.Unlock()
	}
}

// stillOurs says whether a partition is to be read. One whose term is over is not, also
// before its event has come: under a dead term it would be read and never committed,
// again and again.
func (k *Source) stillOurs(p *partition) bool {
	return !p.isGone() && k.group.Holds(p.tp, p.termNow())
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

// noteIDs notes which topic it is, before its committed offset is asked for: one that is
// made anew after that is another. What cannot be had the fetch loop notes later.
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

// openAtCommit opens a partition at the offset that the group has. If that is known to
// be another topic's, the fetch loop sees it.
func (k *Source) openAtCommit(p *partition, at int64) {
	if id := k.group.StoredLineage(p.tp, at).Topic; id != (kafka.TopicID{}) {
		p.id = id
	}
	p.committed.Store(at)
	k.openAndRead(p, at)
}

// openAndRead opens a partition and has it read. One that does not open ends the source,
// unless it was given up, and holds no other back.
func (k *Source) openAndRead(p *partition, at int64) {
	switch err := k.open(p, at); {
	case err == nil:
		k.route(p)
	case k.ctx.Err() == nil && !p.isGone():
		k.start(func() { k.fail(err) }) // which waits for the reader
	}
}

// open gives a partition a lane that begins at an offset. The caller holds p. A lane
// under a term that is over ends at once: it is asked under the lock that giveUp takes,
// so that it either sees the end of the term or is seen by it.
func (k *Source) open(p *partition, at int64) error {
	lane, from, err := k.engine.Lane(k.ctx, p.tp.String(), at)
	if err != nil {
		return fmt.Errorf("starting to read %v: %w", p.tp, err)
	}
	k.remember(lane, p)
	p.next, p.shown = from, false
	stored := k.group.StoredLineage(p.tp, from)
	if stored.Topic != (kafka.TopicID{}) && stored.Topic != p.id {
		stored.Epoch = -1
	}
	p.epochs.begin(p.id, from, stored.Epoch)
	p.epochs.note(p.termNow(), p.id)
	p.fetched.Store(from)
	p.mu.Lock()
	p.lane = lane
	late := p.state == givenUp || !k.group.Holds(p.tp, p.term)
	p.mu.Unlock()
	if late {
		_, _ = lane.End(over())
	}
	return nil
}
