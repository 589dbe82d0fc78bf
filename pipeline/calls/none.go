package calls

import (
	"context"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// None gives the call of a record for which nobody is asked: it waits for nothing. use, if it is not nil,
// edits the record; its error is that of the attempt.
func None(use func(*pipeline.Record) error) pipeline.Call { return none{use: use} }

type none struct {
	unheld
	use func(*pipeline.Record) error
}

func (n none) Do(_ context.Context, rec *pipeline.Record) error {
	if n.use == nil {
		return nil
	}
	return n.use(rec)
}

// unheld is what a call has that nothing holds back.
type unheld struct{}

func (unheld) Gate() any                                  { return nil }
func (unheld) Enter(func()) (wait time.Duration, ok bool) { return 0, true }
func (unheld) Waits() string                              { return "" }
func (unheld) Leave(pipeline.CallResult) (counts bool)    { return true }
