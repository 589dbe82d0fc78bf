package calls

import "github.com/penstockio/penstock/pipeline"

// This file is what calls say of themselves to those who ask what holds a record up: pipeline.Hosted.

// causes are what a call waits for, in the words of pipeline.Hosted.
var causes = [...]string{
	forPause: "host", forCircuit: "breaker", forBudget: "retry_budget", forPlace: "host", forRate: "rate",
}

// causeOfJoining is that of a call which waits for the answer to an equal one.
const causeOfJoining = "equal_call"

// cause says what the last enter waits for.
func (t *passage) cause() string {
	h := &t.row.value
	h.mu.Lock()
	defer h.mu.Unlock()
	return causes[t.reason]
}

// Host implements pipeline.Hosted.
func (a *asking[A]) Host() string { return a.q.Host }

// Cause says which limit holds the call back.
func (a *asking[A]) Cause() string { return a.passage.cause() }

// Leads says what those wait at that wait for the answer of the call (pipeline.Joiner).
func (a *asking[A]) Leads() any {
	if a.flight == nil {
		return nil
	}
	return a.flight
}

// Host implements pipeline.Hosted. It is that of the call which it waits for.
func (j *joining[A]) Host() string { return j.q.Host }

// Cause says which limit holds the call back.
func (j *joining[A]) Cause() string {
	if c, ok := j.instead.(interface{ Cause() string }); ok {
		return c.Cause()
	}
	return causeOfJoining
}

// Leads is that of the call in its place.
func (j *joining[A]) Leads() any {
	if l, ok := j.instead.(interface{ Leads() any }); ok {
		return l.Leads()
	}
	return nil
}

// Host implements pipeline.Hosted.
func (w *way) Host() string { return w.passage.row.value.name }

// Cause says which limit holds the call back.
func (w *way) Cause() string { return w.passage.cause() }

var (
	_ pipeline.Hosted = (*asking[int])(nil)
	_ pipeline.Hosted = (*joining[int])(nil)
	_ pipeline.Hosted = (*way)(nil)
)
