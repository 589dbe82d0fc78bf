// SPDX-License-Identifier: Apache-2.0

// Package lettertopic reads a topic of dead letters from beginning to end, without being a member of
// a group, and keeps what was replayed of it in the offsets of one.
package lettertopic

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/kafka"
	"github.com/penstockio/penstock/pipeline/kafka/recordbatch"
	"github.com/penstockio/penstock/pipeline/source/letters"
)

// maxText is how long the text beside a group's offset may become: brokers take 4,096 bytes by
// default.
const maxText = 4000

// A Topic is a topic with dead letters. What was replayed stands in the offsets of a consumer group:
// the offset is the first letter that was not, and the text beside it has the topic's id, and those
// behind it that were.
type Topic struct {
	client *kafka.Client
	watch  Watcher
	name   string
	group  string
	parts  []*cursor
	ends   map[kafka.TopicPartition]int64                // as Open has seen them first
	saved  map[kafka.TopicPartition]kafka.StoredPosition // as loaded or saved last
	id     kafka.TopicID                                 // when it was loaded
	tried  bool                                          // something was stored: it is known that it can be

	beatEvery, patience time.Duration

	mu     sync.Mutex // held while something is stored; guards saved and id, too
	holder holder     // this replay, from the first Save on
	beat   int        // the number beside it
	stop   func()     // ends keep
}

// New makes the log of a topic. It has the client for itself, and closes it.
func New(client *kafka.Client, name, group string) *Topic {
	return &Topic{client: client, name: name, group: group, watch: nobody{}, beatEvery: beatEvery, patience: patience}
}

// A Watcher is told of brokers that give nothing, once when that begins and once when it is over; by
// the goroutine that calls Next, which it must not hold up.
type Watcher interface {
	Failed(broker string, err error)
	Answered(broker string, down time.Duration)
}

type nobody struct{}

func (nobody) Failed(string, error)           {}
func (nobody) Answered(string, time.Duration) {}

// Watch has w told from the next Open on.
func (t *Topic) Watch(w Watcher) { t.watch = w }

// Name implements letters.Log.
func (t *Topic) Name() string { return t.name }

// PositionName implements letters.Log.
func (t *Topic) PositionName() string { return "consumer group " + t.group }

// Ping implements letters.Log.
func (t *Topic) Ping(ctx context.Context) error {
	if err := t.client.Check(ctx, t.name); err != nil {
		return &pipeline.EnvironmentError{Err: fmt.Errorf("reading dead letters: %w", err)}
	}
	return nil
}

// partitions gives the partitions of the topic.
func (t *Topic) partitions(ctx context.Context) ([]kafka.TopicPartition, error) {
	n, err := t.client.Partitions(ctx, t.name)
	if err != nil {
		return nil, fmt.Errorf("reading dead letters: looking at topic %s: %w", t.name, err)
	}
	tps := make([]kafka.TopicPartition, n)
	for p := range tps {
		tps[p] = kafka.TopicPartition{Topic: t.name, Partition: int32(p)}
	}
	return tps, nil
}

// bounds gives where the partitions begin, or end.
func (t *Topic) bounds(ctx context.Context, tps []kafka.TopicPartition, which int64) (map[kafka.TopicPartition]int64, error) {
	at := make(map[kafka.TopicPartition]int64, len(tps))
	for _, tp := range tps {
		at[tp] = which
	}
	found, err := t.client.ListOffsets(ctx, at, true)
	if err != nil {
		return nil, fmt.Errorf("reading dead letters: asking for the offsets of topic %s: %w", t.name, err)
	}
	return found, nil
}

// Open implements letters.Log.
func (t *Topic) Open(ctx context.Context, done letters.Progress) error {
	if err := t.Ping(ctx); err != nil {
		return err
	}
	tps, err := t.partitions(ctx)
	if err != nil {
		return err
	}
	starts, err := t.bounds(ctx, tps, kafka.Earliest)
	if err != nil {
		return err
	}
	ends, err := t.bounds(ctx, tps, kafka.Latest)
	if err != nil {
		return err
	}
	t.closeCursors()
	if t.ends == nil {
		t.ends = ends
	}
	muted := mutes{}
	for _, tp := range tps {
		d := done.Of(tp.Partition)
		d.Add(0, starts[tp])
		t.parts = append(t.parts, &cursor{
			client: t.client, tp: tp, next: d.First(0), end: t.ends[tp], decoder: recordbatch.Decoder{Committed: true}, size: fetchBytes,
			watch: t.watch, patience: shortFor, muted: muted,
		})
	}
	return nil
}

// Next implements letters.Log: of the partitions' next records it gives the oldest. A letter's time is that
// of the rejection, so what was rejected first is read first, in whatever partition it is, but for letters of one millisecond.
func (t *Topic) Next(ctx context.Context) (*pipeline.Record, pipeline.Position, error) {
	var oldest *cursor
	for _, c := range t.parts {
		if err := c.fill(ctx); err == io.EOF {
			continue
		} else if err != nil {
			return nil, pipeline.Position{}, fmt.Errorf("reading dead letters from %v: %w", c.tp, err)
		}
		if oldest == nil || c.ready.Time < oldest.ready.Time {
			oldest = c
		}
	}
	if oldest == nil {
		return nil, pipeline.Position{}, io.EOF
	}
	rec := oldest.give()
	return rec, rec.Position, nil
}

// Left implements letters.Log.
func (t *Topic) Left() (n int64) {
	for _, c := range t.parts {
		n += c.left()
	}
	return n
}

const (
	topicMark = "topic_id="
	doneMark  = "replayed="
)

// text is what stands beside an offset.
func (t *Topic) text(tp kafka.TopicPartition, d *letters.Done, offset int64) string {
	text := topicMark + t.id.String()
	if gaps := d.Gaps(offset); gaps != "" {
		text += " " + doneMark + gaps
	}
	if tp == t.first() {
		text = withField(text, t.holder.field(t.beat))
	}
	return text
}

// Load implements letters.Log. What is stored of a topic that was deleted since is about other letters.
func (t *Topic) Load(ctx context.Context) (letters.Progress, error) {
	stored, id, err := t.stored(ctx)
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	t.saved, t.id = stored, id
	t.mu.Unlock()
	done := letters.Progress{}
	for tp, s := range stored {
		if s.Offset < 0 {
			continue
		}
		of, gaps := "", ""
		for field := range strings.SplitSeq(s.Text, " ") {
			if text, ok := strings.CutPrefix(field, topicMark); ok {
				of = text
			} else if text, ok := strings.CutPrefix(field, doneMark); ok {
				gaps = text
			}
		}
		if of != "" && of != id.String() {
			continue
		}
		d := done.Of(tp.Partition)
		d.Add(0, s.Offset)
		if err := d.AddGaps(gaps, s.Offset); err != nil {
			return nil, fmt.Errorf("reading what was replayed of %v from group %s: %w", tp, t.group, err)
		}
	}
	return done, nil
}

func (t *Topic) stored(ctx context.Context) (map[kafka.TopicPartition]kafka.StoredPosition, kafka.TopicID, error) {
	tps, err := t.partitions(ctx)
	if err != nil {
		return nil, kafka.TopicID{}, err
	}
	id, err := t.client.TopicID(ctx, t.name)
	if err != nil {
		return nil, id, fmt.Errorf("reading dead letters: looking at topic %s: %w", t.name, err)
	}
	stored, err := t.client.StoredPositions(ctx, t.group, tps)
	return stored, id, err
}

// Fits implements letters.Log.
func (t *Topic) Fits(partition int32, done *letters.Done) error {
	if done.GapsLen(done.First(0)) > maxText-len(topicMark)-len(doneMark)-32 {
		return &letters.ScatteredError{Partition: fmt.Sprintf("%s/%d", t.name, partition)}
	}
	return nil
}

// Save implements letters.Log. It stores what has changed, and everything the first time: whether it
// may is known then. What it stores is under the id of the topic that was loaded, whatever has its name
// now.
func (t *Topic) Save(ctx context.Context, done letters.Progress) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stop != nil {
		return t.save(ctx, done)
	}
	if err := t.take(ctx); err != nil {
		return err
	}
	t.holder = newHolder()
	err := t.save(ctx, done)
	if err == nil {
		err = t.confirm(ctx)
	}
	if err == nil {
		t.stop = t.keep(ctx)
	}
	return err
}

// save stores what has changed, with who replays.
func (t *Topic) save(ctx context.Context, done letters.Progress) error {
	stored, id, err := t.stored(ctx)
	if err != nil {
		return err
	}
	if id != t.id {
		return letters.ErrBegunAnew
	}
	for tp, s := range stored {
		if tp == t.first() && t.stop != nil { // the number beside it may be one of which it was not heard that it was stored
			if !t.isHeld(stored) {
				return letters.ErrTaken
			}
		} else if was, ok := t.saved[tp]; ok && was != s {
			return letters.ErrTaken
		}
	}
	change := map[kafka.TopicPartition]kafka.StoredPosition{}
	note := func(tp kafka.TopicPartition, d *letters.Done) {
		offset := d.First(0)
		if s := (kafka.StoredPosition{Offset: offset, Text: t.text(tp, d, offset)}); s != t.saved[tp] || !t.tried {
			change[tp] = s
		}
	}
	if done[t.first().Partition] == nil {
		note(t.first(), new(letters.Done)) // it says who replays, whatever is done of it
	}
	for partition, d := range done {
		note(kafka.TopicPartition{Topic: t.name, Partition: partition}, d)
	}
	err = t.client.StorePositions(ctx, t.group, change)
	if errors.Is(err, kafka.ErrGroupInUse) {
		return fmt.Errorf("%w: %w", letters.ErrTaken, err)
	}
	if err != nil {
		return t.saveDoubt(ctx, change, err)
	}
	t.tried = true
	for tp, s := range change {
		t.saved[tp] = s
	}
	return nil
}

// saveDoubt looks what was stored when the answer was lost, so that the next Save does not take our
// own position for another's.
func (t *Topic) saveDoubt(ctx context.Context, change map[kafka.TopicPartition]kafka.StoredPosition, cause error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	stored, _, err := t.stored(ctx)
	if err != nil {
		return cause
	}
	for tp, s := range change {
		if stored[tp] == s {
			t.saved[tp] = s
		}
	}
	return cause
}

func (t *Topic) closeCursors() {
	for _, c := range t.parts {
		c.open.Close()
	}
	t.parts = nil
}

// Close implements letters.Log.
func (t *Topic) Close() error {
	t.closeCursors()
	_ = t.giveUp() // the next one finds out by itself that nobody is there
	return t.client.Close()
}
