package admin

import (
	"context"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/settings"
)

// A Command is something that a running process is asked to do. Which of its fields count is said
// beside the verb.
//
// Reason for its size: it is what all commands have between them, as they come from a request.
type Command struct {
	Verb     Verb
	Pipeline string // whose; "": of all that there are, where the verb takes that
	Lane     string // "topic/partition", of VerbPause and VerbResume: that one alone
	Step     string // of VerbWorkers
	Workers  int
	Rate     string // name of a rate of limits.rates, of VerbRate
	Per      settings.Rate
	Burst    int                // 0: as it is
	Key      []byte             // of VerbSkip and VerbUnskip
	Record   *pipeline.Position // of them too, in place of Key: that record alone
	Level    string             // of VerbLogLevel: debug, info, warn, error
	For      time.Duration      // of VerbLogLevel: then it is again what it was; 0: until the process ends

	By   string // who asks, as he says
	From string // where the request came from: an address, or the user at the other end of a socket
}

// A Verb is what a Command does.
type Verb string

// The verbs.
const (
	VerbPause    Verb = "pause"  // engine.Controller.Pause, or PauseLane
	VerbResume   Verb = "resume" // engine.Controller.Resume, or ResumeLane
	VerbDrain    Verb = "drain"  // ends the pipeline as a signal ends the process
	VerbReload   Verb = "reload" // reads all files of the process again
	VerbLogLevel Verb = "loglevel"
	VerbWorkers  Verb = "workers" // engine.Controller.SetWorkers
	VerbRate     Verb = "rate"
	VerbSkip     Verb = "skip" // engine.Controller.Skip
	VerbUnskip   Verb = "unskip"
)

// A Commander does what is asked. It returns when that is done, or with an error that says why it
// is not: nothing is half done. It writes an event of each.
type Commander interface {
	Do(ctx context.Context, c Command) (Done, error)
}

// A RefusedError is what a Commander says of a command that it has not done. Any other error is one of a command that
// was tried and has failed.
type RefusedError struct {
	Status int // of HTTP: 404 there is nothing of the name, 409 not now, 422 what is steered does not take it, 501 never in this process
	Err    error
}

func (e *RefusedError) Error() string { return e.Err.Error() }

func (e *RefusedError) Unwrap() error { return e.Err }

// Done says what a command has changed.
type Done struct {
	Was string `json:"was,omitempty"` // what was before: a number of workers, a rate, a level, a hash
	Is  string `json:"is,omitempty"`
}
