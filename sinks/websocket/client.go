package websocketsink

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// errNoAnswer says that a ping has not been answered by the time of the next.
var errNoAnswer = errors.New("no answer to a ping")

const (
	sendCount = 256      // most messages that are sent with one call of the system
	sendBytes = 64 << 10 // about the most bytes of these
)

// ClientSize is about what a client takes: its goroutines, and the buffers of its connection. Of 1,000 each had 31 KB of heap and 12 KB of stacks. It
// is not charged to the budget of records, or those who watch and do nothing could hold the pipeline up; MaxConnections bounds it.
const ClientSize = 44 << 10

// A grace is how long a client that is to go has.
type grace struct {
	drop  time.Duration // one that is dropped, to take what is on its way and the notice
	close time.Duration // to answer the close of a WebSocket
	stop  time.Duration // all of them, to take what is there when the pipeline stops
}

var graces = grace{drop: 5 * time.Second, close: 2 * time.Second, stop: 3 * time.Second}

// A line is the connection of a client. send, ping and end are called by one goroutine; hurry by any.
type line interface {
	// send sends messages. An error says that the connection is no longer usable.
	send(all []*message) error
	// ping asks the client whether it is there. An error says that it is not.
	ping() error
	// gap tells the client that messages are missing here.
	gap(text string) error
	// end tells the client why nothing more comes, and closes the connection.
	end(f farewell)
	// hurry bounds the time of what is being sent, and of what is sent afterwards.
	hurry(d time.Duration)
}

// A farewell is why a client gets nothing more.
type farewell struct {
	reason reason
	text   string // for the client
}

// A reason says it in a word.
type reason string

const (
	goneTooSlow  reason = "too_slow"  // it is further behind than the queue allows, or took too little for too long
	goneSilent   reason = "no_answer" // it does not answer pings
	goneItself   reason = "left"      // it has gone by itself
	goneStopping reason = "stopping"  // the sink is closed
)

// A client is somebody who watches: a place on the shelf, and who moves it on.
type client struct {
	sink   *Sink
	line   line
	filter *filter
	from   string          // its address
	gone   <-chan struct{} // closed when it has gone by itself

	next   atomic.Uint64 // number of the first message that it has not got
	before atomic.Int64  // bytes of all messages before that one
	most   atomic.Uint64 // how many messages it may be behind,
	bytes  atomic.Int64  // and how many bytes
	sent   atomic.Int64  // messages
	full   atomic.Int64  // since when the pipeline waits for it, nanoseconds since 1970; 0: it does not

	drop    sync.Once
	dropped chan struct{} // closed when it is to be dropped
	why     farewell      // of that; set before
}

// cut has the client dropped. It does not wait.
func (c *client) cut(f farewell) {
	c.drop.Do(func() {
		c.why = f
		close(c.dropped)
		c.line.hurry(c.sink.grace.drop)
	})
}

func (c *client) isDropped() bool {
	select {
	case <-c.dropped:
		return true
	default:
		return false
	}
}

// behind says whether the client is further behind than it may be, given where the newest message was a moment ago: it may have got newer
// ones since.
func (c *client) behind(next uint64, before int64) bool {
	return int64(next-c.next.Load()) > int64(c.most.Load()) || before-c.before.Load() > c.bytes.Load()
}

// allow says how far the client may be behind: as far as the queue is long, and by what was there before it came.
func (c *client) allow(count uint64, bytes int64) {
	c.most.Store(uint64(c.sink.settings.Queue) + count)
	c.bytes.Store(int64(c.sink.settings.QueueBytes) + bytes)
}

// tooSlow is why such a client is dropped.
func (c *client) tooSlow() farewell {
	return farewell{goneTooSlow, "too slow: more waits for this client than the queue takes; connect again, and take it faster or filter more"}
}

// run sends messages until the client leaves, is dropped or the sink is closed, and says which.
func (c *client) run() farewell {
	ping := time.NewTicker(c.sink.settings.Ping)
	defer ping.Stop()
	room, rec := make([]*message, 0, sendCount), new(pipeline.Record)
	for {
		if f, over := c.over(); over {
			return f
		}
		got, changed, ok := c.sink.shelf.from(c.next.Load(), room, sendBytes)
		if !ok {
			return c.tooSlow()
		}
		if len(got) > 0 {
			if err := c.deliver(got, rec); err != nil {
				if f, over := c.over(); over {
					return f
				}
				return c.failed(err)
			}
			continue
		}
		c.allow(0, 0) // it has caught up
		select {
		case <-changed:
		case <-ping.C:
			if err := c.line.ping(); err != nil {
				return c.failed(err)
			}
			ping.Reset(c.sink.settings.Ping) // it may have been due for long, and the answer has the whole time
		case <-c.dropped:
		case <-c.gone:
		case <-c.sink.closing:
			if _, next, _ := c.sink.shelf.ends(); next == c.next.Load() {
				return farewell{goneStopping, "going away: the pipeline stops"}
			}
		}
	}
}

// over says whether the client is dropped, or has gone, and why.
func (c *client) over() (farewell, bool) {
	select {
	case <-c.dropped:
		return c.why, true
	case <-c.gone:
		return farewell{reason: goneItself}, true
	default:
		return farewell{}, false
	}
}

// deliver sends those messages that fit, and moves the client on. It gives all of them back.
func (c *client) deliver(got []*message, rec *pipeline.Record) error {
	last := got[len(got)-1]
	next, before := last.number+1, last.before+last.size
	fit, err := c.choose(got, rec)
	if len(fit) > 0 {
		err = c.line.send(fit)
		c.sink.shelf.back(fit...)
	}
	if err != nil {
		return err
	}
	c.sent.Add(int64(len(fit)))
	c.before.Store(before)
	c.next.Store(next)
	c.sink.moved()
	return nil
}

// errOver says that a client was over before its messages were looked at.
var errOver = errors.New("the client is over")

// choose gives the messages that fit, in place, and the others back; with an error all of them.
func (c *client) choose(got []*message, rec *pipeline.Record) (fit []*message, err error) {
	shelf := c.sink.shelf
	l := look{client: c, rec: rec}
	defer l.end()
	fit = got[:0]
	for i, m := range got {
		is, ok := l.fits(m)
		if !ok {
			shelf.back(fit...)
			shelf.back(got[i:]...)
			return nil, errOver
		}
		if is {
			fit = append(fit, m)
		} else {
			shelf.back(m)
		}
	}
	return fit, nil
}

// begin moves the client back from its place, behind what was there when it came, to the message that it has asked for. It may be
// behind by as many more until it has caught up.
func (c *client) begin(w wish) (missing string) {
	shelf := c.sink.shelf
	first, _, _ := shelf.ends()
	next, total := c.next.Load(), c.before.Load()
	start := next
	switch {
	case w.resumes && w.life == c.sink.life && w.after >= first-1 && w.after < next:
		start = w.after + 1
	case w.resumes:
		missing = "messages are missing before this one: they are not kept any more"
		start = c.lastOf(next, c.sink.settings.CatchUp)
	case w.last > 0:
		start = c.lastOf(next, w.last)
	}
	if start == next {
		return missing
	}
	got, _, ok := shelf.from(start, make([]*message, 0, 1), 1)
	if !ok { // so many have come meanwhile that it has fallen off: the client is too slow, which run finds
		c.next.Store(start)
		return missing
	}
	before := got[0].before
	shelf.back(got...)
	c.allow(next-start, total-before) // first: who looks meanwhile finds it further ahead than it is
	c.before.Store(before)
	c.next.Store(start)
	return missing
}

// lastOf gives the number of the first of the last n messages before next that fit. It looks no further when the client is over.
func (c *client) lastOf(next uint64, n int) (start uint64) {
	start = next
	s := &c.sink.settings
	l := look{client: c, rec: new(pipeline.Record)}
	defer l.end()
	c.sink.shelf.past(next, s.CatchUp, int64(s.CatchUpBytes), func(m *message) bool {
		fit, ok := l.fits(m)
		if fit {
			start = m.number
			n--
		}
		return ok && n > 0
	})
	return start
}

// failed is why a client is gone whose connection has failed.
func (c *client) failed(err error) farewell {
	if errors.Is(err, errNoAnswer) {
		return farewell{goneSilent, "no answer to a ping for " + c.sink.settings.Ping.String()}
	}
	if isTimeout(err) {
		return farewell{goneTooSlow, "too slow: it takes less than 64 KiB in " + c.sink.settings.timeout().String()}
	}
	return farewell{reason: goneItself}
}

// A wish is what a client asks for.
type wish struct {
	filter  *filter
	last    int
	resumes bool   // it has been here before:
	life    string // in this run of the sink,
	after   uint64 // and got this message last
}

// watch serves a client until it is over.
func (s *Sink) watch(ctx context.Context, l line, w wish, from string) {
	c := &client{sink: s, line: l, filter: w.filter, from: from, gone: ctx.Done(), dropped: make(chan struct{})}
	if !s.join(c) {
		l.end(farewell{goneStopping, "going away: the pipeline stops"})
		return
	}
	defer s.leave(c)
	missing := c.begin(w)
	var err error
	if missing != "" {
		err = l.gap(missing)
	}
	var f farewell
	if err != nil {
		f = c.failed(err)
	} else {
		f = c.run()
	}
	s.tell(c, f)
	l.end(f)
}
