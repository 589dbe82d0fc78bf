// SPDX-License-Identifier: Apache-2.0

// Package heldtest compares what a source has charged with the memory that its batches and records keep, for tests of
// sources.
package heldtest

import (
	"context"
	"errors"
	"io"
	"runtime"
	"sync"
	"testing"
	"unsafe"

	"github.com/penstockio/penstock/pipeline"
)

// Measure is what was charged, and what the heap has grown by, in bytes.
type Measure struct {
	Charged, Live int64
	Records       int
}

// Ratio is the heap's growth as a share of what was charged.
func (m Measure) Ratio() float64 { return float64(m.Live) / float64(m.Charged) }

// Read opens a source, and reads batches of it until it ends or so many bytes are charged. It measures twice: while all batches wait,
// and when records were made of all, none of which has an outcome. The places that records are made in are no part of it. Then it
// gives everything back and closes the source. The source has one lane at least, and all of them always have room.
func Read(t testing.TB, src pipeline.Source, bytes int64) (waiting, made Measure) {
	t.Helper()
	f := &feed{}
	if err := src.Open(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	before := heap()
	var batches []*pipeline.Batch
	for f.charged() < bytes {
		b, err := src.Read(t.Context())
		if b != nil {
			batches = append(batches, b)
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	waiting = Measure{Charged: f.charged(), Live: heap() - before}

	places, records := makeAll(t, batches)
	made.Records = records
	room := int64(len(places)) * chunk * int64(unsafe.Sizeof(pipeline.Record{}))
	made.Charged, made.Live = f.charged(), heap()-before-room
	waiting.Records = made.Records
	runtime.KeepAlive(places)
	for _, b := range batches {
		if b.Charge != nil {
			b.Charge.Release()
		}
		if b.Free != nil {
			b.Free()
		}
	}
	if err := src.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if f.charged() != 0 {
		t.Errorf("%d bytes are still charged when all is given back", f.charged())
	}
	return waiting, made
}

// chunk is how many places are made together: whole pages, so that as much is allocated as is asked for.
const chunk = 4096

// makeAll makes the records of all batches.
func makeAll(t testing.TB, batches []*pipeline.Batch) (places [][]pipeline.Record, records int) {
	t.Helper()
	var into []pipeline.Record // the places that are free
	for _, b := range batches {
		for b.Fill != nil {
			if len(into) == 0 {
				into = make([]pipeline.Record, chunk)
				places = append(places, into)
			}
			n, err := b.Fill(into)
			if err != nil {
				t.Fatal(err)
			}
			if n == 0 {
				break
			}
			into, records = into[n:], records+n
		}
	}
	return places, records
}

// heap gives the bytes of what is reachable.
func heap() int64 {
	runtime.GC()
	runtime.GC() // what finalizers and pools have kept over the first
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// A feed opens lanes that always have room, and counts what is charged to them.
type feed struct {
	mu    sync.Mutex
	bytes int64
}

func (f *feed) charged() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.bytes
}

func (f *feed) Lane(_ context.Context, name string, committed int64) (pipeline.Lane, int64, error) {
	return &lane{feed: f, name: name, ended: make(chan struct{})}, committed, nil
}

func (f *feed) Room() <-chan struct{} { return nil }

type lane struct {
	feed  *feed
	name  string
	once  sync.Once
	ended chan struct{}
}

func (l *lane) Name() string           { return l.name }
func (l *lane) Room() int64            { return 1 << 30 }
func (l *lane) Ended() <-chan struct{} { return l.ended }

func (l *lane) Take(_ context.Context, bytes int64) (pipeline.Charge, error) {
	c := &charge{feed: l.feed}
	c.Add(bytes)
	return c, nil
}

func (l *lane) End(context.Context) (pipeline.EndReport, error) {
	l.once.Do(func() { close(l.ended) })
	return pipeline.EndReport{}, nil
}

func (l *lane) Finish(ctx context.Context) (pipeline.EndReport, error) { return l.End(ctx) }

type charge struct {
	feed     *feed
	bytes    int64
	released bool
}

// change has the charge hold what do gives of what it holds.
func (c *charge) change(do func(int64) int64) {
	c.feed.mu.Lock()
	defer c.feed.mu.Unlock()
	if !c.released {
		n := do(c.bytes)
		c.feed.bytes += n - c.bytes
		c.bytes = n
	}
}

func (c *charge) Resize(n int64) { c.change(func(int64) int64 { return n }) }
func (c *charge) Add(n int64)    { c.change(func(had int64) int64 { return had + n }) }
func (c *charge) Release()       { c.change(func(int64) int64 { c.released = true; return 0 }) }

func (c *charge) Split(n int64) pipeline.Charge {
	c.Add(-n)
	other := &charge{feed: c.feed}
	other.Add(n)
	return other
}
