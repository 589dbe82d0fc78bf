package lettertopic

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
	"github.com/penstockio/penstock/pipeline/source/letters"
)

// heldTopic gives a topic with some letters, and what makes another log of it. Each has loaded what was replayed.
func heldTopic(t *testing.T) func() *Topic {
	c := kafkatest.Start(t)
	topic, group := c.Topic(t, 2), c.Group(t)
	for i := range 10 {
		c.Produce(t, topic, &kgo.Record{Partition: int32(i % 2), Value: fmt.Append(nil, i)})
	}
	return func() *Topic {
		log := topicLog(t, c, topic, group)
		log.beatEvery, log.patience = 20*time.Millisecond, time.Minute
		if _, err := log.Load(within(t)); err != nil {
			t.Fatal(err)
		}
		return log
	}
}

// TestTopicHeldByOneReplay has another replay begin while one is under way: it is refused, whether it has loaded before
// the other has begun or after, and so without anything that is stored. When the first has ended, the next begins at once.
func TestTopicHeldByOneReplay(t *testing.T) {
	log, ctx := heldTopic(t), within(t)
	before, first := log(), log()
	done := letters.Progress{}
	done.Of(0).Add(0, 2)
	if err := first.Save(ctx, done); err != nil {
		t.Fatal(err)
	}
	for name, other := range map[string]*Topic{"loaded before": before, "loaded after": log()} {
		var held *letters.HeldError
		if err := other.Save(ctx, done); !errors.As(err, &held) || !strings.Contains(err.Error(), fmt.Sprintf("process %d on ", os.Getpid())) {
			t.Errorf("%s: %v", name, err)
		}
	}
	done.Of(0).Add(2, 3)
	if err := first.Save(ctx, done); err != nil {
		t.Errorf("the first, beside them: %v", err)
	}
	if err := first.giveUp(); err != nil {
		t.Fatal(err)
	}
	next := log()
	next.patience = time.Hour // nobody is waited for
	if err := next.Save(ctx, done); err != nil {
		t.Errorf("behind it: %v", err)
	}
	if got, err := log().Load(ctx); err != nil || strings.Join(got.Of(0).Lines(), " ") != "0-2" {
		t.Errorf("done are %v, %v", got.Of(0).Lines(), err)
	}
}

// TestTopicHeldByOneThatWasKilled: the next one begins when it is sure that nobody is there. If somebody is all the same,
// that one ends.
func TestTopicHeldByOneThatWasKilled(t *testing.T) {
	log, ctx := heldTopic(t), within(t)
	killed := log()
	done := letters.Progress{}
	done.Of(1).Add(0, 4)
	if err := killed.Save(ctx, done); err != nil {
		t.Fatal(err)
	}
	stop := killed.stop
	stop() // it stores nothing any more
	short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	if err := log().Save(short, done); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("one that is stopped while it waits: %v", err)
	}
	next := log()
	next.patience = 5 * next.beatEvery
	if err := next.Save(ctx, done); err != nil {
		t.Fatalf("behind one that was killed: %v", err)
	}
	if err := killed.Save(ctx, done); !errors.Is(err, letters.ErrTaken) {
		t.Errorf("one that was not there for a while: %v", err)
	}
	done.Of(1).Add(4, 5)
	if err := next.Save(ctx, done); err != nil {
		t.Errorf("the one that has it now: %v", err)
	}
}

// TestTopicsThatBeginTogether: of replays that find nobody one goes on at most, and none takes its own number, of which it
// has not heard that it was stored, for another's.
func TestTopicsThatBeginTogether(t *testing.T) {
	log, ctx := heldTopic(t), within(t)
	all, done := []*Topic{log(), log(), log()}, letters.Progress{}
	ends := make(chan error, len(all))
	for _, l := range all {
		go func() {
			err := l.Save(ctx, letters.Progress{})
			if err == nil {
				time.Sleep(5 * l.beatEvery)
				err = l.Save(ctx, letters.Progress{})
			}
			ends <- err
		}()
	}
	went := 0
	for range all {
		switch err := <-ends; {
		case err == nil:
			went++
		case !errors.Is(err, letters.ErrTaken):
			t.Error(err)
		}
	}
	if went > 1 {
		t.Errorf("%d go on", went)
	}
	for _, l := range all {
		_ = l.giveUp() // they may not have it
	}
	alone := log()
	alone.patience = 5 * alone.beatEvery
	if err := alone.Save(ctx, done); err != nil {
		t.Fatal(err)
	}
	alone.mu.Lock()
	unheard := alone.saved[alone.first()]
	alone.mu.Unlock()
	if err := alone.beatOnce(ctx); err != nil {
		t.Fatal(err)
	}
	alone.mu.Lock()
	alone.saved[alone.first()] = unheard // the answer was lost
	alone.mu.Unlock()
	if err := alone.Save(ctx, done); err != nil {
		t.Errorf("with a number that was stored without its answer: %v", err)
	}
}
