package engine

import (
	"cmp"
	"slices"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/event"
)

const (
	maxTypes     = 20          // error types of a step, further ones are counted as _other
	exampleEvery = time.Second // an example is kept for that long: where all attempts fail, most need no text
)

// An errorCount counts the errors of one type in a step or sink, with an example.
type errorCount struct {
	total   int64             // since the start
	message string            // of the example,
	at      pipeline.Position // the record that it was about,
	when    time.Time         // and when it was taken
}

// failed counts a failed attempt, in all and by its type: under one lock, so that the types add up to Counts.Errors.
func (m *meter) failed(at pipeline.Position, err error) {
	kind, now := errorType(err), time.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.sealed {
		return
	}
	m.counts.Errors++
	if m.errors == nil {
		m.errors = map[string]*errorCount{}
	}
	c := m.errors[kind]
	if c == nil {
		if len(m.errors) >= maxTypes {
			kind = event.Other
		}
		if c = m.errors[kind]; c == nil {
			c = &errorCount{}
			m.errors[kind] = c
		}
	}
	if c.total == 0 || now.Sub(c.when) >= exampleEvery {
		c.message, c.at, c.when = clip(textOf(err.Error), maxSample), at, now
	}
	c.total++
}

// errorCounts gives what has failed since the start. The meter's lock is held.
func (m *meter) errorCounts() []ErrorCount {
	var all []ErrorCount
	for kind, c := range m.errors {
		all = append(all, ErrorCount{Type: kind, Total: c.total, Message: c.message, Position: c.at, At: c.when})
	}
	slices.SortFunc(all, func(a, b ErrorCount) int { return cmp.Compare(a.Type, b.Type) })
	return all
}
