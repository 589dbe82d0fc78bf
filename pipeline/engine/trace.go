package engine

import (
	"context"
	"strings"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// This file is how records are traced: what the engine asks of a [Tracer], and when.
//
// What it guarantees. Whether a record is traced is decided when it is made. One that is has its Trace until
// its outcome; its parts, its copies for other sinks and its dead letter have the same one. Nothing of a
// trace is asked for after End.
//
// How. Few records are traced, so their traces stand beside their piece (marks.go), as what was replayed does:
// a field in each track would make it a cache line longer. A chunk knows whether it may hold one.
// Without a Tracer nothing of this is looked at but one pointer for each piece, call, or Write.
//
// Not chosen. Spans in the context of a chunk: a chunk has records of many traces. The library of OpenTelemetry in here: what
// the engine needs of it are these few calls, and it is tested without.

// A Tracer makes the traces of records. It is one pipeline's. Begin and Skip are called by one goroutine, all
// else by any.
type Tracer interface {
	// Skip says how many records pass before the next one that is chosen to be traced. It is asked at
	// first, and after each choice.
	Skip() int
	// Begin is asked of each record that is chosen, and of each that came with a trace of its own (the header
	// traceparent). It must not keep rec. nil: the record is not traced.
	Begin(rec *pipeline.Record, made time.Time, chosen bool) Trace
	// Send says that a Write begins with some records that are traced. of has the trace of each record, and nil where there is
	// none; it is the Tracer's. The context is for the Write: that of ctx, for what belongs to the trace (package tracing).
	Send(ctx context.Context, sink, kind string, of []Trace, began time.Time) (context.Context, Span)
}

// A Trace is that of one record. It is safe for concurrent use, and its methods return at once.
type Trace interface {
	// ID gives the number of the trace, in hexadecimal digits.
	ID() string
	// Step says that the record has come to its first attempt in a step that waits, or to its gate.
	Step(name, kind string, part int32, began time.Time) StepTrace
	// Computed says that a step that computes has worked on the record.
	Computed(c Computed)
	// Rejected says that a step or a sink has rejected the record. errorType is that of events.
	Rejected(by, reason, errorType string, attempts int)
	// End says what the record has ended in: delivered, filtered, rejected, abandoned, or returned, which is read again.
	End(outcome string, at time.Time)
}

// Computed is what a step that computes has done to a record. The times are those of the whole chunk of records
// that it worked on: the clock is not read for each.
type Computed struct {
	Step, Kind string
	Part       int32 // of a split; 0: it is none
	Records    int   // of the chunk
	Began, At  time.Time
	Ended      Result
}

// A Result is what has come of a record in a step, of an attempt, or of a Write. The zero value: it goes on.
type Result struct {
	Outcome   string // "": it goes on; else filtered, rejected, abandoned
	ErrorType string // as in events; "": there was no error
	// Answered says of an attempt that made no call where its answer is from: cache, or equal_call. "": it made one. Of is then what
	// that call was told of its trace (package tracing); nil: that is not known.
	Answered string
	Of       any
}

// A StepTrace is what a step that waits does with a record.
type StepTrace interface {
	// Attempt says that an attempt begins, and gives the context for it: that of ctx, for calls that belong to it (package tracing).
	Attempt(ctx context.Context, number int, began time.Time) (context.Context, Span)
	// Held says what has held back the record, and how long, until now.
	Held(by Cause, took time.Duration, at time.Time)
	// Retry says that there will be another attempt, after a wait.
	Retry(number int, errorType string, wait time.Duration, at time.Time)
	// End says that the step is done with the record.
	End(r Result, at time.Time)
}

// A Span is something that takes a while. End is called once.
type Span interface {
	End(r Result, at time.Time)
}

// trace gives the trace of a record; nil: it is not traced.
func (it item) trace() Trace {
	t := it.track
	if t.origin != nil {
		t = t.origin.track
	}
	if t.piece.traces == nil {
		return nil
	}
	return t.piece.traces[t.index]
}

// traceOf is trace, and asks nothing of the record where nothing is traced.
func (p *shared) traceOf(it item) Trace {
	if !p.traces {
		return nil
	}
	return it.trace()
}

// mayTrace says whether some record of the same piece is traced.
func (p *shared) mayTrace(it item) bool { return p.traces && it.piece.traces != nil }

// traceparent is the header by which a record is known to be in a trace.
const traceparent = "traceparent"

func cameTraced(rec *pipeline.Record) bool {
	for _, h := range rec.Headers() {
		if len(h.Name) == len(traceparent) && strings.EqualFold(h.Name, traceparent) {
			return true
		}
	}
	return false
}

// trace begins the traces of the records of a piece that have just been made, in places of a block from at on.
// index is the place of the first of them in the piece. headers says that some of them have headers.
func (f *filler) trace(pc *piece, b *block, at, n, index int, headers bool) {
	t := f.p.opts.Tracer
	if !headers && f.untraced >= n {
		f.untraced -= n
		return
	}
	for i := range n {
		rec := &b.recs[at+i]
		chosen := f.untraced == 0
		if !chosen && (!headers || !cameTraced(rec)) {
			f.untraced--
			continue
		}
		if tr := t.Begin(rec, pc.read, chosen); tr != nil {
			if pc.traces == nil {
				pc.traces = map[uint8]Trace{}
			}
			pc.traces[uint8(index+i)] = tr
			f.c.traced = true
		}
		if f.untraced--; chosen {
			f.untraced = t.Skip()
		}
	}
}

// An endedTrace is a trace that is to be told its end, and when its record was made.
type endedTrace struct {
	Trace
	outcome string
	made    time.Time
}

var outcomeNames = [...]string{delivered: "delivered", filtered: "filtered", rejected: "rejected", abandoned: "abandoned", returned: "returned"}

// endTraces notes which records of a piece are traced and have ended. The lane is locked.
func (l *lane) endTraces(pc *piece, recs []item, o outcome, c *settlement) {
	if l.frozen { // it counts for nothing
		o = abandoned
	}
	for _, r := range recs {
		if t := pc.traces[r.index]; t != nil {
			c.traces = append(c.traces, endedTrace{t, outcomeNames[o], pc.read})
		}
	}
}

// tellTraces ends the traces of a settlement.
func (p *shared) tellTraces(c *settlement) {
	for _, t := range c.traces {
		t.End(t.outcome, c.now)
		p.meter.exemplar(c.now.Sub(t.made), t.ID(), c.now)
	}
}

// traceChunk tells the traces of the records of the chunk that the worker is done with. It comes before they are sent on, or
// have their outcome.
func (w *cpuWorker) traceChunk(now time.Time) {
	s := w.s
	each := now.Sub(w.since) / time.Duration(max(w.i, 1))
	for _, it := range w.c.recs[:min(w.i, len(w.c.recs))] {
		t := it.trace()
		if t == nil || it.fail != nil && it.fail.step != s.conf.Name || holds(w.lost, it) {
			continue
		}
		c := Computed{Step: s.conf.Name, Kind: s.conf.Kind, Part: it.rec.Part, Records: w.i, Began: w.since, At: now}
		switch {
		case it.fail != nil:
			c.Ended = Result{Outcome: "rejected", ErrorType: errorType(it.fail.err)}
		case holds(w.dropped, it):
			c.Ended.Outcome = "filtered"
		}
		t.Computed(c)
		s.meter.exemplar(each, t.ID(), now)
	}
}

func holds(recs []item, it item) bool {
	for _, r := range recs {
		if r.rec == it.rec {
			return true
		}
	}
	return false
}

// traceStep begins what the step does with the record of a call, if that is traced.
func (s *waitStep) traceStep(c *call, now time.Time) {
	if c.trace != nil {
		return
	}
	if t := c.rec.trace(); t != nil {
		c.trace = t.Step(s.conf.Name, s.conf.Kind, c.rec.rec.Part, now)
	}
}

// traceAttempt begins an attempt of a record that is traced, and gives its context.
func (sl *slot) traceAttempt(ctx context.Context) context.Context {
	if sl.c.trace != nil {
		ctx, sl.span = sl.c.trace.Attempt(ctx, sl.c.attempts, sl.c.started)
	}
	return ctx
}

// endAttempt ends the attempt at work in the trace, if there is one. call is that of an Admitter, which may say whose answer it took.
func (sl *slot) endAttempt(call pipeline.Call, err error, now time.Time) {
	if sl.span == nil {
		return
	}
	var r Result
	if a, ok := call.(interface{ Answered() (how string, of any) }); ok {
		r.Answered, r.Of = a.Answered()
	}
	_, further := pipeline.NextCall(err)
	switch {
	case further:
	case err == pipeline.Filtered:
		r.Outcome = "filtered"
	case err != nil:
		r.ErrorType = errorType(err)
	}
	sl.span.End(r, now)
	sl.span = nil
}

// endStep tells the trace of a call how the attempt at work has ended, or the whole step.
func (sl *slot) endStep(j *judgement, err error, wait time.Duration, now time.Time) {
	c := sl.c
	if c.trace == nil {
		return
	}
	var r Result
	if err != nil && err != pipeline.Filtered {
		r.ErrorType = errorType(err)
	}
	switch j.verdict {
	case again:
		c.trace.Retry(c.attempts, r.ErrorType, wait, now)
		return
	case drop:
		r.Outcome = "filtered"
	case fail:
		r.Outcome = "rejected"
	case giveUp:
		r.Outcome = "abandoned"
	}
	c.trace.End(r, now)
	c.trace = nil
}

// trace begins the span of a Write in which some record is traced, and gives the context for it.
func (w *writer) trace(now time.Time) context.Context {
	var of []Trace
	for i, it := range w.batch[:w.next] {
		if t := it.trace(); t != nil {
			if of == nil {
				of = make([]Trace, w.next)
			}
			of[i] = t
		}
	}
	if of == nil {
		return w.clock
	}
	var ctx context.Context
	conf := &w.q.s.conf
	ctx, w.span = w.q.s.p.opts.Tracer.Send(w.clock, conf.Name, conf.Kind, of, now)
	return ctx
}

// endSpan ends the span of a Write, if it has one.
func (w *writer) endSpan(err error) {
	if w.span == nil {
		return
	}
	var r Result
	if err != nil {
		r.ErrorType = errorType(err)
	}
	w.span.End(r, w.ended)
	w.span = nil
}
