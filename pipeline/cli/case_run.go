package cli

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/catalog"
	"github.com/penstockio/penstock/pipeline/config"
	"github.com/penstockio/penstock/pipeline/engine"
	"github.com/penstockio/penstock/pipeline/event"
	"github.com/penstockio/penstock/pipeline/settings"
	"github.com/penstockio/penstock/pipeline/source/replay"
)

// caseLimit bounds the run of one case.
const caseLimit = time.Minute

// A testCase is a folder with a pipeline, its input and its expected output.
type testCase struct {
	dir   string
	name  string
	kinds config.Kinds
	logs  bytes.Buffer // JSON log lines of the run

	answers *answerServer
	mu      sync.Mutex
	got     map[string][]pipeline.Record // by sink
}

// findCases gives the folders below the paths, or the paths themselves, that hold a
// pipeline.yaml and an input.jsonl. kinds are those that the pipeline files may name.
func findCases(paths []string, kinds config.Kinds) (cases []*testCase, err error) {
	for _, root := range paths {
		before := len(cases)
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.IsDir() || !isFile(filepath.Join(path, "pipeline.yaml")) || !isFile(filepath.Join(path, "input.jsonl")) {
				return err
			}
			name, err := filepath.Rel(root, path)
			if err != nil || name == "." {
				name = filepath.Base(path)
			}
			cases = append(cases, &testCase{dir: path, name: filepath.ToSlash(name), kinds: kinds})
			return fs.SkipDir
		})
		if errors.Is(err, fs.ErrNotExist) {
			return nil, usagef("looking for cases: there is no %s", root)
		}
		if err != nil {
			return nil, usagef("looking for cases: %w", err)
		}
		if len(cases) == before {
			return nil, usagef("looking for cases: %s holds none: a case is a folder with pipeline.yaml and input.jsonl", root)
		}
	}
	return cases, nil
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// run runs the case and compares what came out, or writes it when update is set.
func (c *testCase) run(ctx context.Context, set []string, update bool) (r *caseResult) {
	started := time.Now()
	r = &caseResult{name: c.name}
	defer func() { r.took = time.Since(started) }()
	ctx, cancel := context.WithTimeout(ctx, caseLimit)
	defer cancel()
	file, err := c.execute(ctx, set, r)
	if err != nil {
		r.problems = append(r.problems, err.Error())
		return r
	}
	if update {
		err = c.update(file, r)
	} else {
		err = c.compare(file, r)
	}
	if err != nil {
		r.problems = append(r.problems, err.Error())
	}
	return r
}

// execute runs the pipeline over the input and keeps what each sink gets.
func (c *testCase) execute(ctx context.Context, set []string, r *caseResult) (*config.Pipeline, error) {
	var err error
	if c.answers, err = serveAnswers(filepath.Join(c.dir, "answers", "http.jsonl")); err != nil {
		return nil, err
	}
	defer c.answers.close()
	loader := config.Loader{Kinds: c.kinds, Set: set, Env: c.env, Repeatable: true}
	loaded, err := loader.Load(filepath.Join(c.dir, "pipeline.yaml"))
	if err != nil {
		var invalid *config.InvalidError
		if errors.As(err, &invalid) {
			err = errors.New(strings.TrimRight(invalid.Problems.Detail(), "\n"))
		}
		return nil, err
	}
	file := loaded.Pipelines[0]
	input, err := replay.New(replay.Settings{Files: []settings.Path{settings.Path(filepath.Join(c.dir, "input.jsonl"))}}, replay.Options{})
	if err != nil {
		return nil, err
	}
	c.got = map[string][]pipeline.Record{}
	events := event.New(&c.logs, event.Options{Instance: "case"})
	all, err := assembleAll(loaded, events, standIns{source: input, sink: c.sink, deadLetterTime: recordTime})
	if err == nil {
		err = firstMissing(all)
	}
	if err != nil {
		return nil, err
	}
	p := &process{events: events, drain: file.Limits.Drain, started: time.Now()}
	if err := p.addPipelines(all); err != nil {
		all[0].discard()
		return nil, err
	}
	code := p.run(ctx)
	done, _ := input.Progress()
	r.records = int(done)
	if err := p.pipelines[0].err; err != nil {
		return nil, fmt.Errorf("running the pipeline: %w", err)
	}
	if code != exitDone {
		return nil, fmt.Errorf("running the pipeline: exit code %d", code)
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("running the pipeline: it did not end within %v", caseLimit)
	}
	for _, request := range c.answers.unanswered() {
		r.problems = append(r.problems, "the pipeline asked for "+request+", for which answers/http.jsonl has no answer")
	}
	return file, nil
}

// env gives a case's variables: those of the process, and HTTP.
func (c *testCase) env(name string) (string, bool) {
	if name == "HTTP" {
		return c.answers.base, true
	}
	return os.LookupEnv(name)
}

// sink gives a sink that keeps copies of its records, for compare and update.
func (c *testCase) sink(name, _ string) (pipeline.Sink, error) { return &recordingSink{c, name}, nil }

type recordingSink struct {
	c    *testCase
	name string
}

// Write implements pipeline.Sink.
func (k *recordingSink) Write(_ context.Context, recs []*pipeline.Record) error {
	k.c.mu.Lock()
	defer k.c.mu.Unlock()
	for _, rec := range recs {
		var headers []pipeline.Header
		for _, h := range rec.Headers() {
			headers = append(headers, pipeline.Header{Name: h.Name, Value: k.c.answers.hideAddress(bytes.Clone(h.Value))})
		}
		var copied pipeline.Record
		copied.Init(rec.Position, bytes.Clone(rec.Key()), k.c.answers.hideAddress(bytes.Clone(rec.Value())), headers, rec.Time)
		copied.Part = rec.Part
		k.c.got[k.name] = append(k.c.got[k.name], copied)
	}
	return nil
}

// Close implements pipeline.Sink.
func (k *recordingSink) Close(context.Context) error { return nil }

// sinkNames gives all sinks of a file, the dead letters last.
func sinkNames(p *config.Pipeline) (names []string) {
	for _, s := range p.Sinks {
		names = append(names, s.Name)
	}
	if p.DeadLetter != nil {
		names = append(names, catalog.DeadLetterName)
	}
	return names
}

func (c *testCase) wantFile(sink string) string {
	return filepath.Join(c.dir, "want", sink+".jsonl")
}

// compare compares what each sink got with its file; no file means no records.
func (c *testCase) compare(p *config.Pipeline, r *caseResult) error {
	names := sinkNames(p)
	if err := c.unclaimedFiles(names, func(file string) error {
		return fmt.Errorf("comparing: %s belongs to no sink of the pipeline, which has %s", file, strings.Join(names, ", "))
	}); err != nil {
		return err
	}
	for _, name := range names {
		text, err := os.ReadFile(c.wantFile(name))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("comparing: %w", err)
		}
		want, err := readRecords(text, c.wantFile(name))
		if err != nil {
			return fmt.Errorf("comparing: %w", err)
		}
		ordered, group := orderOf(p.Order)
		r.diffs = append(r.diffs, diffRecords(name, want, c.got[name], ordered, group)...)
	}
	return nil
}

// orderOf says what of the order of a sink's records a pipeline promises.
func orderOf(o config.Order) (ordered bool, group func(*pipeline.Record) string) {
	switch {
	case o.Keep == engine.OrderNone, o.Key != nil: // the key that counted may be gone from the record
		return false, nil
	case o.Keep == engine.OrderKey:
		return true, func(r *pipeline.Record) string { return showBytes(r.Key()) }
	}
	return true, nil
}

// unclaimedFiles calls f for each file in want that belongs to no sink.
func (c *testCase) unclaimedFiles(sinks []string, f func(file string) error) error {
	files, err := filepath.Glob(filepath.Join(c.dir, "want", "*"))
	if err != nil {
		return err
	}
	for _, file := range files {
		name, jsonl := strings.CutSuffix(filepath.Base(file), ".jsonl")
		if !jsonl || !slices.Contains(sinks, name) {
			if err := f(file); err != nil {
				return err
			}
		}
	}
	return nil
}

// update writes what each sink got, and removes files that belong to no sink.
func (c *testCase) update(p *config.Pipeline, r *caseResult) error {
	names := sinkNames(p)
	if err := c.unclaimedFiles(names, os.Remove); err != nil {
		return fmt.Errorf("updating: %w", err)
	}
	for _, name := range names {
		got := c.got[name]
		if p.Order.Keep != engine.OrderPartition {
			slices.SortStableFunc(got, func(a, b pipeline.Record) int {
				return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Offset, b.Offset), cmp.Compare(a.Part, b.Part))
			})
		}
		var text []byte
		for i := range got {
			text = append(append(text, fixtureLine(&got[i])...), '\n')
		}
		if err := c.writeWant(name, text, r); err != nil {
			return fmt.Errorf("updating: %w", err)
		}
	}
	return nil
}

// writeWant writes one file, if it differs; no text means no file.
func (c *testCase) writeWant(sink string, text []byte, r *caseResult) error {
	file := c.wantFile(sink)
	before, err := os.ReadFile(file)
	switch {
	case err != nil && !errors.Is(err, os.ErrNotExist):
		return err
	case bytes.Equal(before, text):
		return nil
	}
	r.updated = append(r.updated, "want/"+sink+".jsonl")
	if len(text) == 0 {
		return os.Remove(file)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, text, 0o644)
}
