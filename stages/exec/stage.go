// SPDX-License-Identifier: Apache-2.0

// Package execstage is the stage that has long-running child processes work on records: each takes a line and
// gives a line. The page docs/reference/exec-protocol.md says what stands in them.
//
// A process hurts the record that it has, and nothing else. One that ends, hangs, or writes what is no answer is
// ended with all that it has started, and another is started in its place; what it had is tried again, as often
// as the step allows. Where a process has several records at a time it is not known which of them it was:
// they are asked again within the same attempt, fewer at a time, until one is alone with a process that fails.
//
// No process is left when the stage is closed, but one that has put itself into a group of its own. When the
// pipeline is killed Linux kills the processes with it, but not what these have started: see that page.
package execstage

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/calls"
	"github.com/penstockio/penstock/pipeline/event"
	"github.com/penstockio/penstock/pipeline/jsontext"
)

// A Place is where a stage stands.
type Place struct {
	Pipeline, Step string
	Dir            string // of the pipeline file; "": the working directory
	Calls          calls.Env
}

// A Stage hands records to child processes, and puts what they answer into a field, or in place of the value.
// It belongs into a waiting step.
//
// A tombstone passes without being asked about. A value that is no object is rejected before where the answer
// goes into a field, and one that is no JSON where lines are values.
type Stage struct {
	set    Settings
	place  Place
	into   jsontext.Path // nil: in place of the value
	pool   pool
	calls  *calls.Calls[verdict]
	events atomic.Pointer[event.Emitter]
	ids    atomic.Uint64
}

// New makes the stage. It starts nothing before Ping, or the first record.
func New(s Settings, at Place) (*Stage, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	st := &Stage{set: s, place: at}
	if s.Into != "" {
		var err error
		if st.into, err = s.Into.Place(); err != nil {
			return nil, err
		}
	}
	st.pool.set, st.pool.start, st.pool.events = &st.set, st.startProcess, st.events.Load
	env := at.Calls
	if most := s.Slots(); env.Settings.MaxPerHost == 0 || env.Settings.MaxPerHost > most {
		env.Settings.MaxPerHost = most
	}
	var err error
	st.calls, err = calls.New[verdict](env)
	return st, err
}

// startProcess starts a process, or what stands in for it.
func (s *Stage) startProcess() (process, error) {
	if s.set.Recorded != nil {
		return s.set.Recorded.start(s.place.Step, s.set.As), nil
	}
	path, err := s.set.program(s.place.Dir)
	if err != nil {
		return nil, err
	}
	c := command{
		path: path, args: s.set.Command, dir: s.set.folder(s.place.Dir), memory: s.set.Memory,
		env: environment(os.Environ(), s.set.Env, s.place.Pipeline, s.place.Step),
	}
	return c.start()
}

// Attach implements pipeline.Attacher.
func (s *Stage) Attach(e *event.Emitter) {
	s.events.Store(e)
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
	if err := s.takes(rec); err != nil {
		return nil, err
	}
	c := &call{stage: s, most: s.set.InFlight}
	if attempt > 1 {
		c.most = 1
	}
	c.limits = s.calls.Admit(calls.Question[verdict]{
		Host: s.place.Pipeline + "/" + s.place.Step,
		Ask: func(ctx context.Context, rec *pipeline.Record, _ *verdict) (calls.Reply[verdict], error) {
			v, err := s.ask(ctx, c, rec)
			return calls.Reply[verdict]{Answer: v}, err
		},
		Use: s.use,
	}, attempt)
	return c, nil
}

// takes says whether an answer can be put into the record, which stays as it is.
func (s *Stage) takes(rec *pipeline.Record) error {
	switch {
	case len(s.into) == 1 && s.into[0].Kind == jsontext.Named:
		return rec.CheckObject()
	case s.into != nil:
		return rec.Clone().SetRawAt(s.into, nil)
	case s.set.As == asValue:
		return rec.CheckJSON()
	}
	return nil
}

// ask has the child of a call answer.
func (s *Stage) ask(ctx context.Context, c *call, rec *pipeline.Record) (verdict, error) {
	if c.child == nil {
		return verdict{}, &canceledError{}
	}
	id := s.ids.Add(1)
	var line []byte
	if s.set.As == asValue {
		line = append(appendOneLine(nil, rec.Value()), '\n')
	} else {
		line = appendQuestion(nil, id, rec)
	}
	v, err := c.child.ask(ctx, id, line)
	if among, ok := err.(*amongError); ok {
		if c.most > 1 {
			return v, pipeline.Next(&call{stage: s, most: fewer(min(c.most, among.records)), entered: true})
		}
		err = among.error
	}
	switch {
	case err == errGone:
		// It had ended by itself before it was asked: that is no attempt.
		return v, pipeline.Next(&call{stage: s, most: c.most, entered: true})
	case err != nil:
		return v, err
	case v.reject != nil:
		return v, refusal(v)
	case v.retry != nil:
		return v, newError(failed, said(*v.retry, v.more), "it asks to try again")
	case v.filter:
		return v, pipeline.Filtered
	}
	return v, nil
}

// fewer is how many records are together when so many were, and their process has failed: with a quarter the one to
// blame among 100 is alone behind three more processes, and the others have waited for about twelve answers.
func fewer(records int) int { return max(records/4, 1) }

// use puts an answer into the record.
func (s *Stage) use(rec *pipeline.Record, v verdict) error {
	switch {
	case s.into == nil && v.text != nil:
		rec.SetValue([]byte(*v.text))
	case s.into == nil:
		rec.SetValue(v.value)
	case v.text != nil:
		return rec.SetRawAt(s.into, jsontext.AppendString(nil, *v.text))
	default:
		return rec.SetRawAt(s.into, v.value)
	}
	return nil
}

// Ping implements pipeline.Pinger: it starts a process, if there is none, and sees whether it works. The process
// stays for the records.
func (s *Stage) Ping(ctx context.Context) error {
	err := s.pool.ping(ctx)
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*Error](err); ok && e.detail != "" {
		err = fmt.Errorf("%w; it has written: %s", err, lastLine(e.detail)) // no record was there yet
	}
	return &pipeline.EnvironmentError{Err: fmt.Errorf("starting %q: %w", s.set.Command[0], err)}
}

// Close implements io.Closer. It ends all processes, and returns when they have.
func (s *Stage) Close() error {
	s.pool.close()
	s.calls.Close()
	return nil
}

// A call is one record with a child: it waits for the limits of the step, and then for a place.
type call struct {
	stage   *Stage
	limits  pipeline.Call // nil: of a further call, which has passed them
	most    int           // records that its child may have, with it
	entered bool          // the limits have let it in
	child   *child
}

// gates are what records wait at for a child: those that may be among as many behind one another.
type gates struct {
	pool *pool
	most int
}

// Gate implements pipeline.Call.
func (c *call) Gate() any {
	if !c.entered {
		if gate := c.limits.Gate(); gate != nil {
			return gate
		}
		c.entered = true
	}
	return gates{&c.stage.pool, c.most}
}

// Enter implements pipeline.Call.
func (c *call) Enter(wake func()) (wait time.Duration, ok bool) {
	if !c.entered {
		if wait, ok = c.limits.Enter(wake); !ok {
			return wait, false
		}
		c.entered = true
	}
	c.child, wait, ok = c.stage.pool.take(c.most, wake)
	return wait, ok
}

// Waits implements pipeline.Call.
func (c *call) Waits() string {
	if !c.entered {
		return c.limits.Waits()
	}
	return "a child process of " + c.stage.place.Step
}

// Host implements pipeline.Hosted.
func (c *call) Host() string { return c.stage.place.Pipeline + "/" + c.stage.place.Step }

// Cause says which limit holds the call back.
func (c *call) Cause() string {
	if l, ok := c.limits.(interface{ Cause() string }); ok && !c.entered {
		return l.Cause()
	}
	return "host"
}

// Yield implements pipeline.Yielder.
func (c *call) Yield() {
	if y, ok := c.limits.(pipeline.Yielder); ok && !c.entered {
		y.Yield()
	}
}

// Do implements pipeline.Call.
func (c *call) Do(ctx context.Context, rec *pipeline.Record) error {
	if c.limits != nil {
		return c.limits.Do(ctx, rec)
	}
	v, err := c.stage.ask(ctx, c, rec)
	if err != nil {
		return err
	}
	return c.stage.use(rec, v)
}

// Leave implements pipeline.Call.
func (c *call) Leave(r pipeline.CallResult) (counts bool) {
	if c.entered {
		c.stage.pool.back(c.child, c.most)
	}
	if c.limits == nil {
		return true
	}
	return c.limits.Leave(r)
}
