package pipelinetest

import (
	"context"
	"slices"
	"sync"

	"github.com/penstockio/penstock/pipeline"
)

// A Memory is a sink that keeps copies of what it is given, for tests. Its zero value
// is ready.
type Memory struct {
	// Fail, when not nil, is called before each record is stored. With an error the record is
	// not stored, and after a transient one nothing behind it in the same Write is. It is set
	// before the first Write.
	Fail func(rec *pipeline.Record) error

	mu     sync.Mutex
	stored []*pipeline.Record
}

// Write implements pipeline.Sink.
func (m *Memory) Write(ctx context.Context, recs []*pipeline.Record) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var failed []pipeline.Failure
	var held error
	for i, rec := range recs {
		err := held
		if err == nil && m.Fail != nil {
			err = m.Fail(rec)
		}
		if err != nil {
			if _, permanent := pipeline.IsPermanent(err); !permanent {
				held = err
			}
			failed = append(failed, pipeline.Failure{Index: i, Err: err})
			continue
		}
		m.stored = append(m.stored, clone(rec))
	}
	if len(failed) > 0 {
		return &pipeline.WriteError{Failed: failed}
	}
	return nil
}

// clone copies a record with all its bytes.
func clone(rec *pipeline.Record) *pipeline.Record {
	s := see(rec)
	c := new(pipeline.Record)
	c.Init(s.pos, s.key, s.value, s.headers, s.time)
	c.Part = rec.Part
	return c
}

// Records gives the records stored so far, in order. They are not to be edited.
func (m *Memory) Records() []*pipeline.Record {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.stored)
}

// Values gives the values of the records stored so far, in order.
func (m *Memory) Values() [][]byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	values := make([][]byte, len(m.stored))
	for i, rec := range m.stored {
		values[i] = rec.Value()
	}
	return values
}

// Close implements pipeline.Sink.
func (m *Memory) Close(context.Context) error { return nil }
