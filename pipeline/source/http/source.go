// SPDX-License-Identifier: Apache-2.0

// Package http takes records that are posted to it, as a source: one value, an array, values a line or plain bytes, answered when
// they are durable at the sinks.
//
// A request is taken whole or not at all. What is taken is finished: when the pipeline is told to stop nothing more is taken, and
// everybody is answered before the source is closed. A connection keeps to one lane, so the records of one connection keep their
// order; between connections there is none.
package http

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/event"
	"github.com/penstockio/penstock/pipeline/server"
)

// A Source takes records that are posted to it. Its lanes are named by topic and number, as in orders/3, and so are the positions of
// its records.
//
// The offsets of a lane begin at a random number of 52 bits, anew in each process, and go up by one for each record. Sinks and stages
// know a record by its position (a sink makes an Idempotency-Key of it), so no two records may ever have the same, also not those of two
// copies of a pipeline, which know nothing of each other. A clock would give the same to copies that start together, or to one whose clock
// was set back. 52 bits, because programs that read the log as JSON may have no more (the numbers of JavaScript have 53).
type Source struct {
	settings Settings
	memory   *memory // nil: keys are not remembered
	limit    *bucket // nil: there is no rate
	zstd     *decoders
	feed     pipeline.Feed
	emit     *event.Emitter
	server   *server.Server
	queue    chan *post // from the requests to Read: what is sent is taken
	lines    []*line
	figures
	notStored seldom // of the log

	stopping context.Context // ends when nothing is taken any more
	stop     context.CancelFunc
	closed   chan struct{} // closed when what is not answered yet has to be
	close    sync.Once
	reading  sync.Once
	work     work
	open     atomic.Bool
}

// A line is one lane, of which the pipeline may end one after the other.
type line struct {
	number  int32
	opening sync.Mutex // held while the pipeline opens one
	alone   sync.Mutex // held by the request whose body may grow beyond the budget

	mu          sync.Mutex // guards the rest, and is held for moments only
	lane        pipeline.Lane
	next        int64 // the offset of the next record
	committed   int64
	committedAt time.Time
	beganAt     time.Time
}

// New makes a Source for the pipeline of a name. It listens to nothing yet.
func New(s Settings, name string) (*Source, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	if s.Topic == "" {
		s.Topic = name
	}
	src := &Source{settings: s, queue: make(chan *post), closed: make(chan struct{}), zstd: newDecoders()}
	src.figures.init()
	src.stopping, src.stop = context.WithCancel(context.Background())
	if s.Rate != nil {
		src.limit = newBucket(*s.Rate, s.Burst)
	}
	for i := range s.Lanes {
		src.lines = append(src.lines, &line{number: int32(i), next: firstOffset()})
	}
	if s.Idempotency != nil {
		src.memory = newMemory(*s.Idempotency)
		src.memory.onLost(func() {
			src.emit.Log().Warn().Str("file", string(s.Idempotency.File)).
				Msg("the file of the Idempotency-Keys was removed or replaced while it was in use: it is written anew")
		})
	}
	return src, nil
}

// firstOffset gives a random number from 1<<51 on, below 1<<52.
func firstOffset() int64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return 1<<51 + int64(binary.BigEndian.Uint64(b[:])>>13)
}

// listener makes the server, which reads its files.
func (s *Source) listener() (*server.Server, error) {
	return server.New(server.Options{
		Settings: s.settings.Settings, What: "the http source", Prefix: "source.http.", Handler: http.HandlerFunc(s.serve),
		ReadHeader: s.settings.HeaderTime, Idle: s.settings.IdleTime,
		Warn: func(err error) {
			s.emit.Log().Warn().Err(err).Msg("a file of the http source cannot be used: what was read before goes on")
		},
	})
}

// Ping implements pipeline.Pinger: the files of TLS, of the token and of the keys can be read. Whether the port is free is known when
// it is listened on.
func (s *Source) Ping(context.Context) error {
	if _, err := s.listener(); err != nil {
		return err
	}
	if s.memory != nil {
		return s.memory.ping()
	}
	return nil
}

// Attach implements pipeline.Attacher.
func (s *Source) Attach(e *event.Emitter) { s.emit = e }

// Open implements pipeline.Source: it reads the keys that are remembered, opens the lanes and listens.
func (s *Source) Open(ctx context.Context, f pipeline.Feed) error {
	s.feed = f
	if err := s.openAll(ctx); err != nil {
		return errors.Join(err, s.Close(ctx))
	}
	s.open.Store(true)
	s.emit.Emit(event.SourceListening{ListensAt: s.server.Addr(), RequestPath: s.settings.Path}, "")
	return nil
}

func (s *Source) openAll(ctx context.Context) (err error) {
	if s.memory != nil {
		if err := s.memory.open(); err != nil {
			return err
		}
	}
	for _, l := range s.lines {
		if _, err := s.lane(ctx, l); err != nil {
			return err
		}
	}
	if s.server, err = s.listener(); err != nil {
		return err
	}
	return s.server.Start()
}

// lane gives the lane of a line, and opens another one when the pipeline has ended it.
func (s *Source) lane(ctx context.Context, l *line) (pipeline.Lane, error) {
	l.opening.Lock()
	defer l.opening.Unlock()
	l.mu.Lock()
	lane, next := l.lane, l.next
	l.mu.Unlock()
	if lane != nil {
		select {
		case <-lane.Ended():
		default:
			return lane, nil
		}
	}
	name := fmt.Sprintf("%s/%d", s.settings.Topic, l.number)
	lane, from, err := s.feed.Lane(ctx, name, next)
	if err != nil {
		return nil, fmt.Errorf("opening lane %s: %w", name, err)
	}
	l.mu.Lock()
	l.lane, l.next, l.committed, l.beganAt = lane, from, from, time.Now()
	l.mu.Unlock()
	return lane, nil
}

// Read implements pipeline.Source. What it gives is taken: its request is answered by what becomes of it.
func (s *Source) Read(ctx context.Context) (*pipeline.Batch, error) {
	s.reading.Do(func() { context.AfterFunc(ctx, s.stop) })
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		select {
		case p := <-s.queue:
			if b := p.batch(); b != nil {
				return b, nil
			}
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// ReadsOnce implements pipeline.ReadOncer: nobody posts again what was taken.
func (s *Source) ReadsOnce() bool { return true }

// Commit implements pipeline.Source. There is nothing to store: a request is answered by what becomes of its records.
func (s *Source) Commit(_ context.Context, marks []pipeline.Mark) error {
	now, next := time.Now(), make(map[pipeline.Lane]int64, len(marks))
	for _, m := range marks {
		next[m.Lane] = m.Next
	}
	for _, l := range s.lines {
		l.mu.Lock()
		if n, ok := next[l.lane]; ok {
			l.committed, l.committedAt = n, now
		}
		l.mu.Unlock()
	}
	return nil
}

// How long a source that is closed waits for requests that are under way, and then for connections that have none.
const (
	lastAnswers = 2 * time.Second
	lastWords   = 200 * time.Millisecond
)

// Close implements pipeline.Source: requests whose records have no outcome are answered, then the listener is closed.
func (s *Source) Close(ctx context.Context) error {
	var err error
	s.close.Do(func() {
		s.open.Store(false)
		s.stop()
		close(s.closed)
		answered := make(chan struct{})
		go func() {
			s.work.end()
			close(answered)
		}()
		last, cancel := context.WithTimeout(ctx, lastAnswers)
		defer cancel()
		select {
		case <-answered:
		case <-last.Done(): // somebody is still sending a request
		}
		if s.server != nil {
			silent, cancel := context.WithTimeout(ctx, lastWords)
			_ = s.server.Shutdown(silent) // who has not said anything by then is told nothing
			cancel()
		}
		<-answered
		if s.memory != nil {
			err = s.memory.close()
		}
	})
	return err
}

// Account implements pipeline.Accounter: keys that are remembered stand in memory.
func (s *Source) Account(add func(bytes int64)) {
	if s.memory != nil {
		s.memory.account = add
	}
}

// Report implements pipeline.Reporter. The end of a lane is what was taken: its lag are the records without an outcome.
func (s *Source) Report() pipeline.Report {
	r := pipeline.Report{Connected: s.open.Load()}
	s.figures.report(&r)
	for _, l := range s.lines {
		l.mu.Lock()
		r.Partitions = append(r.Partitions, pipeline.PartitionReport{
			Topic: s.settings.Topic, Partition: l.number, Committed: l.committed, Fetched: l.next, HighWatermark: l.next,
			CommittedAt: l.committedAt, BeganAt: l.beganAt,
		})
		l.mu.Unlock()
	}
	return r
}

// A work counts what goes on for requests, so that a source that is closed waits for it.
type work struct {
	mu    sync.Mutex
	ended bool
	all   sync.WaitGroup
}

// begin says whether something may begin. done is to be called after it.
func (w *work) begin() (done func(), ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended {
		return nil, false
	}
	w.all.Add(1)
	return w.all.Done, true
}

// end lets nothing more begin, and waits for what has begun.
func (w *work) end() {
	w.mu.Lock()
	w.ended = true
	w.mu.Unlock()
	w.all.Wait()
}
