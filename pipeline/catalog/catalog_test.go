package catalog_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/catalog"
	"github.com/penstockio/penstock/pipeline/config"
	"github.com/penstockio/penstock/pipeline/engine"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// file writes a pipeline file around a component and gives its name.
func file(t *testing.T, k *config.Kind, component string) string {
	t.Helper()
	source, stages, sinks := "  replay: {files: [in.jsonl], as: value}\n", "", "  - stdout: {}\n"
	item := "  - " + strings.ReplaceAll(component, "\n", "\n    ") + "\n"
	switch k.Section {
	case config.SourceSection:
		source = "  " + strings.ReplaceAll(component, "\n", "\n  ") + "\n"
	case config.StageSection:
		stages = "stages:\n" + item
	case config.SinkSection:
		sinks = item
	}
	return write(t, "pipeline: p\nsource:\n"+source+stages+"sinks:\n"+sinks)
}

func write(t testing.TB, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "p.yaml")
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

func load(t testing.TB, name string) *config.Set {
	t.Helper()
	set, err := (&config.Loader{Kinds: catalog.Kinds()}).Load(name)
	var invalid *config.InvalidError
	if errors.As(err, &invalid) {
		t.Fatal(invalid.Problems.Detail())
	}
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// Every example of the table is right as it stands, and its component can be made.
func TestExamples(t *testing.T) {
	for _, k := range catalog.Kinds() {
		t.Run(string(k.Section)+"/"+k.Name, func(t *testing.T) {
			if k.Example == "" || k.Doc == "" {
				t.Fatal("no example, or no doc")
			}
			name := file(t, &k, k.Example)
			copySideFiles(t, filepath.Dir(name))
			set := load(t, name)
			if len(set.Warnings) > 0 {
				t.Errorf("the example is warned of:\n%s", set.Warnings.Detail())
			}
			o, err := catalog.Build(set.Pipelines[0], catalog.Env{Stdout: io.Discard})
			if err != nil {
				t.Fatal(err)
			}
			if err := catalog.Close(context.Background(), o); err != nil {
				t.Error(err)
			}
		})
	}
}

// copySideFiles puts beside the pipeline file what examples name.
func copySideFiles(t *testing.T, dir string) {
	t.Helper()
	for name, text := range map[string]string{
		"airports.csv": "iata,name,city\nABE,Lehigh Valley,Allentown\n",
		"flights.db":   "",
		"airports.db":  "",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// The table holds each name once in a section, and every setting says what it is for.
func TestTable(t *testing.T) {
	seen := map[string]bool{}
	for _, k := range catalog.Kinds() {
		key := string(k.Section) + " " + k.Name
		if seen[key] {
			t.Errorf("%s stands twice", key)
		}
		seen[key] = true
		if err := k.Usable(); err != nil {
			t.Error(err)
		}
		if k.Section != config.StageSection && k.Guarantee == "" {
			t.Errorf("%s does not say what it guarantees", key)
		}
		documented(t, key, k.SettingList())
	}
	for _, want := range []string{"source replay", "stage filter", "stage map", "stage http", "stage sql", "sink stdout", "sink file", "sink http"} {
		if !seen[want] {
			t.Errorf("%s is missing", want)
		}
	}
}

func documented(t *testing.T, key string, list []config.Setting) {
	t.Helper()
	for _, s := range list {
		if s.Doc == "" {
			t.Errorf("%s: the setting %s has no doc", key, s.Name)
		}
		documented(t, key+"."+s.Name, s.Inner)
	}
}

const whole = `pipeline: whole
source:
  replay: {files: [in.jsonl], as: value}
order: {key: origin}
stages:
  - filter: delay >= 15
  - name: weather
    http: {url: "http://127.0.0.1:1/{origin}", into: weather}
    serial: key
    retry: {attempts: 3, backoff: 50ms, max_backoff: 1s}
    timeout: 500ms
    deadline: 10s
    on_error: pass
  - http: {url: "http://127.0.0.1:1/{origin}", into: again}
    workers: 8
    window: 100
  - map: {remove: [delay]}
    workers: 3
    on_error: stop
sinks:
  - stdout: {}
    batch: {records: 10, bytes: 1KiB, linger: 5ms}
    timeout: 3s
    retry: {attempts: 2, backoff: 1ms, max_backoff: 2ms}
  - when: late >= 120
    file: {path: "severe-{origin}.jsonl"}
dead_letter:
  file: {path: rejected.jsonl}
  timeout: 4s
limits: {in_flight: 500, in_flight_bytes: 2MiB, drain: 11s}
log: {stats_every: 3s, partitions_every: 7s}
`

// A file becomes options with the defaults of a waiting step.
func TestBuild(t *testing.T) {
	set := load(t, write(t, whole))
	o, err := catalog.Build(set.Pipelines[0], catalog.Env{Stdout: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := catalog.Close(context.Background(), o); err != nil {
			t.Error(err)
		}
	}()
	if o.Name != "whole" || o.Order != engine.OrderKey || o.Key == nil || o.Source == nil || o.ConfigHash != set.Hash ||
		o.Drain != 11*time.Second || o.StatsEvery != 3*time.Second || o.PartitionStatsEvery != 7*time.Second {
		t.Errorf("options %+v", o)
	}
	steps := make([]engine.Step, len(o.Steps))
	for i, s := range o.Steps {
		if (s.Stage == nil) == (s.Splitter == nil) {
			t.Errorf("step %s has not exactly one of stage and splitter", s.Name)
		}
		s.Stage, s.Splitter = nil, nil
		steps[i] = s
	}
	want := []engine.Step{
		{Name: "filter", Kind: "filter"},
		{Name: "weather", Kind: "http", Workers: 64, Wait: &engine.Wait{Window: 4096, Timeout: 500 * time.Millisecond, Deadline: 10 * time.Second, Serial: engine.SerialKey, Retry: engine.Retry{Attempts: 3, Backoff: 50 * time.Millisecond, MaxBackoff: time.Second}}, OnError: engine.OnErrorPass},
		{Name: "http", Kind: "http", Workers: 8, Wait: &engine.Wait{Window: 100, Timeout: 10 * time.Second, Deadline: 20 * time.Second, Retry: engine.Retry{Attempts: 5, Backoff: 100 * time.Millisecond, MaxBackoff: 5 * time.Second}}},
		{Name: "map", Kind: "map", Workers: 3, OnError: engine.OnErrorStop},
	}
	if !reflect.DeepEqual(steps, want) {
		t.Errorf("steps\n%+v\nwant\n%+v", steps, want)
	}
	if len(o.Sinks) != 2 || o.Sinks[0].When != nil || o.Sinks[1].When == nil {
		t.Fatalf("sinks %+v", o.Sinks)
	}
	first := o.Sinks[0]
	first.Sink = nil
	if got, want := fmt.Sprintf("%+v", first), fmt.Sprintf("%+v", engine.Output{Name: "stdout", Kind: "stdout", MaxRecords: 10, MaxBytes: 1024, Linger: 5 * time.Millisecond,
		Timeout: 3 * time.Second, Retry: engine.Retry{Attempts: 2, Backoff: time.Millisecond, MaxBackoff: 2 * time.Millisecond}}); got != want {
		t.Errorf("sink\n%s\nwant\n%s", got, want)
	}
	second := o.Sinks[1]
	if second.MaxRecords != 1000 || second.MaxBytes != 1<<20 || second.Linger != 0 || second.Timeout != 10*time.Second || second.Retry.Attempts != 0 || second.Retry.MaxBackoff != 30*time.Second {
		t.Errorf("defaults of a sink: %+v", second)
	}
	if o.DeadLetter.Name != catalog.DeadLetterName || o.DeadLetter.Kind != "file" || o.DeadLetter.Sink == nil || o.DeadLetter.Timeout != 4*time.Second {
		t.Errorf("dead letter %+v", o.DeadLetter)
	}
	rec := new(pipeline.Record)
	rec.Init(pipeline.Position{Topic: "t"}, nil, []byte(`{"late":130,"origin":"ABE"}`), nil, pipeline.NoTime)
	if ok, err := second.When(rec); !ok || err != nil {
		t.Errorf("when: %v, %v", ok, err)
	}
	if key, err := o.Key(rec); string(key) != "ABE" || err != nil {
		t.Errorf("key %q, %v", key, err)
	}
}

type fakeSink struct{ closed *int }

func (fakeSink) Write(context.Context, []*pipeline.Record) error { return nil }
func (f fakeSink) Close(context.Context) error                   { *f.closed++; return nil }

type fakeSource struct {
	pipeline.Source
	closed *int
}

func (f fakeSource) Close(context.Context) error { *f.closed++; return nil }
func (f fakeSource) Ping(context.Context) error {
	return errors.New("dialling nowhere")
}

// What stands in for source and sinks is used, and closed when the making fails.
func TestBuildWithOthers(t *testing.T) {
	set := load(t, write(t, whole))
	closed := 0
	var names []string
	env := catalog.Env{
		Source: fakeSource{closed: &closed},
		Sink: func(name, kind string) (pipeline.Sink, error) {
			names = append(names, name+" "+kind)
			return fakeSink{&closed}, nil
		},
	}
	o, err := catalog.Build(set.Pipelines[0], env)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(names, ", "); got != "stdout stdout, file file, dead_letter file" {
		t.Errorf("sinks made: %s", got)
	}
	if err := catalog.Ping(context.Background(), set.Pipelines[0], o); err == nil || !strings.Contains(err.Error(), "p.yaml:3:3: source replay: dialling nowhere") {
		t.Errorf("ping: %v", err)
	}
	if err := catalog.Close(context.Background(), o); err != nil || closed != 4 {
		t.Errorf("closed %d, %v", closed, err)
	}
	closed = 0
	env.Sink = func(name, _ string) (pipeline.Sink, error) {
		if name == catalog.DeadLetterName {
			return nil, errors.New("no room")
		}
		return fakeSink{&closed}, nil
	}
	if _, err := catalog.Build(set.Pipelines[0], env); err == nil || closed != 3 {
		t.Errorf("closed %d after %v", closed, err)
	}
}

// What cannot be made is named with its place.
func TestBuildError(t *testing.T) {
	set := load(t, write(t, "pipeline: p\nsource:\n  kafka: {brokers: [a:1], topics: [t], tls: {ca: nowhere.pem}}\nsinks:\n  - stdout: {}\n"))
	_, err := catalog.Build(set.Pipelines[0], catalog.Env{Stdout: io.Discard})
	var env *pipeline.EnvironmentError
	if err == nil || !strings.Contains(err.Error(), "p.yaml:3:50: making the source kafka: ") || !errors.As(err, &env) {
		t.Errorf("error %v", err)
	}
}

// What cannot be made shows no secret: neither in the error, nor in the line below it.
func TestBuildErrorConceals(t *testing.T) {
	t.Setenv("CANARY", "hunter77")
	set := load(t, write(t, `pipeline: p
source:
  kafka: {brokers: ["127.0.0.1:1"], topics: [t]}
stages:
  - http: {url: "http://127.0.0.1/", into: x, tls: {ca: "${CANARY}.pem"}, auth: {basic: {username: u, password: "x${CANARY}"}}}
sinks:
  - stdout: {}
`))
	_, err := catalog.Build(set.Pipelines[0], catalog.Env{Stdout: io.Discard})
	var unmade *config.UnmadeError
	if !errors.As(err, &unmade) {
		t.Fatalf("error %v", err)
	}
	if got := unmade.Detail() + err.Error(); strings.Contains(got, "hunter") || !strings.Contains(got, "p.yaml:5:57: making the stage http: ") || !strings.Contains(got, `ca: "${CANARY}.pem"`) {
		t.Error(got)
	}
}

// Dead letters to stdout and files are fixture lines, whatever the sinks are.
func TestDeadLetterForm(t *testing.T) {
	set := load(t, write(t, strings.Replace(whole, "  file: {path: rejected.jsonl}", "  stdout: {}", 1)))
	var out strings.Builder
	o, err := catalog.Build(set.Pipelines[0], catalog.Env{Stdout: &out})
	if err != nil {
		t.Fatal(err)
	}
	rec := new(pipeline.Record)
	rec.Init(pipeline.Position{Topic: "t", Offset: 7}, nil, []byte(`{"a":1}`), []pipeline.Header{{Name: "penstock-reason", Value: []byte("panic")}}, pipeline.NoTime)
	if err := o.DeadLetter.Sink.Write(context.Background(), []*pipeline.Record{rec}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), `"penstock-reason"`) || !strings.Contains(out.String(), `"offset":7`) {
		t.Errorf("dead letter %s", out.String())
	}
	if err := catalog.Close(context.Background(), o); err != nil {
		t.Error(err)
	}
}
