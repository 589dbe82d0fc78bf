package catalog_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/calls"
	"github.com/penstockio/penstock/pipeline/catalog"
	"github.com/penstockio/penstock/pipeline/config"
)

// asker is a stage of somebody's own that waits and knows nothing of limits.
type asker struct {
	pipeline.Stage
	err    error
	closed *int
}

func (a *asker) Process(context.Context, *pipeline.Record) error { return a.err }
func (a *asker) Ping(context.Context) error                      { return errors.New("nobody there") }
func (a *asker) Report() pipeline.Report                         { return pipeline.Report{CacheHits: 7} }
func (a *asker) Close() error                                    { *a.closed++; return errors.New("not closed well") }

// knowing is one that does its own admitting.
type knowing struct{ asker }

func (k *knowing) Admit(*pipeline.Record, int) (pipeline.Call, error) {
	return nil, errors.New("no call")
}

const politely = `pipeline: NAME
source: {replay: {files: [in.jsonl], as: value}}
stages:
  - ask: {}
    limit: [api, night]
    max_per_host: 3
    workers: 8
    max_wait: 90s
    retry: {budget: 7%}
    breaker: {failures: 30%, calls: 2, open: 1h, max_open: 2h}
  - know: {}
    breaker: off
  - name: fast
    ask: {}
  - filter: a > 1
sinks:
  - tell: {}
    limit: night
dead_letter:
  tell: {}
limits: {rates: {api: {rate: 100/s, per: host}, night: {rate: 1/h}}}
`

// What a file says of calls reaches the components, with what the process shares; a stage that waits
// and does not ask for entrance is held back without knowing it.
func TestCallsOfComponents(t *testing.T) {
	type none struct{}
	envs, closed := map[string]config.Env{}, 0
	down := errors.New("down")
	kind := func(k config.Kind, build func() any) config.Kind {
		k.Build = func(_ any, env config.Env) (any, error) {
			envs[env.Pipeline+"/"+env.Name] = env
			return build(), nil
		}
		return k
	}
	ask := kind(config.StageKind("ask", "asks", "ask: {}", none{}, func(none) (*asker, error) { return nil, nil }), func() any { return &asker{err: down, closed: &closed} })
	know := kind(config.StageKind("know", "asks", "know: {}", none{}, func(none) (*knowing, error) { return nil, nil }), func() any { return &knowing{asker{closed: &closed}} })
	ask.Waits, know.Waits = true, true
	tell := kind(config.SinkKind("tell", "tells", "tell: {}", none{}, func(none, config.Env) (pipeline.Sink, error) { return nil, nil }), func() any { return fakeSink{new(int)} })
	tell.Calls = true
	loader := &config.Loader{Kinds: append(catalog.Kinds(), ask, know, tell)}
	set, err := loader.Load(write(t, strings.Replace(politely, "NAME", "a", 1)), write(t, strings.Replace(politely, "NAME", "b", 1)))
	if err != nil {
		t.Fatal(err)
	}
	shared := calls.NewShared(set.Process.Limits.Rates)
	for _, p := range set.Pipelines {
		o, err := catalog.Build(p, catalog.Env{Shared: shared, Stdout: io.Discard})
		if err != nil {
			t.Fatal(err)
		}
		if w := o.Steps[0].Wait; w.MaxWait != 90*time.Second || o.Steps[1].Wait.MaxWait != 0 {
			t.Errorf("max_wait of %+v", w)
		}
		first, ok := o.Steps[0].Stage.(pipeline.Admitter)
		if _, knows := o.Steps[1].Stage.(*knowing); !ok || !knows {
			t.Fatalf("the stages are %T and %T", o.Steps[0].Stage, o.Steps[1].Stage)
		}
		if err := catalog.Ping(t.Context(), p, o); err == nil || !strings.Contains(err.Error(), "step ask: nobody there") {
			t.Errorf("ping: %v", err)
		}
		if r := first.(pipeline.Reporter).Report(); r.CacheHits != 7 {
			t.Errorf("report %+v", r)
		}
		tries(t, first, p.Name == "a", down)
		before := closed
		if err := catalog.Close(context.Background(), o); err == nil || !strings.Contains(err.Error(), "not closed well") || closed != before+3 {
			t.Errorf("closed %d: %v", closed-before, err)
		}
	}
	defaults := calls.Defaults()
	defaults.MaxPerHost = 64
	off := defaults
	off.Breaker.Off = true
	want := map[string]calls.Env{
		"ask": {Workers: 8, Settings: calls.Settings{Limit: []string{"api", "night"}, MaxPerHost: 3, RetryBudget: 0.07,
			Breaker: calls.BreakerSettings{Failures: 0.3, Calls: 2, Window: 10 * time.Second, Open: time.Hour, MaxOpen: 2 * time.Hour}}},
		"know":        {Workers: 64, Settings: off},
		"fast":        {Workers: 64, Settings: defaults},
		"tell":        {Workers: 64, Settings: calls.Settings{Limit: []string{"night"}}},
		"dead_letter": {Workers: 64},
	}
	for name, w := range want {
		for _, p := range []string{"a/", "b/"} {
			got := envs[p+name].Calls
			if got.Shared != shared {
				t.Errorf("%s%s shares nothing with the others", p, name)
			}
			if got.Shared = nil; !reflect.DeepEqual(got, w) {
				t.Errorf("%s%s: %+v, want %+v", p, name, got, w)
			}
		}
	}
}

// tries makes a call of a step, the first of the pipelines that keep to night: 1/h. That of the second
// waits for the token that the first has taken.
func tries(t *testing.T, s pipeline.Admitter, first bool, want error) {
	t.Helper()
	rec := new(pipeline.Record)
	rec.Init(pipeline.Position{Topic: "t"}, nil, []byte(`{}`), nil, pipeline.NoTime)
	call, err := s.Admit(rec, 1)
	if err != nil {
		t.Fatal(err)
	}
	wait, ok := call.Enter(func() {})
	result := pipeline.CallResult{}
	switch {
	case ok != first:
		t.Errorf("the call begins: %v", ok)
	case ok:
		result = pipeline.CallResult{Begun: true, Err: call.Do(t.Context(), rec)}
		if !errors.Is(result.Err, want) {
			t.Errorf("the call gave %v", result.Err)
		}
	case wait < 59*time.Minute || call.Waits() != "rate night":
		t.Errorf("it waits for %v, for %s", wait, call.Waits())
	}
	call.Leave(result)
}

// The stages that keep answers ask for entrance themselves: nothing stands before them.
func TestStagesThatAnswerAdmit(t *testing.T) {
	answering := 0
	for _, k := range catalog.Kinds() {
		if !k.Answers {
			continue
		}
		answering++
		name := file(t, &k, k.Example)
		copySideFiles(t, filepath.Dir(name))
		o, err := catalog.Build(load(t, name).Pipelines[0], catalog.Env{Stdout: io.Discard})
		if err != nil {
			t.Fatal(err)
		}
		made := fmt.Sprintf("%T", o.Steps[0].Stage)
		if _, admits := o.Steps[0].Stage.(pipeline.Admitter); !admits || !strings.HasSuffix(made, ".Stage") {
			t.Errorf("%s is a %s", k.Name, made)
		}
		if err := catalog.Close(context.Background(), o); err != nil {
			t.Errorf("%s: %v", k.Name, err)
		}
	}
	if answering < 3 {
		t.Errorf("%d stages keep answers", answering)
	}
}
