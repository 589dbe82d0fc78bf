package websocketsink

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// A busyLine takes some time for what it sends, and notes when it is asked for a ping.
type busyLine struct {
	takes time.Duration
	pings []time.Time
}

func (l *busyLine) send([]*message) error { time.Sleep(l.takes); return nil }
func (l *busyLine) ping() error           { l.pings = append(l.pings, time.Now()); return nil }
func (l *busyLine) gap(string) error      { return nil }
func (l *busyLine) end(farewell)          {}
func (l *busyLine) hurry(time.Duration)   {}

// unserved gives a sink without a server, for what needs no connection.
func unserved(t *testing.T, change func(*Settings)) *Sink {
	t.Helper()
	s, err := New(settingsOf(change))
	if err != nil {
		t.Fatal(err)
	}
	c := &s.settings
	s.shelf = newShelf(c.CatchUp+c.Queue, int64(c.CatchUpBytes+c.QueueBytes), nil)
	return s
}

func (s *Sink) newcomer(l line) *client {
	return &client{sink: s, line: l, from: "test", gone: make(chan struct{}), dropped: make(chan struct{})}
}

// TestAPingHasTheWholeTime: a client that was sent something while a ping was due is asked afterwards, and has as long to answer
// as any other.
func TestAPingHasTheWholeTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := unserved(t, func(s *Settings) { s.Ping = 10 * time.Second })
		l := &busyLine{takes: 19 * time.Second}
		c := s.newcomer(l)
		s.join(c)
		done := make(chan farewell)
		go func() { done <- c.run(); s.leave(c) }()
		write(t, s, records(0, 0, 1))
		time.Sleep(35 * time.Second)
		close(s.closing)
		<-done
		if len(l.pings) < 2 || l.pings[1].Sub(l.pings[0]) < 10*time.Second {
			t.Errorf("asked at %v; want ten seconds between", l.pings)
		}
	})
}

// TestWaitKeepsWhatAClientHasNotGot: with slow: wait nothing leaves the shelf that a client is still to get: not by records that are larger than
// the queue, nor for one that comes back and is further behind than catch_up.
func TestWaitKeepsWhatAClientHasNotGot(t *testing.T) {
	for name, tt := range map[string]struct {
		queue  int
		before []*pipeline.Record
		wish   wish
		then   []*pipeline.Record
	}{
		"large records": {queue: 10, then: []*pipeline.Record{large(0, 0), large(0, 1), large(0, 2)}},
		"comes back":    {queue: 3, before: records(0, 0, 3), wish: wish{resumes: true}, then: records(0, 3, 2)},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := unserved(t, func(s *Settings) {
					s.Slow, s.MaxWait, s.Queue, s.QueueBytes, s.CatchUp, s.CatchUpBytes = slowWait, time.Hour, tt.queue, 1<<10, 0, 1<<10
				})
				tt.wish.life = s.life
				write(t, s, tt.before)
				c := s.newcomer(&busyLine{takes: time.Second})
				s.join(c)
				c.begin(tt.wish)
				written := make(chan error, 1)
				go func() { written <- s.Write(context.Background(), tt.then) }()
				synctest.Wait()
				done := make(chan farewell, 1)
				go func() { done <- c.run(); s.leave(c) }()
				if err := <-written; err != nil {
					t.Error(err)
				}
				close(s.closing)
				if f := <-done; f.reason != goneStopping || int(c.sent.Load()) != len(tt.before)+len(tt.then) {
					t.Errorf("it got %d messages, and then: %+v", c.sent.Load(), f)
				}
			})
		})
	}
}

// TestWhoLooksBackCanGo: a client whose filter is still at what is past is there like any other: it counts, it can leave, and no stop waits
// for it.
func TestWhoLooksBackCanGo(t *testing.T) {
	s := opened(t, nil)
	write(t, s, records(0, 0, 5))
	othersEvaluate(s)
	first := raw(t, s, "?last=5&filter=n%3E3")
	rawStream(t, s, "?last=5&filter=n%3E3")
	clients(t, s, 2)
	_ = first.Close()
	clients(t, s, 1)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := s.Close(ctx); err != nil {
		t.Error(err)
	}
}
