//go:build unix

package execstage

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/event"
)

// A process whose record the pipeline has given up, as when its partition goes elsewhere, has done nothing wrong: no event says so,
// and the next one is started at once. It ends all the same.
func TestRecordGivenUp(t *testing.T) {
	for _, late := range []bool{false, true} {
		s := testSettings(t, "protocol")
		s.StopTimeout = 50 * time.Millisecond
		st := testStage(t, s)
		var log bytes.Buffer
		events := event.New(&log, event.Options{})
		st.Attach(events.Pipeline("p"))
		ctx, cancel := context.WithCancel(t.Context())
		if late {
			ctx, cancel = context.WithTimeout(t.Context(), 1) // Do's own time, which begins when it is let in
		}
		gave := make(chan error, 1)
		call, err := st.Admit(record(1, `{"do":"hang"}`), 1)
		if err != nil {
			t.Fatal(err)
		}
		if err := enter(t.Context(), call); err != nil {
			t.Fatal(err)
		}
		holder := st.pool.only(t)
		go func() { gave <- call.Do(ctx, record(1, `{"do":"hang"}`)) }()
		if !late {
			until(t, "the process has it", func() bool { return st.has(1) })
			cancel()
		}
		want := map[bool]string{false: "canceled", true: "timeout"}[late]
		err = <-gave
		call.Leave(pipeline.CallResult{Begun: true, Err: err})
		if typeOf(err) != want {
			t.Errorf("%v, not %s", err, want)
		}
		cancel()
		st.pool.mu.Lock()
		fails, mute := st.pool.fails, st.pool.mute
		st.pool.mu.Unlock()
		if fails > 0 || (mute > 0) != late {
			t.Errorf("late %v: %d starts have come to nothing, %d have ended of a record", late, fails, mute)
		}
		<-holder.ended()
		good(t, st)
		if err := st.Close(); err != nil {
			t.Error(err)
		}
		events.Close()
		if ended := strings.Contains(log.String(), "child.ended"); ended != late {
			t.Errorf("late %v: child.ended %v: %s", late, ended, log.String())
		}
	}
}
