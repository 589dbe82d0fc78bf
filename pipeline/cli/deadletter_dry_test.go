package cli

import (
	"context"
	"io"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/config"
	"github.com/penstockio/penstock/pipeline/deadletter"
	"github.com/penstockio/penstock/pipeline/source/letters"
)

// slowLog is a log of ten records, each of which takes 0.7 s.
type slowLog struct {
	letters.Log
	read int64
}

func (l *slowLog) Name() string                                           { return "slow" }
func (l *slowLog) Left() int64                                            { return 10 - l.read }
func (l *slowLog) Fits(int32, *letters.Done) error                        { return nil }
func (l *slowLog) Load(context.Context) (letters.Progress, error)         { return letters.Progress{}, nil }
func (l *slowLog) Open(_ context.Context, _ letters.Progress) (err error) { return nil }

func (l *slowLog) Next(ctx context.Context) (*pipeline.Record, pipeline.Position, error) {
	if l.read == 10 {
		return nil, pipeline.Position{}, io.EOF
	}
	select {
	case <-time.After(700 * time.Millisecond):
	case <-ctx.Done():
		return nil, pipeline.Position{}, ctx.Err()
	}
	l.read++
	return new(pipeline.Record), pipeline.Position{Topic: "slow", Offset: l.read}, nil
}

// TestDryRunShowsHowFarItIs: on a terminal a line says how many records are read, while they are; elsewhere there is none.
func TestDryRunShowsHowFarItIs(t *testing.T) {
	for _, terminal := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			var drawn, out strings.Builder
			box := &letterBox{log: new(slowLog), file: new(config.Pipeline)}
			r := &redrive{letterBox: box, flags: new(redriveFlags), chooser: &letterChooser{
				box: box, filter: new(deadletter.Filter), refused: map[string]int64{}, chosen: map[string]int64{},
			}}
			if err := r.dryRun(t.Context(), &out, &screen{w: &drawn, terminal: terminal}); err != nil {
				t.Fatal(err)
			}
			got := drawn.String()
			if terminal && (!strings.Contains(got, "slow [") || !strings.Contains(got, "] 5/10 ") || !strings.HasSuffix(got, clearLine)) || !terminal && got != "" {
				t.Errorf("terminal %v: drawn is %q", terminal, got)
			}
			if !strings.Contains(out.String(), "10 records of slow read\n") {
				t.Errorf("it says\n%s", out.String())
			}
		})
	}
}

// TestDryRunThatIsStopped: what nobody has read to its end, nobody can say anything of, and that is said.
func TestDryRunThatIsStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		signals := make(chan os.Signal, 1)
		box := &letterBox{log: new(slowLog), file: new(config.Pipeline)}
		r := &redrive{letterBox: box, flags: new(redriveFlags), signals: signals, chooser: &letterChooser{
			box: box, filter: new(deadletter.Filter), refused: map[string]int64{}, chosen: map[string]int64{},
		}}
		time.AfterFunc(2*time.Second, func() { signals <- os.Interrupt })
		if err := r.rehearse(t.Context(), &out, new(screen)); err != nil {
			t.Error(err)
		}
		if want := "stopped before all was read: what the replay would do is not known\n"; out.String() != want {
			t.Errorf("it says %q, not %q", out.String(), want)
		}
	})
}
