// SPDX-License-Identifier: Apache-2.0

// Package websocketsink shows records to whoever watches, over WebSockets and as server-sent events.
package websocketsink

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/event"
	"github.com/penstockio/penstock/pipeline/server"
)

// A Sink is a server whose clients see the records as they are written: each that comes to Settings.Path, over a WebSocket or as
// a stream of server-sent events, and of them those that fit its filter.
//
// Stored means shown to those who watch: a record is kept for clients that catch up, within the bounds of the settings, and each client
// that is there gets it, or is dropped. It outlives no process, and where nobody watches nobody has seen it. No record is rejected.
//
// The records of a lane come to each client in their order, each once; lanes may come in any order to one another. A client that is
// further behind than the queue is dropped, with a notice, and holds up nobody; with slow: wait Write waits for it.
type Sink struct {
	settings Settings
	life     string // names this run in the ids of events
	server   *server.Server
	page     *page // nil: there is none
	filters  *filters
	shelf    *shelf // nil: not open yet
	emit     *event.Emitter
	charge   func(bytes int64)
	grace    grace

	pace
	audience
	closing chan struct{} // closed when what is there is the last
}

// A pace is how those who write, and the keeper, wait.
type pace struct {
	turn         chan struct{} // capacity 1: taken by who pushes
	progress     chan struct{} // receives when a client has moved on while Write waits for one
	waiting      atomic.Bool
	look         chan struct{} // asks the keeper to look for slow clients
	checked      atomic.Uint64 // up to which message it has,
	checkedBytes atomic.Int64  // and up to how many bytes
}

// An audience is who watches.
type audience struct {
	mu      sync.Mutex
	clients map[*client]bool
	closed  bool           // nobody can come any more
	serving sync.WaitGroup // clients, and the keeper
	dropped atomic.Int64   // clients, since the start
}

// New makes a WebSocket sink, and reads the files of its token, its certificate and its page. It listens from Open on. An
// error that is an EnvironmentError is about one of the files.
func New(s Settings) (*Sink, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	if s.As == "" {
		s.As = asValue
	}
	id := make([]byte, 6)
	_, _ = rand.Read(id) // it never fails
	w := &Sink{
		settings: s, grace: graces, life: hex.EncodeToString(id), filters: newFilters(),
		pace:     pace{turn: make(chan struct{}, 1), progress: make(chan struct{}, 1), look: make(chan struct{}, 1)},
		audience: audience{clients: map[*client]bool{}}, closing: make(chan struct{}),
	}
	var err error
	if s.Page != "" {
		if w.page, err = readPage(string(s.Page), s.PageCalls); err != nil {
			return nil, err
		}
	}
	w.server, err = server.New(server.Options{
		Settings: s.Settings, What: "the websocket sink", Handler: w.handler(), Token: tokenOf,
		Spare: spareConnections, Idle: time.Minute, Write: answerTimeout, Warn: w.warn,
	})
	if err != nil {
		return nil, err
	}
	return w, nil
}

// answerTimeout is how long a page, or a refusal, may take; events have times of their own.
const answerTimeout = 30 * time.Second

// spareConnections is how many there may be beyond those who watch, to tell who is one too many.
const spareConnections = 16

// warn tells that a file has become unusable, from any goroutine.
func (s *Sink) warn(err error) {
	s.emit.Log().Warn().Err(err).Msg("a file is not used as it is now")
}

// Attach implements pipeline.Attacher.
func (s *Sink) Attach(e *event.Emitter) { s.emit = e }

// Account implements pipeline.Accounter: messages that are kept are charged, and clients are not.
func (s *Sink) Account(add func(bytes int64)) { s.charge = add }

// Report implements pipeline.Reporter.
func (s *Sink) Report() pipeline.Report {
	s.mu.Lock()
	defer s.mu.Unlock()
	return pipeline.Report{Serves: true, Clients: int64(len(s.clients)), ClientsDropped: s.dropped.Load()}
}

// Open implements pipeline.Opener: from here on clients can come.
func (s *Sink) Open(context.Context) error {
	c := &s.settings
	s.shelf = newShelf(c.CatchUp+c.Queue, int64(c.CatchUpBytes+c.QueueBytes), s.charge)
	if err := s.server.Start(); err != nil {
		return err
	}
	s.serving.Go(s.keep)
	s.emit.Log().Info().Str("address", s.server.Addr()).Msg("clients can watch")
	return nil
}

// Addr gives where the sink listens, after Open: host:port, with the port that the system has chosen for 0, or the path of a socket.
func (s *Sink) Addr() string { return s.server.Addr() }

// join adds a client, whose place is behind what is there. What it asks for of the past it looks up afterwards, which takes time: from
// here on it counts, Write waits for it where it waits for clients, and it can be cut. false: the sink is closed.
func (s *Sink) join(c *client) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	_, next, total := s.shelf.ends()
	c.allow(0, 0)
	c.before.Store(total)
	c.next.Store(next)
	s.clients[c] = true
	s.serving.Add(1)
	return true
}

// leave removes it, when its connection is closed.
func (s *Sink) leave(c *client) {
	s.mu.Lock()
	delete(s.clients, c)
	s.mu.Unlock()
	s.moved()
	s.serving.Done()
}

// tell tells of a client that was dropped.
func (s *Sink) tell(c *client, f farewell) {
	if f.reason != goneTooSlow && f.reason != goneSilent {
		return
	}
	s.dropped.Add(1)
	next, _ := s.shelf.newest()
	s.emit.Emit(event.ClientDropped{ClientAddr: c.from, Reason: string(f.reason), Sent: c.sent.Load(), Behind: int64(next - c.next.Load())}, "")
}

// Close implements pipeline.Sink. Clients get what is there, for at most half of the time until ctx ends and at most three seconds, and are told
// that the pipeline stops.
func (s *Sink) Close(ctx context.Context) error {
	s.mu.Lock()
	first := !s.closed
	s.closed = true
	s.mu.Unlock()
	if !first {
		return nil
	}
	close(s.closing)
	patience := s.grace.stop
	if end, ok := ctx.Deadline(); ok {
		patience = min(patience, time.Until(end)/2)
	}
	cut := time.AfterFunc(patience, func() { s.cutAll(ctx) })
	defer cut.Stop()
	err := s.server.Shutdown(ctx)
	s.serving.Wait() // not for long: each is cut
	if s.shelf != nil {
		s.shelf.clear()
	}
	if err != nil {
		return fmt.Errorf("closing the connections of clients: %w", err)
	}
	return nil
}

// cutAll cuts all clients that are still there, without another word.
func (s *Sink) cutAll(context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.clients {
		c.cut(farewell{goneStopping, "going away: the pipeline stops"})
		c.line.hurry(0)
	}
}
