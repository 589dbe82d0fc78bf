package execstage

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/penstockio/penstock/pipeline/event"
)

// How long it is until a process is started again when those before it have not begun: none of them had a record.
const (
	firstBackoff = 100 * time.Millisecond
	mostBackoff  = 10 * time.Second
)

// How long it is when nothing is answered, and those before it have ended of records. It is short: these records
// use up their attempts, and the next may be a good one.
const (
	firstPause = 10 * time.Millisecond
	mostPause  = 100 * time.Millisecond
)

// pingTime is how long a process has to live to be taken for one that works, where it does not say that it is
// ready. What cannot load ends sooner.
const pingTime = 300 * time.Millisecond

var (
	errStopped = errors.New("asking a child process: the step has ended")
	errNever   = errors.New("asking a child process: none")
)

// A pool is the processes of a step. They are started when a record comes and none is free, and started again
// when they end, at once where they have had a record. One that answers says nothing of those that do not
// even begin: these wait, though others work, until one that was started behind them has answered. One that ends of
// the first record that it gets has begun: to wait then would have a few such records hold up all others.
type pool struct {
	set    *Settings
	start  func() (process, error)
	events func() *event.Emitter
	life   sync.WaitGroup // of children

	mu       sync.Mutex
	children []*child
	starting int
	leaving  int    // have left, and not ended
	reserved *child // for the next records that are to be few
	fails    int    // starts, one behind another, that came to nothing; those that were made at once are one
	next     time.Time
	mute     int       // have ended of a record, one behind another, while nothing was answered
	pause    time.Time // until then none is started because of that
	failure  error     // of the last
	closed   bool
	wakes    []func()
}

// take gives a place at a child that has no more than most records, in_flight mostly, and none that may be among more
// or fewer. Else wait is when to ask again, 0 when that is not known, and wake is called when something has changed.
// It gives no child, and ok, when the pool is closed.
func (p *pool) take(most int, wake func()) (c *child, wait time.Duration, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, 0, true
	}
	if c = p.free(most); c != nil {
		c.taken++
		c.most = most
		return c, 0, true
	}
	p.wakes = append(p.wakes, wake)
	return nil, p.startMissing(), false
}

// free gives the child that takes the next record, or nil. Records that are to be few come to as few children as can be,
// and have one kept free for them: others have the rest.
func (p *pool) free(most int) (best *child) {
	few := most < p.set.InFlight
	for _, c := range p.children {
		switch {
		case !c.ready, c.closing, c.taken > 0 && (c.most != most || c.taken >= most):
		case c == p.reserved && (!few || c.taken > 0):
		case best == nil, few && c.taken > best.taken, !few && c.taken < best.taken:
			best = c
		}
	}
	switch {
	case few && best != nil:
		p.reserved = nil // who still waits keeps one free again
	case few && p.reserved == nil:
		p.reserve()
	}
	return best
}

// reserve has a child get no more records, for those that are to be few: the one that has the fewest of the others. One
// that has such records itself is free soon.
func (p *pool) reserve() {
	for _, c := range p.children {
		if c.ready && !c.closing && c.most == p.set.InFlight && (p.reserved == nil || c.taken < p.reserved.taken) {
			p.reserved = c
		}
	}
}

// back gives a place back. c is nil when there was none; most is what was asked for.
func (p *pool) back(c *child, most int) {
	p.mu.Lock()
	if c != nil {
		c.taken--
	} else if most < p.set.InFlight {
		p.reserved = nil // whoever comes next keeps one free again
	}
	wakes := p.changed()
	p.mu.Unlock()
	wake(wakes)
}

// changed gives those who are to ask again. The lock is held.
func (p *pool) changed() (wakes []func()) {
	wakes, p.wakes = p.wakes, nil
	return wakes
}

func wake(wakes []func()) {
	for _, w := range wakes {
		w()
	}
}

// startMissing starts the processes that are not there, and gives how long it is until that may be tried. The
// lock is held. Those that are ending hold memory too, so there are never more than twice as many as there may be.
func (p *pool) startMissing() (wait time.Duration) {
	n := min(p.set.Processes-len(p.children)-p.starting, 2*p.set.Processes-len(p.children)-p.starting-p.leaving)
	if n <= 0 {
		return 0
	}
	if wait = max(time.Until(p.next), time.Until(p.pause)); wait > 0 {
		return wait
	}
	for range n {
		p.starting++
		p.life.Add(1)
		go p.startOne(p.fails)
	}
	return 0
}

// startOne starts a process and lives for it. round is how many starts had come to nothing.
func (p *pool) startOne(round int) {
	proc, err := p.start()
	p.mu.Lock()
	p.starting--
	if err != nil {
		p.failed(round, err)
		wakes := p.changed()
		p.mu.Unlock()
		wake(wakes)
		p.life.Done()
		p.emit(event.ChildEnded{ErrorType: newError(unready, "", "").ErrorType(), ErrorMessage: "starting a child process: " + err.Error()})
		return
	}
	c := newChild(p, proc)
	c.round = round
	closed := p.closed
	p.children = append(p.children, c)
	wakes := p.changed()
	p.mu.Unlock()
	if closed {
		c.leave(errStopped)
	}
	wake(wakes)
	c.live()
}

// failed notes a process that came to nothing. The lock is held.
func (p *pool) failed(round int, err error) {
	p.failure = err
	if round < p.fails { // one that was started with it has been counted
		return
	}
	backoff := min(firstBackoff<<min(p.fails, 10), mostBackoff)
	p.fails++
	p.next = time.Now().Add(backoff)
}

// endedOfARecord notes a process that had begun. The lock is held.
func (p *pool) endedOfARecord(err error) {
	p.failure = err
	if p.mute++; p.mute > p.set.Processes {
		p.pause = time.Now().Add(min(firstPause<<min(p.mute-p.set.Processes-1, 10), mostPause))
	}
}

// isReady lets a child have records.
func (p *pool) isReady(c *child) {
	p.mu.Lock()
	c.ready = true
	wakes := p.changed()
	p.mu.Unlock()
	wake(wakes)
}

// without takes a child out, and gives those to wake. The lock is held.
func (p *pool) without(c *child) (wakes []func()) {
	for i, other := range p.children {
		if other == c {
			p.children = append(p.children[:i], p.children[i+1:]...)
			break
		}
	}
	if p.reserved == c {
		p.reserved = nil
	}
	p.leaving++
	switch {
	case c.cause == errStopped:
	case !c.used:
		p.failed(c.round, c.cause)
	default:
		p.endedOfARecord(c.cause)
	}
	return p.changed()
}

// ended notes that a child that has left is gone.
func (p *pool) ended(c *child) {
	p.mu.Lock()
	p.leaving--
	cause, answered := c.cause, c.answered
	wakes := p.changed()
	p.mu.Unlock()
	wake(wakes)
	if cause == errStopped {
		return
	}
	typ, _ := event.TypeOf(cause)
	p.emit(event.ChildEnded{
		ErrorType: typ, ErrorMessage: cause.Error(), ChildPid: int64(c.proc.pid()),
		RanMs: time.Since(c.began).Milliseconds(), Answered: answered,
	})
}

func (p *pool) emit(ev any) { p.events().Emit(ev, "") }

// ping starts a process, if none is there, and waits until it is seen to work. It stays, for the first records.
func (p *pool) ping(ctx context.Context) error {
	p.mu.Lock()
	if len(p.children)+p.starting == 0 && !p.closed {
		p.starting++
		p.life.Add(1)
		go p.startOne(p.fails)
	}
	p.mu.Unlock()
	for {
		changed := make(chan struct{}, 1)
		p.mu.Lock()
		c, loading, err := p.works()
		p.wakes = append(p.wakes, func() { changed <- struct{}{} })
		p.mu.Unlock()
		if c != nil || err != nil {
			return err
		}
		again := time.NewTimer(pingTime)
		select {
		case <-changed:
		case <-again.C:
		case <-ctx.Done():
			again.Stop()
			if loading && errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return nil // it may take longer than the caller waits: records wait for it
			}
			return fmt.Errorf("starting a child process: %w", ctx.Err())
		}
		again.Stop()
	}
}

// works gives a child that is seen to work, or why there is none; loading says that one lives and is not ready. The
// lock is held.
func (p *pool) works() (working *child, loading bool, err error) {
	for _, c := range p.children {
		switch {
		case !c.ready:
			loading = true
		case p.set.Ready, c.answered > 0, time.Since(c.began) >= pingTime:
			return c, false, nil
		}
	}
	switch {
	case len(p.children) > 0 || p.starting > 0:
		return nil, loading, nil
	case p.closed || p.failure == nil:
		return nil, false, errNever
	}
	return nil, false, p.failure
}

// close ends all processes and waits for that.
func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	children := append([]*child(nil), p.children...)
	wakes := p.changed()
	p.mu.Unlock()
	wake(wakes)
	for _, c := range children {
		c.leave(errStopped)
	}
	p.life.Wait()
}
