package websocketsink

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

const (
	pushCount = 256       // most messages that are made, and pushed, at once
	pushBytes = 256 << 10 // about the most bytes of these
)

// Write implements pipeline.Sink. It never fails for a record; with slow: wait some may not be on the shelf when ctx ends.
func (s *Sink) Write(ctx context.Context, recs []*pipeline.Record) error {
	if s.shelf == nil {
		return pipeline.Fatal(errors.New("writing to clients: the sink has not been opened"))
	}
	for done := 0; done < len(recs); {
		all := s.messages(recs[done:])
		n, err := s.push(ctx, all)
		done += n
		if err == nil {
			continue
		}
		if done == 0 {
			return err
		}
		var failed []pipeline.Failure
		for i := done; i < len(recs); i++ {
			failed = append(failed, pipeline.Failure{Index: i, Err: err})
		}
		return &pipeline.WriteError{Failed: failed}
	}
	return nil
}

// messages makes those of the first records.
func (s *Sink) messages(recs []*pipeline.Record) (all []*message) {
	for size := int64(0); len(all) < min(pushCount, len(recs)) && size < pushBytes; {
		m := newMessage(recs[len(all)], s.settings.As)
		size += m.size
		all = append(all, m)
	}
	return all
}

// push puts messages on the shelf, and says how many.
func (s *Sink) push(ctx context.Context, all []*message) (n int, err error) {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return 0, fmt.Errorf("waiting for other lanes: %w", ctx.Err())
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if s.settings.Slow == slowDrop {
		s.check(s.shelf.push(all))
		return len(all), nil
	}
	for n < len(all) {
		free, err := s.room(ctx)
		if err != nil {
			return n, err
		}
		end, bytes := n+1, all[n].size
		for end < len(all) && end-n < free.count && bytes < free.bytes {
			bytes += all[end].size
			end++
		}
		s.shelf.push(all[n:end])
		n = end
	}
	return n, nil
}

// check has slow clients looked for, once in an eighth of a queue.
func (s *Sink) check(next uint64) {
	if next-s.checked.Load() < uint64(max(s.settings.Queue/8, 1)) {
		if _, _, total := s.shelf.ends(); total-s.checkedBytes.Load() < int64(s.settings.QueueBytes)/8 {
			return
		}
	}
	select {
	case s.look <- struct{}{}:
	default:
	}
}

// keep drops clients that are too slow, until the sink is closed. It is a goroutine of its own: to look at ten thousand clients
// takes as long as to push some hundred messages.
func (s *Sink) keep() {
	for {
		select {
		case <-s.look:
		case <-s.closing:
			return
		}
		next, before := s.shelf.newest()
		_, _, total := s.shelf.ends()
		s.checked.Store(next)
		s.checkedBytes.Store(total)
		s.each(func(c *client) {
			if c.behind(next, before) {
				c.cut(c.tooSlow())
			}
		})
	}
}

// each calls f for each client, under the lock.
func (s *Sink) each(f func(c *client)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.clients {
		f(c)
	}
}

// moved tells a Write that waits that a client has moved on, or has gone.
func (s *Sink) moved() {
	if !s.waiting.Load() {
		return
	}
	select {
	case s.progress <- struct{}{}:
	default:
	}
}

// A space is room for messages: for so many, and for so many bytes, of which the last message does not count.
type space struct {
	count int
	bytes int64
}

// room waits until every client has room for a message, and gives how much. A client for which it waits longer than max_wait is dropped.
func (s *Sink) room(ctx context.Context) (free space, err error) {
	if free, _ = s.free(time.Time{}); free.count > 0 {
		return free, nil
	}
	s.waiting.Store(true)
	defer s.waiting.Store(false)
	for {
		free, wait := s.free(time.Now())
		if free.count > 0 {
			return free, nil
		}
		timer := time.NewTimer(wait)
		select {
		case <-s.progress:
		case <-timer.C:
		case <-ctx.Done():
			err = fmt.Errorf("waiting for slow clients: %w", ctx.Err())
		}
		timer.Stop()
		if err != nil {
			return space{}, err
		}
	}
}

// free gives the room that all clients have, and no more than one has that comes just now. Where one has none it also gives how long that one may be
// waited for; one that has been for max_wait by now is dropped. Zero now: nobody is waited for yet.
//
// What all messages that are there make of a client's bytes counts: the newest is not the newest any more when another is pushed. And the shelf is
// no longer than it is, however far back a client has begun: what would fall off it would be missing.
func (s *Sink) free(now time.Time) (free space, wait time.Duration) {
	free = space{min(pushCount, s.settings.Queue), min(pushBytes, int64(s.settings.QueueBytes))}
	wait = s.settings.MaxWait
	shelf := s.shelf
	_, next, total := shelf.ends()
	s.each(func(c *client) {
		room := space{
			int(min(c.most.Load(), uint64(shelf.mostCount))) - int(next-c.next.Load()),
			min(c.bytes.Load(), shelf.mostBytes) - (total - c.before.Load()),
		}
		switch since := c.full.Load(); {
		case c.isDropped():
		case room.count > 0 && room.bytes >= 0:
			c.full.Store(0)
			free = space{min(free.count, room.count), min(free.bytes, room.bytes)}
		case now.IsZero():
			free.count = 0
		case since == 0:
			c.full.Store(now.UnixNano())
			free.count = 0
		case now.UnixNano()-since >= int64(s.settings.MaxWait):
			c.cut(c.tooSlow())
		default:
			wait = min(wait, s.settings.MaxWait-time.Duration(now.UnixNano()-since))
			free.count = 0
		}
	})
	return free, max(wait, time.Millisecond)
}
