// SPDX-License-Identifier: Apache-2.0

// Package redis is the stage that looks a record up in Redis. It is a package of its own because the
// library is heavy.
package redis

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/calls"
	"github.com/penstockio/penstock/pipeline/client"
	"github.com/penstockio/penstock/pipeline/event"
	"github.com/penstockio/penstock/pipeline/jsontext"
	"github.com/penstockio/penstock/pipeline/redisserver"
)

// A Stage puts what Redis holds at a key into a field of the record. It belongs into a waiting step.
//
// Keys are arguments of commands, and never read as commands, whatever a record puts into them. Look-ups that wait at the
// same moment go together, in one pipeline of commands, and one that fails there fails alone; equal ones are one. Such a
// pipeline is given up, and its connection closed, when nobody waits for it any more.
//
// A value that is no object, or in which something else stands in the way of the field that takes the
// answer, is rejected without a look-up, a tombstone passes without one. A key of another type rejects its record. What is
// about the server, the log-in or the rights is an attempt that failed.
type Stage struct {
	settings Settings
	into     jsontext.Path
	server   *redisserver.Server
	batches  batches
	calls    *calls.Calls[answer]

	mu     sync.Mutex
	emit   *event.Emitter
	closed bool
}

// An answer is what a look-up has found, as JSON.
type answer struct {
	json  []byte
	found bool
}

// New makes the stage. It connects with the first look-up.
func New(s Settings, env calls.Env) (*Stage, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	into, err := s.Into.Place()
	if err != nil {
		return nil, err
	}
	st := &Stage{settings: s, into: into}
	if st.server, err = redisserver.New(s.Server, max(env.Workers, 1), st.warn); err != nil {
		return nil, err
	}
	st.batches = batches{max: st.server.Conns(), most: s.Batch, ask: st.ask}
	if st.calls, err = calls.New[answer](env); err != nil {
		return nil, err
	}
	return st, nil
}

// warn tells that a file of the settings has become unusable, from any goroutine.
func (s *Stage) warn(err error) {
	s.mu.Lock()
	emit := s.emit
	s.mu.Unlock()
	emit.Log().Warn().Err(err).Msg("a file is not used as it is now")
}

// Attach implements pipeline.Attacher.
func (s *Stage) Attach(e *event.Emitter) {
	s.mu.Lock()
	s.emit = e
	s.mu.Unlock()
	s.calls.Attach(e)
}

// Account implements pipeline.Accounter.
func (s *Stage) Account(add func(bytes int64)) { s.calls.Account(add) }

// Report implements pipeline.Reporter.
func (s *Stage) Report() pipeline.Report { return s.calls.Report() }

// Resize implements engine.Resizer.
func (s *Stage) Resize(workers int) { s.calls.Resize(workers) }

// Process implements pipeline.Stage.
func (s *Stage) Process(ctx context.Context, rec *pipeline.Record) error {
	return calls.Process(ctx, s, rec)
}

// Admit implements pipeline.Admitter.
func (s *Stage) Admit(rec *pipeline.Record, attempt int) (pipeline.Call, error) {
	if rec.Tombstone() {
		return calls.None(nil), nil
	}
	if err := s.takesField(rec); err != nil {
		return nil, err
	}
	args, err := s.args(rec)
	if err != nil {
		return nil, err
	}
	return s.calls.Admit(calls.Question[answer]{
		Host: s.server.Host(),
		Key:  calls.Key(args...),
		Ask: func(ctx context.Context, _ *pipeline.Record, _ *answer) (calls.Reply[answer], error) {
			l := &look{args: args, done: make(chan struct{})}
			if err := s.batches.do(ctx, l); err != nil {
				return calls.Reply[answer]{}, s.explain(ctx, err)
			}
			return calls.Reply[answer]{Answer: l.answer, Bytes: len(l.answer.json), Negative: !l.answer.found}, nil
		},
		Use: s.use,
	}, attempt), nil
}

// takesField says whether an answer can be put into the record, which stays as it is.
func (s *Stage) takesField(rec *pipeline.Record) error {
	if len(s.into) == 1 && s.into[0].Kind == jsontext.Named {
		return rec.CheckObject()
	}
	return rec.Clone().SetRawAt(s.into, nil)
}

// args gives the keys, and the field behind the key of hget.
func (s *Stage) args(rec *pipeline.Record) (args []string, err error) {
	list := s.settings.Keys
	if s.settings.Command != "mget" {
		if key := &s.settings.Key; s.settings.Field.IsZero() {
			list = append(list, *key)
		} else {
			list = append(list, *key, s.settings.Field)
		}
	}
	for i := range list {
		text, err := list[i].Filled(rec)
		if err != nil {
			return nil, err
		}
		args = append(args, text)
	}
	return args, nil
}

// use puts an answer into the record.
func (s *Stage) use(rec *pipeline.Record, a answer) error {
	if !a.found && s.settings.OnMiss != client.MissNull {
		if s.settings.OnMiss == client.MissFilter {
			return pipeline.Filtered
		}
		return pipeline.Reject(client.ReasonNoMatch, client.NewError(client.ReasonNoMatch, s.what()+": nothing is there", nil))
	}
	return rec.SetRawAt(s.into, a.json)
}

func (s *Stage) what() string {
	return "reading from redis " + s.server.Host() + " (" + s.settings.Command + ")"
}

// explain classifies an error. What it gives quotes no value of a record.
func (s *Stage) explain(ctx context.Context, err error) error {
	var crash *pipeline.PanicError
	switch {
	case errors.As(err, &crash):
		return err
	case errors.Is(err, redisserver.ErrTooLarge):
		return pipeline.Reject(client.TypeTooLarge, client.NewError(client.TypeTooLarge,
			fmt.Sprintf("%s: the answer is larger than max_bytes (%v)", s.what(), s.settings.MaxBytes), nil))
	case errors.Is(err, errNoText):
		return pipeline.Reject(client.TypeBadAnswer, client.NewError(client.TypeBadAnswer,
			s.what()+": what was found is no UTF-8, which JSON cannot hold: write as: base64", nil))
	}
	_, err = redisserver.Explain(ctx, s.what(), err)
	return err
}

// Ping implements pipeline.Pinger: it connects and logs in.
func (s *Stage) Ping(ctx context.Context) error { return s.server.Ping(ctx) }

// Close implements io.Closer. It waits for look-ups that nobody waits for any more.
func (s *Stage) Close() error {
	s.batches.wait()
	s.mu.Lock()
	closed := s.closed
	s.closed = true
	s.mu.Unlock()
	if !closed {
		s.calls.Close()
		s.server.Close()
	}
	return nil
}
