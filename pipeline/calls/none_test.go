package calls

import (
	"errors"
	"testing"

	"github.com/penstockio/penstock/pipeline"
)

// None waits for nothing, and its error is what use says.
func TestNone(t *testing.T) {
	if call := None(nil); call.Gate() != nil || call.Do(t.Context(), nil) != nil || !call.Leave(pipeline.CallResult{Begun: true}) {
		t.Error("a record for which nobody is asked does not pass")
	}
	wrong, rec := errors.New("wrong"), new(pipeline.Record)
	var used *pipeline.Record
	call := None(func(rec *pipeline.Record) error { used = rec; return wrong })
	if err := call.Do(t.Context(), rec); err != wrong || used != rec {
		t.Errorf("%v, %p in place of %p", err, used, rec)
	}
	if n := testing.AllocsPerRun(100, func() { _ = None(nil) }); n > 0 {
		t.Errorf("%v allocations for nothing", n)
	}
}
