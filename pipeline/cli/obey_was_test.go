package cli

import (
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline/admin"
	"github.com/penstockio/penstock/pipeline/engine"
)

// A slowlyRead runner can be paused, and what it says of itself is a while old when it has been heard.
type slowlyRead struct{ *fakeRunner }

func (r slowlyRead) set(state, by string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state.State, r.state.PausedBy = state, by
}

func (r slowlyRead) Pause()  { r.set("paused", "command") }
func (r slowlyRead) Resume() { r.set("running", "") }

func (r slowlyRead) Snapshot() engine.Snapshot {
	s := r.fakeRunner.Snapshot()
	time.Sleep(100 * time.Millisecond)
	return s
}

// TestOneOfTwoHasPaused: of callers that pause, or resume, at once, one alone hears that it has changed something.
func TestOneOfTwoHasPaused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, do := steerAll(slowlyRead{newFake(&fakeRunner{})})
		for _, c := range []struct {
			verb admin.Verb
			want []string
		}{
			{admin.VerbPause, []string{"paused > paused", "paused > paused", "running > paused"}},
			{admin.VerbResume, []string{"paused > running", "running > running", "running > running"}},
		} {
			said := make(chan string, 3)
			for range 3 {
				go func() { said <- do(admin.Command{Verb: c.verb, Pipeline: "p0"}) }()
			}
			got := []string{<-said, <-said, <-said}
			if slices.Sort(got); !slices.Equal(got, c.want) {
				t.Errorf("%s: %q, want %q", c.verb, got, c.want)
			}
		}
		s.signals <- syscall.SIGTERM
		s.end()
	})
}
