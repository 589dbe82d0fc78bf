package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/catalog"
	"github.com/penstockio/penstock/pipeline/config"
	"github.com/penstockio/penstock/pipeline/event"
	"github.com/penstockio/penstock/pipeline/fixture"
	"github.com/penstockio/penstock/pipeline/settings"
	"github.com/penstockio/penstock/pipeline/source/replay"
)

// caseLimit bounds the run of one case.
const caseLimit = time.Minute

// A testCase is a pipeline, its input and its expected output: a folder, or part of an archive.
type testCase struct {
	name    string
	dir     string // its folder; of an archive: where its files lie while it runs
	archive *caseArchive
	within  string // its folder in the archive; "": the archive is the case
	root    string // where the files of the archive lie while it runs
	kinds   config.Kinds
	wrong   error        // why it cannot be run: a part of it is missing
	logs    bytes.Buffer // JSON log lines of the run

	settings caseSettings
	side     *config.SideFile // its case.yaml
	pipeline string           // its pipeline file

	answers *answerServer
	redis   *redisServer
	mu      sync.Mutex
	got     map[string][]pipeline.Record // by sink
}

// run runs the case and compares what came out, or writes it when update is set.
func (c *testCase) run(ctx context.Context, set []string, update bool) (r *caseResult) {
	started := time.Now()
	r = &caseResult{name: c.name}
	defer func() { r.took = time.Since(started) }()
	ctx, cancel := context.WithTimeout(ctx, caseLimit)
	defer cancel()
	if err := c.runUnpacked(ctx, set, update, r); err != nil {
		r.problems = append(r.problems, err.Error())
	}
	return r
}

// runUnpacked runs the case where its files lie on the disk, as pipelines may read more of them.
func (c *testCase) runUnpacked(ctx context.Context, set []string, update bool, r *caseResult) (err error) {
	if c.wrong != nil {
		return c.wrong
	}
	if c.archive != nil {
		if c.root, err = os.MkdirTemp("", "penstock-case-"); err != nil {
			return fmt.Errorf("unpacking %s: %w", c.archive.file, err)
		}
		defer func() { err = errors.Join(err, os.RemoveAll(c.root)) }()
		defer func() {
			if err != nil {
				err = errors.New(c.archive.locate(err.Error(), c.root))
			}
			for i := range r.problems {
				r.problems[i] = c.archive.locate(r.problems[i], c.root)
			}
		}()
		if err := c.archive.unpack(c.root, c.within); err != nil {
			return fmt.Errorf("unpacking %s: %w", c.archive.file, err)
		}
		c.dir = filepath.Join(c.root, c.within)
	}
	if c.answers, err = serveAnswers(c.file(answersFile)); err != nil {
		return err
	}
	defer c.answers.close()
	if c.redis, err = serveRedis(c.file(redisFile)); err != nil {
		return err
	}
	defer c.redis.close()
	if err := c.readSettings(); err != nil {
		return err
	}
	file, err := c.execute(ctx, set, r)
	if err != nil {
		return err
	}
	if !update {
		return c.compare(file, r)
	}
	if err := c.update(file, r); err != nil {
		return err
	}
	if c.archive != nil {
		return c.archive.save()
	}
	return nil
}

// execute runs the pipeline over the input and keeps what each sink gets.
func (c *testCase) execute(ctx context.Context, set []string, r *caseResult) (*config.Pipeline, error) {
	loader := config.Loader{Kinds: c.kinds, Set: slices.Concat(c.settings.Set, set), Env: c.env, Repeatable: true}
	loaded, err := loader.Load(c.pipeline)
	if err != nil {
		return nil, c.invalid(err)
	}
	file := loaded.Pipelines[0]
	processes, err := c.recordProcesses(file)
	if err != nil {
		return nil, err
	}
	name, as, err := c.input()
	if err != nil {
		return nil, err
	}
	input, err := replay.New(replay.Settings{Files: []settings.Path{name}, As: as, Key: c.settings.Key}, replay.Options{})
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
	if err := startProcesses(ctx, all[0]); err != nil {
		all[0].discard()
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
		return nil, fmt.Errorf("running the pipeline: %w", c.inFile(err, string(name)))
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
	if c.redis.missing() {
		r.problems = append(r.problems, "the pipeline looked keys up in Redis, and there is no answers/redis.jsonl that says what they hold")
	}
	r.problems = append(r.problems, unansweredBy(processes)...)
	return file, nil
}

// inFile names the whole path in an error of the input, of which the source knows the last
// part.
func (c *testCase) inFile(err error, name string) error {
	var at *fixture.Error
	if errors.As(err, &at) {
		return &fixture.Error{File: name, Line: at.Line, Err: at.Err}
	}
	return err
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
			headers = append(headers, pipeline.Header{Name: h.Name, Value: k.c.hideAddresses(bytes.Clone(h.Value))})
		}
		var copied pipeline.Record
		copied.Init(rec.Position, bytes.Clone(rec.Key()), k.c.hideAddresses(bytes.Clone(rec.Value())), headers, rec.Time)
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

// hideAddresses puts names in place of addresses that are others in each run.
func (c *testCase) hideAddresses(text []byte) []byte {
	return c.redis.hideAddress(c.answers.hideAddress(text))
}
