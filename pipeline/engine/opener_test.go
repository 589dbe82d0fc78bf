package engine_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/engine"
	"github.com/penstockio/penstock/pipeline/event"
	"github.com/penstockio/penstock/pipeline/pipelinetest"
)

// A listening sink notes what it is asked, in order.
type listening struct {
	pipeline.Sink
	asked []string
	err   error
}

func (l *listening) Attach(*event.Emitter)       { l.asked = append(l.asked, "attach") }
func (l *listening) Account(func(int64))         { l.asked = append(l.asked, "account") }
func (l *listening) Open(context.Context) error  { l.asked = append(l.asked, "open"); return l.err }
func (l *listening) Close(context.Context) error { l.asked = append(l.asked, "close"); return nil }
func (l *listening) Write(_ context.Context, recs []*pipeline.Record) error {
	l.asked = append(l.asked, "write")
	return nil
}

// A patient sink opens when ctx ends.
type patient struct {
	pipeline.Sink
	opening chan struct{}
}

func (p patient) Close(context.Context) error { return nil }
func (p patient) Open(ctx context.Context) error {
	close(p.opening)
	<-ctx.Done()
	return ctx.Err()
}

// TestAbortEndsTheOpeningOfASink: Abort ends Run also while a sink is being opened, as it does with a source.
func TestAbortEndsTheOpeningOfASink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := patient{opening: make(chan struct{})}
		p, err := engine.New(engine.Options{Name: "p", Source: pipelinetest.NewValues("in", `{}`), Sinks: []engine.Output{{Name: "live", Sink: sink}}})
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- p.Run(context.Background()) }()
		<-sink.opening
		p.Abort()
		var abandoned *engine.AbandonedError
		if err := <-ended; !errors.As(err, &abandoned) || !abandoned.Forced {
			t.Errorf("Run gives %v", err)
		}
	})
}

// A noting source notes that it is opened.
type noting struct {
	pipeline.Source
	opened func()
}

func (n noting) Open(ctx context.Context, f pipeline.Feed) error {
	n.opened()
	return n.Source.Open(ctx, f)
}

// TestASinkIsOpenedBeforeTheSource: an Opener is there before the first record, and what it does not get ends the pipeline.
func TestASinkIsOpenedBeforeTheSource(t *testing.T) {
	refused := &pipeline.EnvironmentError{Err: errors.New("the port is in use")}
	for _, c := range []struct {
		err  error
		want string
	}{
		{nil, "attach account open source write close"},
		{refused, "attach account open close"},
	} {
		l := &listening{err: c.err}
		p, err := engine.New(engine.Options{
			Name: "p", Source: noting{pipelinetest.NewValues("in", `{"n":1}`), func() { l.asked = append(l.asked, "source") }},
			Sinks: []engine.Output{{Name: "live", Sink: l}},
		})
		if err != nil {
			t.Fatal(err)
		}
		err = p.Run(t.Context())
		if got := strings.Join(slices.Compact(l.asked), " "); got != c.want {
			t.Errorf("asked: %s; want %s", got, c.want)
		}
		var open *engine.OpenError
		var env *pipeline.EnvironmentError
		if c.err == nil {
			if err != nil {
				t.Error(err)
			}
			continue
		}
		if !errors.As(err, &open) || open.Sink != "live" || !errors.As(err, &env) || err.Error() != "opening sink live: the port is in use" {
			t.Errorf("Run gives %v", err)
		}
	}
}
