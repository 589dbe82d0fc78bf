package pipeline

import (
	"context"
	"errors"
	"time"

	"github.com/penstockio/penstock/pipeline/internal/inside"
)

// An Admitter is a Stage of a waiting step whose calls may have to wait before they begin: for a
// rate, for a breaker, for a place at their host, or for an equal call that is under way. Waiting
// is not calling: a record that waits so keeps its place in the window of its step and holds no
// slot, and the step's deadline, which begins with the first attempt, stands still.
//
// The engine calls Admit in place of Process, which stays for those who use the stage without an
// engine.
type Admitter interface {
	Stage

	// Admit gives the call that an attempt at rec is to make, attempt counted from 1. It comes
	// again before each further attempt. It finds out whom the call is for, and neither blocks,
	// nor asks anybody, nor edits rec, nor keeps its bytes. An error is that of the attempt, as
	// if Process had given it.
	Admit(rec *Record, attempt int) (Call, error)
}

// A Call is one call that an Admitter is about to make for one record. One goroutine at a time
// has it, and in this order: Gate; Enter, and Gate again when it has said no, until it says ok; Do; Leave. Leave may come without the
// others: of a call that nobody wants any more.
type Call interface {
	// Gate is what the call waits at, a value that can be compared: calls of one gate wait behind
	// one another, in the order in which their records came to the step, and only the first of them
	// asks. nil: there is nothing to wait for, and Enter is not called. It is asked for anew when
	// Enter has said no, and may be another by then: the call goes to that one.
	Gate() any

	// Enter asks whether the call may begin. When ok, it has begun: what it takes, like a token of
	// a rate, is taken. Else wait is how long it is until asking again makes sense, 0 when that is
	// not known; and wake is called once when something has changed before that, from any
	// goroutine, with no lock held, maybe before Enter has returned. A wake too many does no harm,
	// also when the call has long left. Enter does not block.
	Enter(wake func()) (wait time.Duration, ok bool)

	// Waits says what the last Enter waits for, for people: "rate api of api.example",
	// "circuit of api.example". It quotes no more of a record than a host.
	Waits() string

	// Do makes the call and edits rec, as Process would. It may give what Next makes.
	Do(ctx context.Context, rec *Record) error

	// Leave says what came of the call, once. counts says whether it is one of the attempts that
	// the step allows: a call to a host that is down, or that has asked to wait, is not, and the
	// record is admitted anew until the host can be asked again, behind the others of its gate. It
	// has no backoff, so the gate has to hold back who comes too early; and it costs no time of the
	// deadline. RetryAfter of Do's error is for the gate too: the engine does not look at it.
	Leave(r CallResult) (counts bool)
}

// A Joiner is a Call that may have to wait for what is no limit. A Call whose answer is for others too may say by a method Leads() any
// what these give as their Gate while they wait for it, nil where there can be none: who asks what holds one of them up is then told what the
// call waits for that it waits for.
type Joiner interface {
	Call

	// Joins says whether what the last Enter waits for is no limit, but an equal call that is under
	// way, whose answer is for this one too: max_wait does not count that time.
	Joins() bool
}

// A Hosted says with whom it has to do, for those who ask what holds a record up. It is a Call, a
// Sink or a Source. A Call may say for them too which limit Waits names, by a method Cause() string: rate, breaker,
// host, retry_budget or equal_call.
type Hosted interface {
	// Host is whom a Call is for, where a Sink writes to, or where a Source reads and commits, as in
	// messages: "api.example". "": it is not known. It does not block; but for that of a Call it may
	// come at any time, from any goroutine.
	Host() string
}

// A Yielder is a Call that keeps something for itself while it waits, like its turn at a rate.
type Yielder interface {
	Call

	// Yield says that another call of its gate asks first from now on: this one asks later, and
	// gives up what it keeps, if it has asked at all. It may come wherever Enter may.
	Yield()
}

// A CallResult is what came of a Call.
type CallResult struct {
	Begun bool          // Do was called. Else the call was given up, whether it had been let in or not
	Err   error         // of Do. One that Next has made says that all is well
	Took  time.Duration // of Do
	// Released is how many records the step has released so far. A limit that adapts grows only
	// while that does: more calls at once gain nothing while one slow answer holds up all others.
	Released int64
	// Failed is when an attempt at the record failed first, before this one; zero: none has. Others may
	// have been answered since: then it is the record that fails.
	Failed time.Time
	// FailedFrom is when that attempt began.
	FailedFrom time.Time
	// Uncounted is how many attempts at the record Leave has said of that they do not count.
	Uncounted int
}

// Next is what Do gives when the record needs a further call before it is done: the page, behind
// the robots.txt that allows it; the address that a redirect leads to, at another host. The engine
// asks for the entrance of that call, and goes on with it as part of the same attempt.
func Next(call Call) error { return &nextError{call} }

type nextError struct{ call Call }

func (*nextError) Error() string { return "the record needs a further call" }

// NextCall gives the call that Next was given.
func NextCall(err error) (call Call, ok bool) {
	if err == nil { // as nearly always
		return nil, false
	}
	if n, ok := errors.AsType[*nextError](err); ok {
		return n.call, true
	}
	return nil, false
}

// StopClock has the time of an attempt stand still until resume is called: of the Write of a Sink
// that waits for a rate, say, and makes no call meanwhile. ctx is what the attempt was given, or
// made of it; one that has no such clock goes on as it is. resume may be called more than once.
//
// by is the Call that is not let in, if it is one: who asks what holds a record up is told what it waits for. It is asked for that here and now,
// by its Waits, by Cause and Host (Hosted), and by a method Until() time.Time, if it has that: when it is asked again. When it waits for
// something else, stop the clock again before it goes on.
func StopClock(ctx context.Context, by ...Call) (resume func()) {
	if c, ok := ctx.Value(inside.Clock{}).(interface{ StopClock(...Call) (resume func()) }); ok {
		return c.StopClock(by...)
	}
	return func() {}
}
