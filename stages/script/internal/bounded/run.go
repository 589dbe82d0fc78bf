package bounded

import (
	"context"
	"errors"

	"go.starlark.net/starlark"
)

// MaxDepth is how deep values may be nested where somebody goes through them.
const MaxDepth = 1000

// maxBits is the size of the largest integer: some 19,700 digits. Work on larger ones is no longer a step.
const maxBits = 1 << 16

// Limits are the bounds of one run.
type Limits struct {
	Steps  int64 // of the interpreter, and what calls of this package add for their work
	Memory int64 // bytes that are allocated in all
}

// Errors that end a run.
var (
	ErrSteps  = errors.New("it takes more steps than it may")
	ErrMemory = errors.New("it takes more memory than it may")
)

// A Run is one call of a function under way. It is for one goroutine.
type Run struct {
	thread starlark.Thread
	ctx    context.Context
	limits Limits
	used   int64
	told   int64
	tell   func(bytes int64)
	// Changed says whether a list, a dict or a set was changed.
	changed bool
	stopped error  // why the interpreter was told to stop
	looked  uint64 // the step at which it was last looked whether the run goes on
	spreads map[starlark.Value]*spread
	making  []*starlark.Dict // of comprehensions under way, the innermost last
}

const runKey = "run"

// often is after how many steps a run looks whether it goes on.
const often = 10_000

// NewRun makes a run, which Begin prepares for a call. tell is told of memory in use, in steps of tellEach; nil: nobody is.
func NewRun(limits Limits, tell func(bytes int64)) *Run {
	r := &Run{limits: limits, tell: tell}
	r.thread.SetLocal(runKey, r)
	r.thread.OnMaxSteps = r.look
	return r
}

// Begin prepares for a further call: nothing is used. ctx ends it.
func (r *Run) Begin(ctx context.Context) {
	r.ctx, r.used, r.changed, r.stopped = ctx, 0, false, nil
	r.thread.Steps = 0
	r.thread.Uncancel()
	r.spreads, r.making = nil, nil
	r.arm()
}

// End gives back what tell was told.
func (r *Run) End() {
	r.ctx, r.spreads, r.making = nil, nil, nil
	if r.told != 0 {
		r.tell(-r.told)
		r.told = 0
	}
}

// Call calls a function of a program. An error is what the code did, of type *Error, or that of the context.
func (r *Run) Call(fn starlark.Callable, args ...starlark.Value) (starlark.Value, error) {
	v, err := starlark.Call(&r.thread, fn, args, nil)
	if err == nil {
		return v, nil
	}
	return nil, r.wrap(err)
}

// Changed says whether the code has changed a list, a dict or a set since Begin.
func (r *Run) Changed() bool { return r.changed }

// arm sets the step at which look is called next.
func (r *Run) arm() {
	r.looked = r.thread.Steps
	r.thread.SetMaxExecutionSteps(min(r.thread.Steps+often, uint64(r.limits.Steps)+1))
}

// look is called by the interpreter every so many steps.
func (r *Run) look(thread *starlark.Thread) {
	switch {
	case r.ctx.Err() != nil:
		r.stop(r.ctx.Err())
	case thread.Steps > uint64(r.limits.Steps):
		r.stop(ErrSteps)
	default:
		r.arm()
	}
}

func (r *Run) stop(why error) {
	r.stopped = why
	r.thread.Cancel(why.Error())
}

// runOf gives the run that a builtin is called in.
func runOf(thread *starlark.Thread) *Run { return thread.Local(runKey).(*Run) }

// tellEach is after how many bytes the budget of the process hears of them: most runs never take as much.
const tellEach = 256 << 10

// Take counts n bytes that are about to be allocated.
func (r *Run) Take(n int64) error {
	if n > r.limits.Memory-r.used {
		r.stopped = ErrMemory
		return ErrMemory
	}
	r.used += n
	if r.tell != nil && r.used-r.told >= tellEach {
		r.tell(r.used - r.told)
		r.told = r.used
	}
	return nil
}

// left is how many bytes may still be taken.
func (r *Run) left() int64 { return r.limits.Memory - r.used }

// Work counts n steps of work that is about to be done.
func (r *Run) Work(n int64) error {
	if n <= 0 {
		return nil
	}
	if n > r.limits.Steps-int64(r.thread.Steps) {
		r.stopped = ErrSteps
		return ErrSteps
	}
	r.thread.Steps += uint64(n)
	if r.thread.Steps-r.looked >= often { // the interpreter looks only when it has done a step
		r.looked = r.thread.Steps
		return r.ended(r.ctx.Err())
	}
	return nil
}

// ended notes that the run ends since its context has, if that is what the error says, which it gives.
func (r *Run) ended(err error) error {
	if err != nil && err == r.ctx.Err() {
		r.stopped = err
	}
	return err
}

// both counts bytes and what it takes to write them.
func (r *Run) both(bytes int64) error {
	if err := r.Take(bytes); err != nil {
		return err
	}
	return r.Work(bytes >> 6)
}
