package engine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/event"
)

// Bounds of what events say of an error.
const (
	maxMessage = 512
	maxSample  = 256
)

// textOf asks an error of a component for its text: its Error, or its Detail. The method may
// panic, as that of a nil pointer in an error does. It is asked under locks, which would stay
// locked, and nothing could end what they guard any more; and where none is held, the worker
// would come to the same error again and again.
func textOf(of func() string) (text string) {
	defer func() {
		if v := recover(); v != nil {
			text = "the error's own text panicked"
		}
	}()
	return of()
}

// errorType gives the type of an error, for events: the type that the error names itself, else
// a word for what happened, else the reason that it rejects with.
func errorType(err error) string {
	if t, ok := event.TypeOf(err); ok {
		return t
	}
	var p *pipeline.PanicError
	var n net.Error
	switch {
	case errors.As(err, &p):
		return "panic"
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	case errors.Is(err, context.Canceled):
		return "canceled"
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return "no_space"
	case errors.As(err, &n) && n.Timeout():
		return "timeout"
	case n != nil && !fromFile(n):
		return "network"
	}
	if reason, ok := pipeline.IsPermanent(err); ok && reason != pipeline.ReasonPermanent {
		return reason
	}
	return event.Other
}

// An errorText is what events and Why say of an error.
type errorText struct{ kind, message string }

func says(err error) errorText {
	if err == nil {
		return errorText{}
	}
	return errorText{errorType(err), clip(textOf(err.Error), maxMessage)}
}

// fromFile says whether an error that looks like one of a network comes from the
// system without one: a full disk has the same methods.
func fromFile(n net.Error) bool {
	code, ok := n.(syscall.Errno)
	return ok && !slices.Contains([]syscall.Errno{
		syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.ECONNABORTED, syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.EPIPE,
	}, code)
}

// rejection makes what reports a record that is rejected; nil: nobody listens. It looks at the record, what it gives does not.
func (p *shared) rejection(f *failure, it item) (report func()) {
	rec, trace := it.rec, ""
	if t := it.trace(); t != nil {
		trace = t.ID()
		t.Rejected(f.step, f.reason, errorType(f.err), f.attempts)
	}
	if p.events == nil {
		return nil
	}
	var key []byte
	if !p.plan().dead.RedactsKey {
		key, _, _ = rec.Original()
	}
	ev := event.RecordRejected{
		Step: f.step, Reason: f.reason, ErrorType: errorType(f.err),
		ErrorMessage: clip(textOf(f.err.Error), maxMessage), Attempt: int64(f.attempts),
		Topic: rec.Topic, Partition: int64(rec.Partition), Offset: rec.Offset,
		KeyHash: KeyHash(key), DeadLetter: p.plan().dead.Name, TraceID: trace,
	}
	text := fmt.Sprintf("%s rejects %s: %s", f.step, rec.Position, f.reason)
	return func() { p.events.Emit(ev, text) }
}

// KeyHash names a key without showing it, as key_hash of the events does: equal keys, equal hashes. "" for a key that is null.
func KeyHash(key []byte) string {
	if key == nil {
		return ""
	}
	sum := sha256.Sum256(key)
	return hex.EncodeToString(sum[:6])
}

// panicked reports a panic, or the end of a goroutine, in a component.
func (p *shared) panicked(step string, rec *pipeline.Record, err *pipeline.PanicError) {
	if p.events == nil {
		return
	}
	p.events.Emit(event.PanicRecovered{
		Step: step, ErrorMessage: clip(textOf(err.Error), maxMessage), StackHash: stackHash(err.Stack),
		Topic: rec.Topic, Partition: int64(rec.Partition), Offset: rec.Offset,
	}, "")
	p.events.Log().Debug().Str("step", step).Str("stack", string(err.Stack)).Msg("stack of a panic")
}

// stackHash is the same for panics at the same place: addresses and arguments do not
// count.
func stackHash(stack []byte) string {
	h := sha256.New()
	for line := range strings.Lines(string(stack)) {
		if at := strings.TrimSpace(line); strings.Contains(at, ".go:") {
			at, _, _ = strings.Cut(at, " +0x")
			h.Write([]byte(at))
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:6])
}

// commitFailed reports a commit that will be tried again.
func (p *shared) commitFailed(first pipeline.Mark, err error, attempt int) {
	if p.events == nil {
		return
	}
	topic, partition := first.Lane.(*lane).coordinates()
	p.events.Emit(event.CommitFailed{
		Topic: topic, Partition: partition, Offset: first.Next, Generation: p.report().Generation,
		ErrorType: errorType(err), ErrorMessage: clip(textOf(err.Error), maxMessage), Attempt: int64(attempt),
	}, "")
}

// report gives what the source reports of itself.
func (p *shared) report() pipeline.Report { return p.reportOf(p.opts.Source) }

// sourceFigures gives the source's report, with the time of each partition's first record that
// is not committed added: a source hears no more of records that it has handed over, while the
// ring of marks knows which of them is the first.
func (p *shared) sourceFigures() pipeline.Report {
	r := p.report()
	if len(r.Partitions) == 0 {
		return r
	}
	r.Partitions = slices.Clone(r.Partitions) // the source may keep its own
	type state struct {
		oldest            time.Time
		paused, commanded bool
	}
	lanes := map[string]state{} // one that ends may have the name of one that has begun
	for _, l := range p.lanes.all() {
		s := lanes[l.name]
		if t := l.oldest(); t != pipeline.NoTime {
			s.oldest = time.UnixMilli(t)
		}
		s.paused = s.paused || l.holds.Load() > 0
		s.commanded = s.commanded || p.steer.holds(l)
		lanes[l.name] = s
	}
	for i := range r.Partitions {
		part := &r.Partitions[i]
		s, ok := lanes[part.Topic] // a lane has the name of a file,
		if !ok {
			s = lanes[part.Topic+"/"+strconv.Itoa(int(part.Partition))] // or of a partition
		}
		part.Paused, part.Commanded, part.InBytes = s.paused, s.commanded, r.InBytes
		if part.Oldest.IsZero() {
			part.Oldest = s.oldest
		}
	}
	return r
}

// reportOf asks a component for its figures. A panic in it stops the pipeline and goes no
// further: it may come in a goroutine of the process, as one that answers /api/v1/stats, where
// it would end all pipelines.
func (p *shared) reportOf(component any) (report pipeline.Report) {
	r, ok := component.(pipeline.Reporter)
	if !ok {
		return pipeline.Report{}
	}
	defer func() {
		if v := recover(); v != nil {
			p.stop(fmt.Errorf("asking %T for its figures: %w", component, &pipeline.PanicError{Value: v, Stack: debug.Stack()}))
			report = pipeline.Report{}
		}
	}()
	return r.Report()
}

// failure makes the reason for which a record is rejected. spend counts it in the budget of
// rejections, which exists then.
func (p *shared) failure(step string, on OnError, rec *pipeline.Record, reason string, err error, attempts int, spend func() error) *failure {
	f := &failure{
		step: step, reason: reason, err: err, attempts: attempts, part: rec.Part, parts: 1,
		stop: on == OnErrorStop || p.plan().dead.Sink == nil, at: p.opts.DeadLetterTime(rec),
	}
	if !f.stop && p.phase.halted.Load() {
		f.stop, f.spent = true, errHalted
	}
	if !f.stop && p.rejects() != nil {
		f.spent = spend()
		f.stop = f.spent != nil
		p.rejects().tell()
	}
	return f
}
