package engine

import (
	"errors"
	"fmt"
	"math"
	"sync/atomic"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/engine/internal/crew"
	"github.com/penstockio/penstock/pipeline/event"
)

// stepCore is what steps of both kinds have.
type stepCore struct {
	p           *shared
	conf        Step
	index       int // its place among the steps, from 0
	in, out     *pipe
	crew        *crew.Crew
	events      *event.Emitter
	undoer      pipeline.Undoer // its stage or splitter, if that is one; nil: it is not
	meter       *meter          // also of the step of its name that it has replaced
	tap         *tapPoint
	outstanding atomic.Int32 // calls of the stage that have not returned; chunks at work in a step that computes
}

func (s *stepCore) core() *stepCore { return s }

// A verdict is what a step does with a record after an attempt.
type verdict uint8

const (
	pass   verdict = iota // it goes on
	drop                  // it is filtered
	fail                  // it is rejected, and travels on in its place
	again                 // it is tried again
	giveUp                // it is abandoned: the pipeline stops, or its lane has been given up
)

// A judgement is a verdict, and what belongs to it.
type judgement struct {
	verdict verdict
	restore bool     // with pass: the record goes on as it came to the step (OnErrorPass)
	anew    bool     // with again: at once, as the attempt does not count
	fail    *failure // with fail
	err     error    // with again: of the attempt
}

// judge decides what an error of a record's attempt means for a step, and counts it. A record that is to be rejected stays in flight
// here, as it may still be abandoned on its way to the dead letters (failure.ends). reason is why there can be no other attempt, "" when there can be one. laneEnded
// says that the calls of the lane have been cancelled: an error that is not permanent then most
// likely says so, and is not counted.
func (s *stepCore) judge(rec *pipeline.Record, err error, attempts int, reason string, laneEnded bool, t *increments) judgement {
	switch {
	case err == nil:
		return judgement{verdict: pass}
	case err == pipeline.Filtered || errors.Is(err, pipeline.Filtered):
		t.filtered++
		return judgement{verdict: drop}
	case pipeline.IsFatal(err):
		t.abandoned++
		s.meter.failed(rec.Position, err)
		s.p.stop(fmt.Errorf("%s: %s: %w", s.conf.Name, rec.Position, err))
		return judgement{verdict: giveUp}
	}
	why, permanent := pipeline.IsPermanent(err)
	if laneEnded && !permanent {
		t.abandoned++
		return judgement{verdict: giveUp}
	}
	s.meter.failed(rec.Position, err)
	var p *pipeline.PanicError
	if errors.As(err, &p) {
		s.p.panicked(s.conf.Name, rec, p)
	}
	switch {
	case permanent:
		reason = why
	case reason == "":
		t.retries++
		return judgement{verdict: again}
	}
	if s.conf.OnError == OnErrorPass {
		return judgement{verdict: pass, restore: true}
	}
	f := s.p.failure(s.conf.Name, s.conf.OnError, rec, reason, err, attempts, func() error { return s.p.rejects().spend(atStep(s.index)) })
	f.meter = s.meter
	return judgement{verdict: fail, fail: f}
}

// A partCollector collects the parts that a splitter makes of a record.
type partCollector struct {
	items  []item            // the parts of the record at work
	block  []pipeline.Record // room for parts, of several records; full: another one is made
	tracks []track           // of the records in block
}

// emit copies a part: the splitter may use its record again for the next one.
func (c *partCollector) emit(part *pipeline.Record) {
	const many = 64
	if len(c.block) == cap(c.block) {
		c.block, c.tracks = make([]pipeline.Record, 0, many), make([]track, 0, many)
	}
	c.block, c.tracks = append(c.block, pipeline.Record{}), append(c.tracks, track{})
	i := len(c.block) - 1
	records.CopyTo(part, &c.block[i])
	c.items = append(c.items, item{&c.block[i], &c.tracks[i]})
}

// join makes the collected records parts of it: they get its position, its key's hash and its
// original bytes, and its splitGroup. weight is what they take in memory. It gives false when
// there are none.
func (c *partCollector) join(it item) (weight int64, ok bool) {
	for _, part := range c.items {
		part.rec.Position = it.rec.Position
		records.CameFrom(part.rec, it.rec)
		*part.track = track{piece: it.piece, index: it.index, split: it.split, key: it.key, undo: it.undo}
		weight += placeSize + part.measure()
		added, growth, owed := records.Grown(part.rec)
		part.grown = int32(added)
		part.weight = int32(min(int64(part.rec.Size())+growth, math.MaxInt32))
		weight += growth + owed // its value has been counted by measure
	}
	return weight, it.piece.lane.adopt(it, c.items)
}

// number gives parts their numbers, counted for each record of the source in the order in which
// its parts leave a step that splits. Parts that have failed keep the number that they had.
func (s *stepCore) number(recs []item) {
	for _, it := range recs {
		g := it.split
		if g == nil || it.fail != nil {
			continue
		}
		g.parts[s.index]++
		it.rec.Part = g.parts[s.index]
	}
}

func (s *stepCore) snap(now time.Time, workers int) StepSnapshot {
	out := StepSnapshot{
		Name: s.conf.Name, Kind: s.conf.Kind, Index: s.index, Workers: workers,
		QueueLen: len(s.in.ch), QueueCap: cap(s.in.ch),
	}
	component := any(s.conf.Stage)
	if s.conf.Stage == nil {
		component = s.conf.Splitter
	}
	_, out.reports = component.(pipeline.Reporter)
	out.Report = s.p.reportOf(component)
	s.meter.mu.Lock()
	out.Counts = s.meter.counts
	out.Busy, out.Idle, out.Blocked = s.meter.times(now)
	out.Latency, out.fullest = s.meter.lat.latest(1000), s.meter.lastFill
	out.ErrorsByType = s.meter.errorCounts()
	durations, exemplars := s.meter.lat.sample(), s.meter.exemplars.list()
	s.meter.mu.Unlock()
	out.Durations = durations.histogram()
	out.Durations.Exemplars = exemplars
	return out
}
