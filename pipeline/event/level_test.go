package event

import (
	"bytes"
	"strings"
	"testing"

	"github.com/rs/zerolog"
)

// TestTheLevelChangesWhileItRuns: loggers that were there before follow, and those that were made of them; events pass as ever.
func TestTheLevelChangesWhileItRuns(t *testing.T) {
	var b bytes.Buffer
	e := New(&b, fixed(Options{Log: zerolog.InfoLevel}))
	step := e.Pipeline("p").Step("s")
	derived := step.Log().With().Str("k", "v").Logger()
	write := func() string {
		b.Reset()
		e.Log().Debug().Msg("process")
		step.Log().Debug().Msg("step")
		derived.Debug().Msg("derived")
		e.Log().Error().Msg("error")
		e.Emit(ProcessReady{}, "event")
		var got []string
		for line := range strings.Lines(b.String()) {
			for _, m := range []string{"process", "step", "derived", "error", "event"} {
				if strings.Contains(line, `"message":"`+m+`"`) {
					got = append(got, m)
				}
			}
		}
		return strings.Join(got, " ")
	}
	if got := write(); got != "error event" {
		t.Errorf("at info: %s", got)
	}
	if was := step.SetLevel(zerolog.DebugLevel); was != zerolog.InfoLevel || e.Level() != zerolog.DebugLevel {
		t.Errorf("it was %v, is %v", was, e.Level())
	}
	if got := write(); got != "process step derived error event" {
		t.Errorf("at debug: %s", got)
	}
	e.SetLevel(zerolog.Disabled)
	if got := write(); got != "event" {
		t.Errorf("disabled: %s", got)
	}
	e.SetLevel(zerolog.ErrorLevel)
	zerolog.DisableSampling(true) // by other code, for the whole process
	defer zerolog.DisableSampling(false)
	if got := write(); got != "error event" {
		t.Errorf("without samplers: %s", got)
	}
}
