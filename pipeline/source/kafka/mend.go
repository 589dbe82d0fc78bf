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

// This file is what becomes of a partition that a poll brought an error for, whose log lacks the
// offset to read, or whose topic is another one of the same name.
//
//   - Nothing is skipped in silence. Before reading goes on elsewhere than at p.next, source.gap
//     says from where to where and why, and on_gap decides; its default ends the source. Nothing is
//     said only where a topic made anew begins at p.next and nothing unread is known to be missing.
//   - A gap is one only when the brokers agree which topic it is. Taken at its word, one broker
//     that lags made false gaps, and on_gap: earliest read everything again
//     (docs/decisions/0015-stale-metadata.md). Until they agree the partition is not read.
//   - Reading goes past a gap in this order: the lane finishes what is in flight, which the broker
//     may have no more; a new term begins, so that no late commit of the old lane lands behind the
//     gap; the offset behind the gap is committed; a new lane opens there. When the lane could not
//     finish everything, the partition is opened at its committed offset instead, and comes to the
//     gap again.

// Reasons of source.gap.
const (
	gapDeleted      = kafka.GapDeleted
	gapBeyond       = kafka.GapBeyond
	gapTruncated    = "log_cut" // the log was truncated, and has grown past the offset again
	gapRecreated    = kafka.GapRecreated
	gapTopicDeleted = "topic_deleted" // before it was read up to the offset to stop at
)

// reportFails is the number of answers that say nothing, in a row, after which it is
// reported again: about half a minute.
const reportFails = 32

// fetchFailed takes over a partition for which a broker answered an error, and does what the
// table of codes says. It does not wait.
func (k *Source) fetchFailed(p *partition, err error) {
	var code kafka.Error
	errors.As(err, &code)
	p.fails++
	pause := min(firstBackoff<<min(p.fails-1, 6), maxBackoff)
	switch code.Ruling(kafka.OnFetch).Does {
	case kafka.Range:
		p.moveTo(mending)
		k.start(func() { k.mendRange(p, pause) })
	case kafka.Retry:
		p.moveTo(seeking)
		if p.fails%reportFails == 1 {
			k.events.Log().Warn().Err(k.readError(p, err)).Msg("reading a partition is tried again")
		}
		k.start(func() {
			if k.wait(p, pause) {
				k.findLeader(p)
			}
		})
	case kafka.Lookup:
		p.moveTo(seeking)
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

// mendRange finds out why the broker says that it does not have the offset to read, and applies
// on_gap if it is so.
func (k *Source) mendRange(p *partition, pause time.Duration) {
	start, end, err := k.edges(p)
	switch {
	case err != nil:
		if k.ctx.Err() == nil {
			k.fail(k.readError(p, err))
		}
	case k.mendIfRecreated(p, pause):
	case p.next >= start && p.next <= end: // a replica that lags has answered, or the leader has moved
		k.client.Invalidate(p.tp)
		if k.wait(p, pause) {
			k.findLeader(p)
		}
	case p.next < start:
		k.gap(p, gapDeleted, start, end)
	default:
		at, truncated, err := k.divergence(p)
		if err != nil || !truncated {
			at = start // where the two logs part is not known
		}
		k.gapTo(p, p.id, gapBeyond, max(at, start), start, end)
	}
}

// mendIfRecreated takes p over, and returns true, when its topic is another one of the same name:
// the gap is then reported as that, once, and not as a log that was truncated. It takes p over as
// well when the brokers do not agree, because nothing may be concluded meanwhile: the partition is
// tried again. It is called after the log was looked at, so that what the brokers say is newer
// than what the log showed.
func (k *Source) mendIfRecreated(p *partition, pause time.Duration) bool {
	if k.client.AgreeOn(k.ctx, p.tp.Topic) != nil {
		if k.wait(p, pause) {
			k.findLeader(p)
		}
		return true
	}
	id, sure := k.client.Identity(p.tp.Topic)
	if !sure {
		k.findLeader(p) // the fetch loop finds the doubt, and does not read it
		return true
	}
	if !p.isAnother(id) {
		return false
	}
	k.mendRecreated(p, id)
	return true
}

// confirmTopic takes p over and keeps it from being read until the brokers agree which topic has
// the name: fetches name no id, and p.next is an offset of the topic with p.id. Read in the log of
// another topic, it would skip the front of that one.
func (k *Source) confirmTopic(p *partition) {
	for pause := firstBackoff; ; pause = min(2*pause, maxBackoff) {
		err := k.client.AgreeOn(k.ctx, p.tp.Topic)
		id, sure := k.client.Identity(p.tp.Topic)
		switch {
		case p.isGivenUp() || k.ctx.Err() != nil:
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

// mendRecreated applies on_gap to a partition whose topic was made anew, with this id.
func (k *Source) mendRecreated(p *partition, id kafka.TopicID) {
	p.moveTo(mending)
	start, end, err := k.edges(p)
	if err != nil {
		if k.ctx.Err() == nil {
			k.fail(k.readError(p, err))
		}
		return
	}
	if p.next == start && p.highWatermark.Load() <= start && p.bound.Load() <= start {
		// The new log begins where reading was to go on, and nothing unread is known to have
		// been in the old one: it goes on as if it had begun here.
		p.id, p.confirmed = id, false
		p.epochs.noteTopic(p.termNow(), id)
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

// gapTo is gap where reading can go on at offset to, in the topic with that id.
func (k *Source) gapTo(p *partition, id kafka.TopicID, reason string, to, start, end int64) {
	if p.isGivenUp() {
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
	// What was read may be deleted from the broker too, so that it could not be read again: it
	// is finished, however long that takes. Only the end of the partition ends the wait.
	report, err := p.currentLane().Finish(k.ctx)
	if err != nil {
		k.events.Log().Warn().Err(err).Msg("a lane ended without its last commit, at a gap")
	}
	if p.isGivenUp() || k.ctx.Err() != nil {
		return
	}
	if report.Abandoned+report.Returned+report.Unread > 0 { // the engine has ended the lane, or stops: no mark may pass what is unfinished
		k.reopen(p)
		return
	}
	if !k.renew(p) {
		return
	}
	p.id = id
	p.epochs.noteTopic(p.termNow(), id)
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
	case gapTruncated:
		return "the log was cut off before it and has other records since: a leader was elected that had not been in sync"
	}
	return "the topic was deleted and created again"
}

// corrupt reports a batch that cannot be read and gives the offset to go on at: behind it when
// on_corrupt is skip and its end is known, else where it begins.
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
