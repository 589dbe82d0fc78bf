package lettertopic

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/penstockio/penstock/pipeline/kafka"
	"github.com/penstockio/penstock/pipeline/source/letters"
)

// This file keeps two replays of a topic apart. A group without members locks nobody out, so the text beside the
// offset of partition 0 says who replays, with a number that grows while that process lives. Whoever finds it there
// looks whether the number grows, and needs no clock that others have too.

const (
	heldMark = "held="

	beatEvery = time.Second
	// patience is how long the number of one that lives may stand still: without an answer of its broker it cannot
	// store another.
	patience = 6 * time.Second
	// storeFor is how long one number may take: whoever waits to store what was replayed waits for it.
	storeFor = 2 * time.Second
	// longestHost leaves room in the text for what was replayed.
	longestHost = 30
)

// A holder is who replays a topic.
type holder struct {
	process string // pid@host
	token   string // of this replay alone
}

// newHolder is this process.
func newHolder() holder {
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "unknown"
	}
	host = strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' || r == '/' {
			return '_'
		}
		return r
	}, host)
	return holder{fmt.Sprintf("%d@%s", os.Getpid(), host[:min(len(host), longestHost)]), rand.Text()[:8]}
}

// field is what stands in the text.
func (h holder) field(beat int) string {
	return fmt.Sprintf("%s%s/%s.%d", heldMark, h.process, h.token, beat)
}

// String says it to people.
func (h holder) String() string {
	pid, host, _ := strings.Cut(h.process, "@")
	return fmt.Sprintf("process %s on %s", pid, host)
}

// holderIn gives who a text says replays; the zero value is nobody.
func holderIn(text string) (h holder) {
	for field := range strings.SplitSeq(text, " ") {
		if is, ok := strings.CutPrefix(field, heldMark); ok {
			is = is[:max(strings.LastIndexByte(is, '.'), 0)]
			h.process, h.token, _ = strings.Cut(is, "/")
		}
	}
	return h
}

// withField gives a text with another field of who replays; "": with none.
func withField(text, field string) string {
	var fields []string
	for f := range strings.SplitSeq(text, " ") {
		if f != "" && !strings.HasPrefix(f, heldMark) {
			fields = append(fields, f)
		}
	}
	if field != "" {
		fields = append(fields, field)
	}
	return strings.Join(fields, " ")
}

// first is the partition beside whose offset stands who replays.
func (t *Topic) first() kafka.TopicPartition { return kafka.TopicPartition{Topic: t.name} }

// isHeld says whether this replay still has the topic.
func (t *Topic) isHeld(stored map[kafka.TopicPartition]kafka.StoredPosition) bool {
	return holderIn(stored[t.first()].Text) == t.holder
}

// take sees to it that no other replay has the topic: it waits until it is known of one that stands in the text
// whether it lives.
func (t *Topic) take(ctx context.Context) error {
	stored, _, err := t.stored(ctx)
	if err != nil {
		return err
	}
	before := stored[t.first()]
	other := holderIn(before.Text)
	if other == (holder{}) {
		return nil
	}
	held := &letters.HeldError{Log: "topic " + t.name, Holder: other.String()}
	if before != t.saved[t.first()] { // it has grown since it was loaded
		return held
	}
	tick := time.NewTicker(t.beatEvery)
	defer tick.Stop()
	for waited := time.Duration(0); waited < t.patience; waited += t.beatEvery {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		stored, _, err := t.stored(ctx)
		if err != nil {
			return err
		}
		now := stored[t.first()]
		if now == before {
			continue
		}
		if holderIn(now.Text) != (holder{}) {
			return held
		}
		return letters.ErrTaken // it has ended, and what it has done was not loaded
	}
	return nil // it was killed
}

// confirm looks whether another has begun at the same time, and stored later.
func (t *Topic) confirm(ctx context.Context) error {
	stored, _, err := t.stored(ctx)
	if err != nil {
		return err
	}
	if !t.isHeld(stored) {
		return &letters.HeldError{Log: "topic " + t.name, Holder: holderIn(stored[t.first()].Text).String()}
	}
	return nil
}

// keep stores a number that grows until stop is called.
func (t *Topic) keep(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(t.beatEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				_ = t.beatOnce(ctx) // the next may succeed; that another has taken it the next Save says
			case <-ctx.Done():
				return
			}
		}
	}()
	return func() { cancel(); <-ended }
}

// beatOnce stores the next number.
func (t *Topic) beatOnce(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, storeFor)
	defer cancel()
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.restore(ctx, t.holder.field(t.beat+1))
}

// restore stores the position of the first partition as it is, with another field of who replays.
func (t *Topic) restore(ctx context.Context, field string) error {
	stored, id, err := t.stored(ctx)
	if err != nil {
		return err
	}
	if id != t.id || !t.isHeld(stored) {
		return letters.ErrTaken
	}
	s := stored[t.first()]
	s.Text = withField(s.Text, field)
	t.beat++
	err = t.client.StorePositions(ctx, t.group, map[kafka.TopicPartition]kafka.StoredPosition{t.first(): s})
	if err == nil {
		t.saved[t.first()] = s
	}
	return err
}

// giveUp lets the next replay begin at once. When it fails the next one waits until it is sure that nobody is there.
func (t *Topic) giveUp() error {
	if t.stop == nil {
		return nil
	}
	t.stop()
	t.stop = nil
	ctx, cancel := context.WithTimeout(context.Background(), storeFor)
	defer cancel()
	t.mu.Lock()
	defer t.mu.Unlock()
	err := t.restore(ctx, "")
	t.holder = holder{}
	if errors.Is(err, letters.ErrTaken) {
		return nil
	}
	return err
}
