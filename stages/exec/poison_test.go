//go:build unix

package execstage

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// mortal is a pool of so many processes that end when they get a line with the word poison, and answer others each
// after a time.
func mortal(t *testing.T, processes int, each time.Duration) (p *pool, starts *int) {
	t.Helper()
	p, starts = fewStarts(t, processes, 0)
	p.start = func() (process, error) {
		p.mu.Lock()
		*starts++
		p.mu.Unlock()
		proc := &recordedProcess{done: make(chan struct{})}
		proc.in, proc.feed = io.Pipe()
		proc.out, proc.tells = io.Pipe()
		go func() {
			var answers sync.WaitGroup
			defer close(proc.done)
			defer answers.Wait()
			defer func() { _ = proc.tells.Close() }()
			for lines := bufio.NewReader(proc.in); ; {
				line, err := lines.ReadBytes('\n')
				if err != nil || bytes.Contains(line, []byte("poison")) {
					return
				}
				answers.Go(func() {
					time.Sleep(each)
					_, _ = proc.tells.Write(line) // the process may have ended
				})
			}
		}()
		return proc, nil
	}
	return p, starts
}

// place takes a place in virtual time, and gives how long it has waited by the pool's own word.
func (p *pool) place(t *testing.T) (c *child, waited time.Duration) {
	t.Helper()
	for range 100 {
		c, wait, ok := p.take(p.set.InFlight, func() {})
		if ok {
			return c, waited
		}
		synctest.Wait()
		if wait > 0 {
			time.Sleep(wait)
			waited += wait
		}
	}
	t.Fatal("no place")
	return nil, 0
}

func (c *child) try(t *testing.T, id uint64, word string) error {
	_, err := c.ask(t.Context(), id, fmt.Appendf(nil, "{\"id\":%d,\"value\":%q}\n", id, word))
	c.pool.back(c, 1)
	return err
}

// A process that ends of the first record that it gets has begun: another is started at once, and no record of
// another process waits for that.
func TestNoBackoffBehindARecordThatEndsItsProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, starts := mortal(t, 2, 0)
		defer p.close()
		for id := uint64(0); id < 200; id += 2 {
			first, waited := p.place(t)
			second, more := p.place(t)
			if first == second {
				t.Fatal("one process has two records")
			}
			if waited += more; waited > 0 {
				t.Fatalf("behind %d starts it waits %v for a process", *starts, waited)
			}
			if first.answered > 0 { // the one that was started last gets the poison
				first, second = second, first
			}
			if err := first.try(t, id, "poison"); typeOf(err) != "child_died" {
				t.Fatal(err)
			}
			if err := second.try(t, id+1, "good"); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		if *starts > 102 {
			t.Errorf("%d starts for 100 that have ended", *starts)
		}
	})
}

// Where nothing is answered at all, processes are started less often, but never seldom: the records that end
// them use up their attempts.
func TestPauseWhereNothingIsAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := mortal(t, 2, 0)
		defer p.close()
		var sum time.Duration
		for id := range uint64(20) {
			c, waited := p.place(t)
			if waited > mostPause {
				t.Fatalf("record %d waits %v", id, waited)
			}
			sum += waited
			if err := c.try(t, id, "poison"); typeOf(err) != "child_died" {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		if sum < 5*mostPause {
			t.Errorf("20 starts for nothing within %v", sum)
		}
		if c, _ := p.place(t); c.try(t, 20, "good") != nil {
			t.Error("the first that is answered is not")
		}
		for id := range uint64(2) {
			c, _ := p.place(t)
			_ = c.try(t, 21+id, "poison")
			synctest.Wait()
		}
		if _, waited := p.place(t); waited > 0 {
			t.Errorf("behind an answer it waits %v", waited)
		}
	})
}
