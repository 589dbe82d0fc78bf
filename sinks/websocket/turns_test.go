package websocketsink

import (
	"fmt"
	"net/url"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/penstockio/penstock/pipeline"
)

// TestWhoHasGoneIsNotEvaluated: a client that leaves while its filter waits for a turn has left, and gives its place back.
func TestWhoHasGoneIsNotEvaluated(t *testing.T) {
	s := opened(t, func(s *Settings) { s.MaxConnections = 2 })
	othersEvaluate(s)
	first, second := raw(t, s, "?filter=n%3E3"), rawStream(t, s, "?filter=n%3E3")
	clients(t, s, 2)
	write(t, s, records(0, 0, 5))
	_, _ = first.Close(), second.Close()
	clients(t, s, 0)
	until(t, "others have the places", func() bool {
		c, err := tryDial(s, "", nil)
		if err == nil {
			_ = c.CloseNow()
		}
		return err == nil
	})
}

// TestCheapFiltersAreServedFirst: a filter that takes little does not wait for all that those take that take much: while it waits for its turn, they
// look at a few messages, and not at a few hundred each.
func TestCheapFiltersAreServedFirst(t *testing.T) {
	const heavy, backlog, rounds = 20, 20_000, 10
	s := opened(t, func(s *Settings) { s.Queue, s.QueueBytes = 2*backlog, 1<<30 })
	var all []*filter
	for i := range heavy {
		text := fmt.Sprintf(`len(findAll(repeat(meta.key, 50), "k")) == n - %d`, backlog+i)
		one, err := s.filters.use(text)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, one)
		go drainMessages(dial(t, s, "?filter="+url.QueryEscape(text)))
	}
	looked := func() (n uint64) {
		for _, one := range all {
			newest := uint64(0)
			for i := range one.recent {
				newest = max(newest, one.recent[i].Load()>>1)
			}
			n += newest
		}
		return n
	}
	clients(t, s, heavy)
	write(t, s, records(0, 0, backlog))
	until(t, "all of them look", func() bool { return looked() > 2*heavy })
	cheap := dial(t, s, "?filter=cheap+%3D%3D+true")
	clients(t, s, heavy+1)
	least := uint64(1 << 62)
	for i := range rounds {
		text := fmt.Sprintf(`{"n":%d,"cheap":true}`, backlog+i)
		before := looked()
		write(t, s, []*pipeline.Record{record(0, backlog+i, text)})
		wantNext(t, cheap, text)
		least = min(least, looked()-before)
	}
	if most := uint64(heavy * 256 / 4); least > most {
		t.Errorf("in each of %d rounds the others looked at %d messages and more while the cheap filter waited; want less than %d in one", rounds, least, most)
	}
}

// othersEvaluate takes all turns, and gives none back.
func othersEvaluate(s *Sink) {
	s.filters.turns.mu.Lock()
	defer s.filters.turns.mu.Unlock()
	s.filters.turns.free = 0
}

func drainMessages(c *websocket.Conn) {
	for {
		if _, err := next(c); err != nil {
			return
		}
	}
}

// TestTurns: the next turn is of the filter that has had least, whoever asked first; who has had nothing to do for long has saved
// nothing up, and who has gone is passed over.
func TestTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := turns{free: 1}
		heavy, cheap, gone, fresh, idle := new(share), new(share), new(share), new(share), new(share)
		names := map[*share]string{heavy: "heavy", cheap: "cheap", fresh: "fresh", idle: "idle"}
		leaves := make(chan struct{})
		var order []string
		ask := func(f *share, gone <-chan struct{}, took time.Duration) {
			go func() {
				if !turns.take(f, &client{gone: gone, dropped: make(chan struct{})}) {
					return
				}
				order = append(order, names[f])
				time.Sleep(took)
				turns.give(f, took)
			}()
			synctest.Wait()
		}
		ask(heavy, nil, 100*time.Millisecond)
		ask(cheap, nil, time.Millisecond)
		time.Sleep(time.Second) // each has had a turn
		ask(heavy, nil, 100*time.Millisecond)
		time.Sleep(time.Second) // and heavy another
		ask(heavy, nil, 100*time.Millisecond)
		for range 2 { // while it has a third one
			ask(heavy, nil, 100*time.Millisecond)
			ask(gone, leaves, time.Millisecond)
			ask(fresh, nil, 50*time.Millisecond)
			ask(cheap, nil, time.Millisecond)
		}
		close(leaves)
		time.Sleep(time.Second)
		ask(idle, nil, time.Millisecond)
		time.Sleep(time.Second)
		synctest.Wait()
		want := []string{"heavy", "cheap", "heavy", "heavy", "fresh", "cheap", "cheap", "fresh", "heavy", "heavy", "idle"}
		if !slices.Equal(order, want) {
			t.Errorf("served were %v, want %v", order, want)
		}
		if turns.free != 1 || len(turns.waiting) != 0 {
			t.Errorf("at the end %d turns are free, and %d wait", turns.free, len(turns.waiting))
		}
		another := new(share)
		if !turns.take(another, &client{}) || another.had != idle.had {
			t.Errorf("a new filter counts as if it had had %v, and the one that was served last has had %v", another.had, idle.had)
		}
	})
}
