// SPDX-License-Identifier: Apache-2.0

// Package event is the log contract: every event that a dashboard may rely on, its
// fields, and the one way to emit it.
//
// Events are flat JSON objects, one a line. They are written at any level of free lines,
// and do not depend on zerolog's process-wide variables.
//
// The [Registry] is the one source: the JSON Schema ([Schema]), the reference page
// ([Reference]) and the check of a line ([Validate]) are made from it.
package event

import (
	"fmt"
	"io"
	"os"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
)

// SchemaVersion is stamped on every line.
const SchemaVersion = "1.1"

// Free is the event_name of a line for people, which is no event of the contract.
const Free = "log"

// Other stands for everything beyond the bound of a set of values.
const Other = "_other"

// A Level is how serious an event is.
type Level string

// The levels of events.
const (
	Info  Level = "info"
	Warn  Level = "warn"
	Error Level = "error"
)

// A Definition is one row of the Registry.
type Definition struct {
	Name    string
	Level   Level
	When    string
	Says    string // the message when none is given; "": made from the figures
	Limited bool   // passes the keyed limiter
	Since   string // the schema that brought the event; "": 1.0
	Struct  any
}

// Options are the settings of an Emitter.
type Options struct {
	Service  string // service_name; "": penstock
	Instance string // service_instance_id; "": the host's name and the process id
	// Log is the lowest level of free lines. Events pass whatever it says.
	Log zerolog.Level
	// EventsOff leaves the events out and keeps the free lines.
	EventsOff bool
	// Skip says by its name that an event is left out; nil: none is.
	Skip func(name string) bool
	// Rename gives what events and free lines call a pipeline; nil: what it is called.
	Rename func(pipeline string) string
	// Console writes lines for people instead of JSON. Color adds colour to them.
	Console, Color bool
	// Priorities puts the level of a line before it as systemd's journal takes it, "<3>" for an error; see [InJournal]. Recent gets none.
	Priorities bool
	// Recent gets each line too, as JSON also with Console; nil: nothing does.
	Recent *Recent
	// Now gives the time of a line. nil: time.Now.
	Now func() time.Time
}

// An Emitter writes events. It is safe for concurrent use; a nil Emitter discards.
type Emitter struct {
	out      *output
	pipeline string
	step     string
	log      zerolog.Logger
}

// output is what an emitter shares with those derived from it.
type output struct {
	opts    Options
	service string // `,"service_name":…,"service_instance_id":…`
	limit   *limiter
	level   atomic.Int32 // of free lines, a zerolog.Level

	mu     sync.Mutex // guards w and buf: one whole line a Write
	w      io.Writer
	queue  *Queue // is w; nil: w is something else
	buf    []byte
	kept   []byte // a line for Recent, with Console
	ranked []byte // a line behind its priority
}

// New makes an emitter that writes one whole line a call to w. Errors of w are
// ignored: there is nowhere left to report them. Close reports what the limiter has held
// back by then.
//
// The call of w is part of Emit and of a line of Log: a w that blocks holds up what
// logs, and so the pipeline. A [Queue] as w never does.
func New(w io.Writer, o Options) *Emitter {
	if o.Service == "" {
		o.Service = "penstock"
	}
	if o.Instance == "" {
		host, err := os.Hostname()
		if err != nil {
			host = "unknown"
		}
		o.Instance = fmt.Sprintf("%s-%d", host, os.Getpid())
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	out := &output{opts: o, w: w}
	out.level.Store(int32(o.Log))
	out.queue, _ = w.(*Queue)
	b := appendString(append([]byte(nil), `,"service_name":`...), o.Service, maxString)
	out.service = string(appendString(append(b, `,"service_instance_id":`...), o.Instance, maxString))
	out.limit = newLimiter(out.emitSuppressed)
	if q := out.queue; q != nil {
		q.mu.Lock()
		q.output = out
		q.mu.Unlock()
	}
	return out.emitter("", "")
}

func (o *output) emitter(pipeline, step string) *Emitter {
	e := &Emitter{out: o, pipeline: pipeline, step: step}
	e.log = zerolog.New(&freeLines{e}).Level(zerolog.TraceLevel).Sample(o)
	return e
}

// Pipeline gives an emitter that stamps the pipeline, under the name that the options give it.
func (e *Emitter) Pipeline(name string) *Emitter {
	if e == nil {
		return nil
	}
	if rename := e.out.opts.Rename; rename != nil {
		name = rename(name)
	}
	return e.out.emitter(name, e.step)
}

// Step gives an emitter that fills in the step or sink of events that leave it
// empty, and stamps it as step on free lines.
func (e *Emitter) Step(name string) *Emitter {
	if e == nil {
		return nil
	}
	return e.out.emitter(e.pipeline, name)
}

// Emit writes an event: a struct of the Registry, or a pointer to one. Anything
// else panics. message is for people and not part of the contract; "" writes the
// event's own words. Events of a kind that the contract calls limited (those with an
// error of a record) pass the keyed limiter.
func (e *Emitter) Emit(ev any, message string) {
	if e == nil {
		return
	}
	p, v := planOf(ev)
	if o := &e.out.opts; o.EventsOff || o.Skip != nil && o.Skip(p.def.Name) {
		return
	}
	if p.def.Limited {
		key := limitKey{event: p.def.Name, pipeline: e.pipeline, step: p.text(v, p.step), errorType: p.text(v, p.errorType)}
		if key.step == "" {
			key.step = e.step
		}
		if !e.out.limit.pass(key, e.out.opts.Now()) {
			return
		}
	}
	e.write(p, v, message)
}

// write writes one event, past the limiter.
func (e *Emitter) write(p *plan, v reflect.Value, message string) {
	o := e.out
	if message == "" {
		message = p.message(v, e.step)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	now := o.opts.Now()
	asJSON := func(b []byte) []byte {
		b = o.envelope(b, now, string(p.def.Level), p.def.Name, e.pipeline, message)
		return append(p.append(b, v, e.step), '}', '\n')
	}
	if o.opts.Console {
		o.buf = appendConsole(o.buf[:0], now, string(p.def.Level), e.pipeline, message, p.details(v, e.step), o.opts.Color)
	} else {
		o.buf = asJSON(o.buf[:0])
	}
	kind := lineKind{p.def.Name, string(p.def.Level), p.rank}
	o.keep(kind, e.pipeline, asJSON)
	_ = o.send(kind)
}

// keep gives the line in buf, or what asJSON makes of it when that is for people, to those who watch. The caller holds mu.
func (o *output) keep(kind lineKind, pipeline string, asJSON func([]byte) []byte) {
	r := o.opts.Recent
	if r == nil {
		return
	}
	line := o.buf
	if o.opts.Console {
		o.kept = asJSON(o.kept[:0])
		line = o.kept
	}
	r.add(kind.event, kind.level, pipeline, line)
}

// Recent gives the last lines, where the options keep them; nil: they do not.
func (e *Emitter) Recent() *Recent {
	if e == nil {
		return nil
	}
	return e.out.opts.Recent
}

// Instance gives service_instance_id, as it stands in every line.
func (e *Emitter) Instance() string {
	if e == nil {
		return ""
	}
	return e.out.opts.Instance
}

// send writes the line in buf. The caller holds mu, which keeps the order of lines.
func (o *output) send(kind lineKind) error {
	line := o.buf
	if o.opts.Priorities {
		o.ranked = append(appendPriority(o.ranked[:0], kind.level), line...)
		line = o.ranked
	}
	if o.queue != nil {
		o.queue.add(line, kind)
		return nil
	}
	_, err := o.w.Write(line)
	return err
}

// envelope starts a line with the keys that every line has.
func (o *output) envelope(b []byte, now time.Time, level, name, pipeline, message string) []byte {
	b = append(b, `{"timestamp":"`...)
	b = now.UTC().AppendFormat(b, timestampLayout)
	b = append(b, `","level":"`...)
	b = append(b, level...)
	b = append(b, `","event_name":"`...)
	b = append(b, name...)
	b = append(b, `","schema_version":"`+SchemaVersion+`"`...)
	b = append(b, o.service...)
	if pipeline != "" {
		b = appendString(append(b, `,"pipeline":`...), pipeline, maxString)
	}
	return appendString(append(b, `,"message":`...), message, maxString)
}

// emitSuppressed writes what the limiter held back.
func (o *output) emitSuppressed(k limitKey, count int64) {
	p, v := planOf(LogSuppressed{SuppressedEvent: k.event, SuppressedLevel: string(planNames[k.event].def.Level), Reason: reasonRepeated,
		Step: k.step, ErrorType: k.errorType, Count: count})
	o.emitter(k.pipeline, "").write(p, v, "")
}

// droppedLine gives the line of log.suppressed that says what the queue dropped: a free line
// when events are off.
func (o *output) droppedLine(k lostKey, count int64) []byte {
	p, v := planOf(LogSuppressed{SuppressedEvent: k.event, SuppressedLevel: k.level, Reason: k.reason, Count: count})
	message, now, level := p.message(v, ""), o.opts.Now(), string(p.def.Level)
	var b []byte
	if o.opts.Priorities {
		b = appendPriority(b, level)
	}
	switch {
	case o.opts.Console:
		return appendConsole(b, now, level, "", message, p.details(v, ""), o.opts.Color)
	case o.opts.EventsOff:
		return append(o.envelope(b, now, level, Free, "", message), '}', '\n')
	}
	return append(p.append(o.envelope(b, now, level, p.def.Name, "", message), v, ""), '}', '\n')
}

// Log gives the logger for free lines (event_name: log), for people. Its lines
// carry the same envelope. Its level is that of the options, or of SetLevel since.
func (e *Emitter) Log() *zerolog.Logger {
	if e == nil {
		l := zerolog.Nop()
		return &l
	}
	return &e.log
}

// Flush writes what the limiter has held back so far, as log.suppressed.
func (e *Emitter) Flush() {
	if e != nil {
		e.out.limit.flush()
	}
}

// Close is Flush, and from then on nothing is held back and no timer is armed. It
// does not close the writer, nor a Queue.
func (e *Emitter) Close() {
	if e != nil {
		e.out.limit.close()
	}
}
