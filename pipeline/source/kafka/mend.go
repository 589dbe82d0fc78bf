package kafkasource

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/penstockio/penstock/pipeline/event"
	"github.com/penstockio/penstock/pipeline/kafka"
	"github.com/penstockio/penstock/pipeline/kafka/recordbatch"
)

// Reasons of source.gap.
const (
	gapDeleted   = kafka.GapDeleted
	gapBeyond    = kafka.GapBeyond
	gapCut       = "log_cut" // the same, and it has grown past it again
	gapRecreated = kafka.GapRecreated
	gapGone      = "topic_deleted" // the topic is gone, in front of the offset to stop at
)

// tellFails is the number of answers that say nothing, in a row, after which it is told
// again: about half a minute.
const tellFails = 32

// mend sees to a partition for which a broker answered an error. It does not wait; the
// caller gives p away.
func (k *Source) mend(p *partition, err error) {
	var code kafka.Error
	errors.As(err, &code)
	p.fails++
	pause := min(firstBackoff<<min(p.fails-1, 6), maxBackoff)
	switch code.Ruling(kafka.OnFetch).Does {
	case kafka.Range:
		p.to(mending)
		k.start(func() { k.mendRange(p, pause) })
	case kafka.Retry:
		p.to(seeking)
		if p.fails%tellFails == 1 {
			k.events.Log().Warn().Err(k.readError(p, err)).Msg("reading a partition is tried again")
		}
		k.start(func() {
			if k.wait(p, pause) {
				k.findLeader(p)
			}
		})
	case kafka.Lookup:
		p.to(seeking)
		k.client.Invalidate(p.tp)
		k.start(func() {
			if p.fails == 1 || k.wait(p, pause) {
				k.findLeader(p)
			}
		})
	default:
		if code != kafka.CorruptMessage {
			k.fail(k.readError(p, err))
			return
		}
		c := &recordbatch.CorruptError{From: p.next, To: -1, Reason: recordbatch.CorruptCRC, Err: code}
		k.corrupt(p, c)
		k.fail(k.corruptError(p, c))
	}
}

func (k *Source) readError(p *partition, err error) error {
	return fmt.Errorf("reading %v: %w", p.tp, err)
}

// edges gives the first offset of a partition and the one behind its last record.
func (k *Source) edges(p *partition) (start, end int64, err error) {
	starts, err := k.offsets(k.ctx, map[kafka.TopicPartition]int64{p.tp: kafka.Earliest}, false)
	if err != nil {
		return 0, 0, err
	}
	ends, err := k.offsets(k.ctx, map[kafka.TopicPartition]int64{p.tp: kafka.Latest}, false)
	return starts[p.tp], ends[p.tp], err
}

// mendRange deals with an offset that the broker says is not there.
func (k *Source) mendRange(p *partition, pause time.Duration) {
	start, end, err := k.edges(p)
	switch {
	case err != nil:
		if k.ctx.Err() == nil {
			k.fail(k.readError(p, err))
		}
	case k.recreated(p, pause):
	case p.next >= start && p.next <= end: // it was a replica that lags, or the leader has moved
		k.client.Invalidate(p.tp)
		if k.wait(p, pause) {
			k.findLeader(p)
		}
	case p.next < start:
		k.gap(p, gapDeleted, start, end)
	default:
		at, cut, err := k.divergence(p)
		if err != nil || !cut {
			at = start // where it was cut is not known
		}
		k.gapTo(p, p.id, gapBeyond, max(at, start), start, end)
	}
}

// recreated deals with a log that is not the one that was read because the topic is
// another one: told as that, and once. It is called when the log has been looked at: the
// broker that showed it is asked too by then. When the brokers do not agree, the
// partition is tried again: nothing may be concluded meanwhile.
func (k *Source) recreated(p *partition, pause time.Duration) bool {
	if k.client.Settle(k.ctx, p.tp.Topic) != nil {
		if k.wait(p, pause) {
			k.findLeader(p)
		}
		return true
	}
	id, sure := k.client.Identity(p.tp.Topic)
	if !sure {
		k.findLeader(p) // which finds it held back
		return true
	}
	if !p.isAnother(id) {
		return false
	}
	k.mendRecreated(p, id)
	return true
}

// makeSure holds a partition back until the brokers agree which topic it is: its offset
// is one of the topic with the id that it has, and fetches name no id. A doubt never
// skips: of the other topic's log the front would be missed. The caller gives p away.
func (k *Source) makeSure(p *partition) {
	for pause := firstBackoff; ; pause = min(2*pause, maxBackoff) {
		err := k.client.Settle(k.ctx, p.tp.Topic)
		id, sure := k.client.Identity(p.tp.Topic)
		switch {
		case p.isGone() || k.ctx.Err() != nil:
			return
		case err != nil && !kafka.Temporary(err) && !errors.Is(err, context.DeadlineExceeded):
			k.fail(k.readError(p, err))
			return
		case err != nil || !sure:
			if !k.wait(p, pause) {
				return
			}
		case p.isAnother(id):
			k.mendRecreated(p, id)
			return
		default:
			k.findLeader(p)
			return
		}
	}
}

// mendRecreated deals with a topic that has got another id.
func (k *Source) mendRecreated(p *partition, id kafka.TopicID) {
	p.to(mending)
	start, end, err := k.edges(p)
	if err != nil {
		if k.ctx.Err() == nil {
			k.fail(k.readError(p, err))
		}
		return
	}
	if p.next == start && p.end.Load() <= start && p.bound.Load() <= start {
		// Nothing was read that is gone, and nothing is known to have been there unread: it
		// goes on as if it had begun here.
		p.id, p.shown = id, false
		p.epochs.note(p.termNow(), id)
		p.epochs.begin(id, p.next, -1)
		k.findLeader(p)
		return
	}
	k.gapTo(p, id, gapRecreated, start, start, end)
}

// gap applies the policy for offsets that do not exist: it stops the source, or drains
// the lane and begins another one where there are records.
func (k *Source) gap(p *partition, reason string, start, end int64) {
	k.gapTo(p, p.id, reason, start, start, end)
}

// gapTo is gap for records that are there from to on, in the topic with that id.
func (k *Source) gapTo(p *partition, id kafka.TopicID, reason string, to, start, end int64) {
	if p.isGone() {
		return // it is for the next owner to see
	}
	from := p.next
	if k.s.OnGap == "latest" {
		to = end
	}
	k.emit(event.SourceGap{
		Topic: p.tp.Topic, Partition: int64(p.tp.Partition), OffsetFrom: from, OffsetTo: to, Reason: reason, Policy: k.s.OnGap,
	})
	if k.s.OnGap == "stop" {
		k.fail(k.readError(p, fmt.Errorf("going on at offset %d: %s (the partition has %d to %d); "+
			"set on_gap: earliest to go on at %d, or latest to go on at %d", from, gapText(reason), start, end, to, end)))
		return
	}
	// What was read may be gone from the broker too, and is not given up: unless the
	// partition is, which ends the lane, this waits.
	report, err := p.current().Finish(k.ctx)
	if err != nil {
		k.events.Log().Warn().Err(err).Msg("a lane ended without its last commit, at a gap")
	}
	if p.isGone() || k.ctx.Err() != nil {
		return
	}
	if report.Abandoned+report.Returned+report.Unread > 0 { // the engine has ended the lane, or stops: no mark may pass them
		k.reopen(p)
		return
	}
	if !k.renew(p) {
		return
	}
	p.id = id
	p.epochs.note(p.termNow(), id)
	ctx, cancel := context.WithTimeout(k.ctx, closePatience)
	err = k.commitAt(ctx, map[kafka.TopicPartition]int64{p.tp: to})
	cancel()
	if err != nil {
		k.events.Log().Warn().Err(err).Msg("the offset behind a gap could not be committed; the next commit will")
	}
	if err := k.open(p, to); err != nil {
		k.fail(err)
		return
	}
	k.route(p)
}

func gapText(reason string) string {
	switch reason {
	case gapDeleted:
		return "the broker has deleted it before it was read"
	case gapBeyond:
		return "the log ends before it, so it was cut off or is another one"
	case gapCut:
		return "the log was cut off before it and has other records since: a leader was elected that had not been in sync"
	}
	return "the topic was deleted and created again"
}

// corrupt tells about a batch that cannot be read and gives the offset to go on at:
// behind it when the policy is to skip and its end is known, else where it begins.
func (k *Source) corrupt(p *partition, c *recordbatch.CorruptError) int64 {
	k.emit(event.SourceCorrupt{
		Topic: p.tp.Topic, Partition: int64(p.tp.Partition), OffsetFrom: c.From, OffsetTo: c.To, Reason: c.Reason, Policy: k.s.OnCorrupt,
	})
	if k.s.OnCorrupt == "skip" && c.To > c.From {
		return c.To
	}
	return c.From
}

func (k *Source) corruptError(p *partition, c *recordbatch.CorruptError) error {
	hint := "set on_corrupt: skip to go on behind it"
	if c.Reason == recordbatch.CorruptTooLarge {
		hint = "raise fetch.decompressed, or set on_corrupt: skip to go on behind it"
	} else if c.To < 0 {
		hint = "where it ends cannot be told, so it cannot be skipped: move the group's offset"
	}
	return k.readError(p, fmt.Errorf("%w; %s", c, hint))
}
