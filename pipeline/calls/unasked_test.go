package calls

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// A call that was not made says nothing of its host: the one that was to try it leaves that to the
// next.
func TestWhatWasNotAskedIsNoAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := mustGates(t, Env{Settings: Defaults()})
		fail(t, g, 20)
		time.Sleep(time.Second)
		err := Unasked(pipeline.Reject(pipeline.ReasonExpression, errors.New("no such field")))
		if reason, ok := pipeline.IsPermanent(err); !ok || reason != pipeline.ReasonExpression || err.Error() != "no such field" {
			t.Errorf("the error has become %v", err)
		}
		if !let(t, g).leave(result(err)) {
			t.Error("a record that cannot be asked about would be tried for ever")
		}
		if g.openCircuits() != 1 {
			t.Error("the circuit closed")
		}
		if let(t, g).leave(result(nil)); g.openCircuits() != 0 {
			t.Error("the circuit did not close with an answer")
		}
		if Unasked(nil) != nil {
			t.Error("nil has become an error")
		}
	})
}
