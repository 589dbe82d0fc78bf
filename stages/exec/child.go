package execstage

import (
	"bufio"
	"context"
	"errors"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/penstockio/penstock/pipeline/event"
	"github.com/penstockio/penstock/pipeline/jsontext"
)

// A child is a process with the records that it has. The lock of its pool guards it.
type child struct {
	pool  *pool
	proc  process
	lines chan []byte // for its input; it never holds more than the process may have records
	began time.Time
	round int // of its start

	ready    bool
	closing  bool // it gets no more records: one of those that it had was given up
	late     bool // one of them was not answered in time
	taken    int  // places
	most     int  // records that it may have, says each that it has
	asked    map[uint64]*question
	given    map[uint64]bool // records that were given up, and may still be answered
	used     bool            // it was given a record
	answered int64
	over     bool  // its process has ended
	out      bool  // it has left the pool
	cause    error // why
	own      bool  // the record that it had last it had alone, so what it writes is of that

	noise  noise
	broken chan error    // what is wrong with its input or output
	left   chan struct{} // closed when it has left the pool
}

// A question is a record that a child was asked about.
type question struct{ answer chan reply }

// A reply is what came of it.
type reply struct {
	verdict verdict
	err     error
}

// An amongError is of a record whose process was ended while it had several: it may be another that is to blame.
type amongError struct {
	error
	records int
}

func newChild(p *pool, proc process) *child {
	return &child{
		pool: p, proc: proc, lines: make(chan []byte, p.set.InFlight), began: time.Now(), ready: !p.set.Ready || p.set.Recorded != nil,
		asked: map[uint64]*question{}, given: map[uint64]bool{},
		broken: make(chan error, 2), left: make(chan struct{}),
	}
}

// errGone is of a record that came to a child when it had just left.
var errGone = errors.New("asking a child process: it had ended")

// ask has the child answer a line, within ctx. The caller has a place.
func (c *child) ask(ctx context.Context, id uint64, line []byte) (verdict, error) {
	q := &question{answer: make(chan reply, 1)}
	p := c.pool
	p.mu.Lock()
	select {
	case <-c.proc.ended():
		c.over = true
	default:
	}
	if c.out || c.over {
		p.mu.Unlock()
		return verdict{}, errGone
	}
	c.asked[id], c.used = q, true
	if c.own = len(c.asked) == 1; c.own {
		c.noise.forget()
	}
	p.mu.Unlock()
	select {
	case c.lines <- line: // as many as there are places; it waits only for who answers without having read
	case <-c.left:
	case <-ctx.Done():
	}
	select {
	case r := <-q.answer:
		return r.verdict, r.err
	case <-ctx.Done():
	}
	select {
	case r := <-q.answer: // just in time
		return r.verdict, r.err
	default:
	}
	return verdict{}, c.giveUp(ctx, id)
}

// live is the life of the child, from its start to its end.
func (c *child) live() {
	defer c.pool.life.Done()
	var writing, reading sync.WaitGroup
	defer writing.Wait()
	writing.Go(c.write)
	reading.Go(c.read)
	reading.Go(c.listen)
	var tooLate <-chan time.Time
	if c.unready() {
		t := time.NewTimer(c.pool.set.StartTimeout)
		defer t.Stop()
		tooLate = t.C
	}
	for waiting := true; waiting; {
		select {
		case <-c.proc.ended():
			waiting = false
		case err := <-c.broken:
			c.lastWords(err)
			waiting = false
		case <-tooLate:
			if tooLate = nil; c.unready() {
				c.leave(newError(unready, c.noise.text(), "it was not ready within %s", c.pool.set.StartTimeout))
			}
		case <-c.left:
			waiting = false
		}
	}
	c.end(&reading)
}

// lastWords gives a child whose streams have ended the time to end too, so that how it has is known.
func (c *child) lastWords(err error) {
	t := time.NewTimer(settleTime)
	defer t.Stop()
	select {
	case <-c.proc.ended():
	case <-t.C:
		c.leave(err)
	case <-c.left:
	}
}

// detail is what the process has written to standard error since it was asked, if that was about one record
// alone. The lock is held.
func (c *child) detail() string {
	if !c.own && len(c.asked) > 0 {
		return ""
	}
	return c.noise.text()
}

func (c *child) unready() bool {
	c.pool.mu.Lock()
	defer c.pool.mu.Unlock()
	return !c.ready
}

// end has the process end, if it has not, and reports it.
func (c *child) end(reading *sync.WaitGroup) {
	p := c.pool
	select {
	case <-c.proc.ended():
	default:
		c.stop()
	}
	p.mu.Lock()
	c.over, c.closing = true, true
	p.mu.Unlock()
	c.proc.settle()
	reading.Wait() // what it has written is read: answers count, and the last lines say why it has ended
	p.mu.Lock()
	detail := c.detail()
	p.mu.Unlock()
	c.leave(newError(died, detail, "it has ended: %s", c.proc.how()))
	c.proc.close()
	p.ended(c)
}

// stop ends the process: by the end of its input when nothing is wrong with it, by SIGTERM else, and when that
// does not help by SIGKILL.
func (c *child) stop() {
	p := c.pool
	p.mu.Lock()
	graceful := c.cause == errStopped
	p.mu.Unlock()
	t := time.NewTimer(p.set.StopTimeout)
	defer t.Stop()
	if graceful {
		_ = c.proc.stdin().Close() // it may have ended
		select {
		case <-c.proc.ended():
			return
		case <-t.C:
			t.Reset(p.set.StopTimeout)
		}
	}
	c.proc.terminate()
	select {
	case <-c.proc.ended():
		return
	case <-t.C:
	}
	c.proc.kill()
	<-c.proc.ended()
}

// write writes lines to the process: those that wait at once.
func (c *child) write() {
	in := c.proc.stdin()
	for {
		select {
		case line := <-c.lines:
			for len(c.lines) > 0 && len(line) < mostWritten {
				line = append(line, <-c.lines...)
			}
			if _, err := in.Write(line); err != nil {
				c.broken <- newError(died, "", "it has closed its input")
				return
			}
		case <-c.left:
			return
		}
	}
}

// mostWritten is how many bytes are enough for one write.
const mostWritten = 64 << 10

var errTooLong = errors.New("line too long")

// read reads the lines of the process.
func (c *child) read() {
	r := bufio.NewReaderSize(c.proc.stdout(), 16<<10)
	var long []byte
	for {
		line, err := r.ReadSlice('\n')
		if len(long)+len(line) > int(c.pool.set.MaxLine)+1 {
			err = errTooLong
		} else if errors.Is(err, bufio.ErrBufferFull) {
			long = append(long, line...)
			continue
		}
		switch {
		case err == nil:
			if long != nil {
				line, long = append(long, line...), nil
			}
			if err := c.hear(line[:len(line)-1]); err != nil {
				c.leave(err)
				return
			}
		case err == errTooLong:
			c.leave(newError(junk, "", "it wrote a line longer than max_line, %s", c.pool.set.MaxLine))
			return
		default:
			c.broken <- newError(died, "", "it has closed its output")
			return
		}
	}
}

// hear takes a line of the process. An error says that it is no answer.
func (c *child) hear(line []byte) error {
	if c.pool.set.As == asValue {
		return c.hearValue(line)
	}
	id, v, ready, err := readAnswer(line)
	switch {
	case err != nil:
		return c.junk(line, err.Error())
	case ready != 0 && ready != protocol:
		return c.junk(line, "it is ready for a version of the protocol that is not "+protocolText)
	case ready != 0:
		c.pool.isReady(c)
		return nil
	}
	p := c.pool
	p.mu.Lock()
	q, given := c.asked[id], c.given[id]
	delete(c.asked, id)
	delete(c.given, id)
	c.heardFrom(q != nil)
	over := c.closing && len(c.asked) == 0
	p.mu.Unlock()
	if q == nil && !given {
		return c.junk(line, "it answered an id that it was not asked about")
	}
	if q != nil {
		q.answer <- reply{verdict: v}
	}
	if over {
		c.leave(c.endOfUse(newError(late, "", "a record was not answered in time")))
	}
	return nil
}

// hearValue takes a line that is a value.
func (c *child) hearValue(line []byte) error {
	p := c.pool
	p.mu.Lock()
	unready := !c.ready
	p.mu.Unlock()
	if unready {
		if _, _, ready, err := readAnswer(line); err == nil && ready == protocol {
			p.isReady(c)
			return nil
		}
		return c.junk(line, "it wrote a line before it was ready")
	}
	if !utf8.Valid(line) {
		return c.junk(line, errNoUTF8.Error())
	}
	if !jsontext.Valid(line) {
		return c.junk(line, "it wrote a line that is no JSON")
	}
	p.mu.Lock()
	var q *question
	for id, only := range c.asked {
		q = only
		delete(c.asked, id)
	}
	c.heardFrom(q != nil)
	p.mu.Unlock()
	if q == nil {
		return c.junk(line, "it wrote a line that nobody has asked for")
	}
	q.answer <- reply{verdict: verdict{value: append([]byte(nil), line...)}}
	return nil
}

// heardFrom notes an answer to a record that is waited for. The lock is held.
func (c *child) heardFrom(waited bool) {
	if !waited {
		return
	}
	if c.answered == 0 { // it was started since others came to nothing, or with them
		c.pool.fails, c.pool.next = 0, time.Time{}
	}
	c.pool.mute, c.pool.pause = 0, time.Time{}
	c.answered++
}

// junk is the error of a line that is no answer.
func (c *child) junk(line []byte, what string) error {
	c.pool.mu.Lock()
	defer c.pool.mu.Unlock()
	if !c.own { // it may be of another
		line = nil
	}
	return newError(junk, short(line), "%s; the process is ended", what)
}

// listen reads what the process writes to standard error, however much.
func (c *child) listen() {
	r := bufio.NewReaderSize(c.proc.stderr(), 4<<10)
	cut := false // the line goes on
	for {
		line, err := r.ReadSlice('\n')
		c.noise.add(line)
		if c.pool.set.Stderr == stderrLog && !cut && len(line) > 0 {
			c.pool.emit(event.ChildLine{Line: short(line), ChildPid: int64(c.proc.pid())})
		}
		if cut = errors.Is(err, bufio.ErrBufferFull); err != nil && !cut {
			return
		}
	}
}
