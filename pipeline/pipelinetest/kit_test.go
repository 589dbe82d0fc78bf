package pipelinetest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/penstockio/penstock/pipeline"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestMemory(t *testing.T) {
	Sink(t, func(t *testing.T) SinkUnderTest {
		var mu sync.Mutex
		var failing bool
		refuse := []byte(`{"refuse":"` + canary + `"}`)
		m := &Memory{Fail: func(rec *pipeline.Record) error {
			mu.Lock()
			defer mu.Unlock()
			if failing && rec.Offset == 3 {
				return errors.New("not now")
			}
			if string(rec.Value()) == string(refuse) {
				return pipeline.Permanent(errors.New("storing: refused"))
			}
			return nil
		}}
		set := func(to bool) {
			mu.Lock()
			failing = to
			mu.Unlock()
		}
		return SinkUnderTest{
			Sink:   m,
			Stored: func() ([][]byte, error) { return m.Values(), nil },
			Reject: refuse,
			Fail: func() func() {
				set(true)
				return func() { set(false) }
			},
		}
	})
}

// A mutant breaks one rule; the check of that rule has to notice.
type sinkMutant struct {
	Memory
	write func(m *sinkMutant, ctx context.Context, recs []*pipeline.Record) error
	kept  []*pipeline.Record
	calls int
}

func (m *sinkMutant) Write(ctx context.Context, recs []*pipeline.Record) error {
	return m.write(m, ctx, recs)
}

func TestSinkKitNotices(t *testing.T) {
	for name, write := range map[string]func(m *sinkMutant, ctx context.Context, recs []*pipeline.Record) error{
		"stores": func(m *sinkMutant, ctx context.Context, recs []*pipeline.Record) error {
			return m.Memory.Write(ctx, recs[:len(recs)/2])
		},
		"concurrent lanes": func(m *sinkMutant, ctx context.Context, recs []*pipeline.Record) error {
			recs = slices.Clone(recs)
			slices.Reverse(recs)
			return m.Memory.Write(ctx, recs)
		},
		"empty write": func(m *sinkMutant, ctx context.Context, recs []*pipeline.Record) error {
			if len(recs) == 0 {
				return errors.New("nothing to write")
			}
			return m.Memory.Write(ctx, recs)
		},
		"edits nothing": func(m *sinkMutant, ctx context.Context, recs []*pipeline.Record) error {
			for _, rec := range recs {
				if err := rec.SetRaw("seen", []byte("true")); err != nil {
					return err
				}
			}
			return m.Memory.Write(ctx, recs)
		},
		"keeps nothing": func(m *sinkMutant, ctx context.Context, recs []*pipeline.Record) error {
			for _, rec := range m.kept { // writes the batch before this one
				m.stored = append(m.stored, clone(rec))
			}
			m.kept = slices.Clone(recs)
			return nil
		},
		"odd values": func(m *sinkMutant, ctx context.Context, recs []*pipeline.Record) error {
			for _, rec := range recs {
				if rec.Tombstone() {
					return pipeline.Permanent(errors.New("a tombstone"))
				}
			}
			return m.Memory.Write(ctx, recs)
		},
		"ended context": func(m *sinkMutant, _ context.Context, recs []*pipeline.Record) error {
			if m.calls++; m.calls == 1 {
				return nil
			}
			return m.Memory.Write(context.Background(), recs)
		},
		"rejects": func(m *sinkMutant, ctx context.Context, recs []*pipeline.Record) error {
			if i := slices.IndexFunc(recs, func(r *pipeline.Record) bool { return r.Offset == 1<<40 }); i >= 0 {
				return &pipeline.WriteError{Failed: []pipeline.Failure{{Index: i, Err: pipeline.Reject("Bad Reason", errors.New(string(recs[i].Value())))}}}
			}
			return m.Memory.Write(ctx, recs)
		},
		"fails for the time being": func(m *sinkMutant, ctx context.Context, recs []*pipeline.Record) error {
			if m.calls++; m.calls > 1 {
				return m.Memory.Write(ctx, recs)
			}
			later := append(slices.Clone(recs[:2]), recs[3:]...) // stores what is behind the failed one
			if err := m.Memory.Write(ctx, later); err != nil {
				return err
			}
			return &pipeline.WriteError{Failed: []pipeline.Failure{{Index: 2, Err: errors.New("not now")}}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			i := slices.IndexFunc(sinkChecks, func(c check[SinkUnderTest]) bool { return c.name == name })
			m := &sinkMutant{write: write}
			err := sinkChecks[i].run(t.Context(), SinkUnderTest{
				Sink:   m,
				Stored: func() ([][]byte, error) { return m.Values(), nil },
				Reject: []byte(`{"bad":1}`),
				Fail:   func() func() { return func() {} },
			})
			if err == nil {
				t.Error("the check did not notice")
			}
		})
	}
}

type stageMutant struct {
	process func(m *stageMutant, rec *pipeline.Record) error
	kept    []byte
	mu      sync.Mutex
}

func (m *stageMutant) Process(_ context.Context, rec *pipeline.Record) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.process(m, rec)
}

func TestStageKitNotices(t *testing.T) {
	for name, process := range map[string]func(m *stageMutant, rec *pipeline.Record) error{
		"works": func(m *stageMutant, rec *pipeline.Record) error {
			rec.Offset++
			return nil
		},
		"keeps nothing": func(m *stageMutant, rec *pipeline.Record) error {
			last := append([]byte{'"'}, append(slices.Clone(m.kept), '"')...)
			m.kept = rec.Key()
			return rec.SetRaw("last", last)
		},
		"shares nothing": func(m *stageMutant, rec *pipeline.Record) error {
			m.kept = append(append(append(m.kept[:0], '"'), rec.Value()[:4]...), '"')
			for i := range m.kept[1 : len(m.kept)-1] {
				m.kept[1+i] = 'a' + byte(rec.Offset)
			}
			rec.SetValue(m.kept)
			return nil
		},
		"concurrent records": func(m *stageMutant, rec *pipeline.Record) error {
			m.kept = append(m.kept, '1')
			return rec.SetRaw("count", slices.Clone(m.kept))
		},
		"leaves the rest alone": func(m *stageMutant, rec *pipeline.Record) error {
			return rec.SetRaw("kit_rest", []byte(`[1]`))
		},
		"tombstone": func(m *stageMutant, rec *pipeline.Record) error {
			rec.SetValue([]byte(`{}`))
			return nil
		},
		"no object": func(m *stageMutant, rec *pipeline.Record) error {
			return errors.New("a value that I do not like")
		},
		"no JSON": func(m *stageMutant, rec *pipeline.Record) error {
			return pipeline.Permanent(errors.New(string(rec.Value())))
		},
		"rejects": func(m *stageMutant, rec *pipeline.Record) error { return nil },
		"ended context": func(m *stageMutant, rec *pipeline.Record) error {
			return pipeline.Permanent(errors.New("the context ended"))
		},
		"hangs": func(m *stageMutant, rec *pipeline.Record) error { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			i := slices.IndexFunc(stageChecks, func(c stageCheck) bool { return c.name == name })
			noticed := false
			for range 20 { // the one about concurrency needs luck
				err := stageChecks[i].run(t.Context(), func() StageUnderTest {
					return StageUnderTest{
						Stage:  &stageMutant{process: process},
						Hit:    func(n int) []byte { return []byte(`{"a":1}`) },
						Reject: []byte(`{"bad":1}`),
						Hang:   func() (<-chan struct{}, func()) { return nil, func() {} },
					}
				})
				noticed = noticed || err != nil
			}
			if !noticed {
				t.Error("the check did not notice")
			}
		})
	}
}
