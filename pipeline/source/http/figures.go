package http

import (
	"strconv"
	"sync/atomic"

	"github.com/penstockio/penstock/pipeline"
)

// figures count requests. Statuses and reasons are few and known, so that counting takes no lock.
type figures struct {
	statuses map[int]*atomic.Int64
	why      map[string]*atomic.Int64
	waiting  atomic.Int64
}

// statuses are those that may be answered.
var statuses = []int{200, 202, 204, 400, 401, 403, 404, 405, 408, 413, 415, 421, 422, 429, statusGone, 503}

func (f *figures) init() {
	f.statuses, f.why = map[int]*atomic.Int64{}, map[string]*atomic.Int64{}
	for _, status := range statuses {
		f.statuses[status] = new(atomic.Int64)
	}
	for _, reason := range reasons {
		f.why[reason] = new(atomic.Int64)
	}
}

func (f *figures) answered(status int)   { f.statuses[status].Add(1) }
func (f *figures) refused(reason string) { f.why[reason].Add(1) }

// wait counts a request that waits for an outcome until the function it gives is called.
func (f *figures) wait() func() {
	f.waiting.Add(1)
	return func() { f.waiting.Add(-1) }
}

// report adds the counts to a report.
func (f *figures) report(r *pipeline.Report) {
	r.Answers, r.Refusals, r.RequestsWaiting = map[string]int64{}, map[string]int64{}, f.waiting.Load()
	for status, n := range f.statuses {
		if n := n.Load(); n > 0 {
			r.Answers[strconv.Itoa(status)] = n
		}
	}
	for reason, n := range f.why {
		if n := n.Load(); n > 0 {
			r.Refusals[reason] = n
		}
	}
}
