// SPDX-License-Identifier: Apache-2.0

// Package redissink stores records in Redis: as values, hashes, entries of streams, or messages on channels.
package redissink

import (
	"context"
	"slices"
	"sync"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/calls"
	"github.com/penstockio/penstock/pipeline/client"
	"github.com/penstockio/penstock/pipeline/event"
	"github.com/penstockio/penstock/pipeline/redisserver"
	"github.com/penstockio/penstock/sinks/lines"
)

// A Sink stores records in Redis, the records of a write in one transaction (MULTI) of at most 1,000 commands.
//
// A transaction is carried out as a whole or not at all, so that nothing that comes after a record which has to wait is stored
// before it: the server checks before it begins whether it has memory, is a master, and may write. What it refuses for what a
// record holds, a key of another type, rejects that record alone. What it refuses and is about no record that anybody knows is
// one's fault when others of the write pass; else the records wait, as they do for the log-in, the rights and the server. To a server that begins no
// transaction, or not for this user, nothing is sent.
//
// When the answer to a transaction is lost, its records are sent again. Of set and hset that changes nothing; of xadd an entry is
// there twice, unless Settings.ID is position, where an entry of the same ID and fields is the record's, and of publish a message comes twice. Keys and values are arguments of
// commands, and never read as commands.
type Sink struct {
	settings Settings
	names    []string // of Settings.Fields
	form     lines.Form
	server   *redisserver.Server
	limiter  *calls.Limiter

	mu     sync.Mutex
	emit   *event.Emitter
	closed bool
}

var _ pipeline.Hosted = (*Sink)(nil)

// New makes a redis sink for as many lanes at once as env has workers; what it sends keeps to what env holds calls back
// by. It connects with the first Write.
func New(s Settings, env calls.Env) (*Sink, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	k := &Sink{settings: s}
	var err error
	if k.names, err = s.names(); err != nil {
		return nil, err
	}
	if k.form, err = lines.New(s.As, ""); err != nil {
		return nil, err
	}
	conns := s.Server.MaxConns
	if env.Workers > 0 {
		conns = env.Workers
	}
	if k.server, err = redisserver.New(s.Server, conns, k.warn); err != nil {
		return nil, err
	}
	k.server.TryTransactions()
	if k.limiter, err = calls.NewLimiter(env); err != nil {
		k.server.Close()
		return nil, err
	}
	return k, nil
}

// Host implements pipeline.Hosted.
func (k *Sink) Host() string { return k.server.Host() }

// Attach implements pipeline.Attacher.
func (k *Sink) Attach(e *event.Emitter) {
	k.mu.Lock()
	k.emit = e
	k.mu.Unlock()
	k.limiter.Attach(e)
}

// warn tells that a file of the settings has become unusable, from any goroutine.
func (k *Sink) warn(err error) {
	k.mu.Lock()
	emit := k.emit
	k.mu.Unlock()
	emit.Log().Warn().Err(err).Msg("a file is not used as it is now")
}

// Write implements pipeline.Sink. Its destination is the key, the stream or the channel.
func (k *Sink) Write(ctx context.Context, recs []*pipeline.Record) error {
	w := &write{sink: k}
	for i, rec := range recs {
		c := &command{index: i}
		if err := k.command(c, rec); err != nil {
			w.fail(c, err)
			continue
		}
		w.list = append(w.list, c)
	}
	w.store(ctx)
	if len(w.failed) == 0 {
		return nil
	}
	slices.SortFunc(w.failed, func(a, b pipeline.Failure) int { return a.Index - b.Index })
	return &pipeline.WriteError{Failed: w.failed}
}

func (k *Sink) what() string {
	return "storing in redis " + k.server.Host() + " (" + k.settings.Command + ")"
}

// reject is the error of a record that is not stored; said is what the server has said, which may quote it.
func (k *Sink) reject(text, said string) error {
	return pipeline.Reject(client.TypeRedis, client.NewError(client.TypeRedis, k.what()+": "+text, nil).WithDetail(said))
}

// Ping implements pipeline.Pinger: it connects and logs in.
func (k *Sink) Ping(ctx context.Context) error { return k.server.Ping(ctx) }

// Close implements pipeline.Sink.
func (k *Sink) Close(context.Context) error {
	k.mu.Lock()
	closed := k.closed
	k.closed = true
	k.mu.Unlock()
	if !closed {
		k.server.Close()
		k.limiter.Close()
	}
	return nil
}
