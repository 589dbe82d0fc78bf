package calls

import (
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// A failure is what a call has failed with.
type failure struct {
	period uint64
	tries  bool
	out    bool // the host is out of service, it says
	late   bool // there was no answer in time
	began  time.Duration

	attempt   int           // its number
	again     bool          // an attempt at the record has failed before
	first     time.Duration // when the first that did ended
	firstFrom time.Duration // when that began
	uncounted int           // attempts at the record that did not count
}

func newFailure(t *passage, r *pipeline.CallResult, a *account, zero time.Time, began time.Duration) failure {
	f := failure{period: t.period, tries: t.tries, out: a.out, late: a.late, began: began, attempt: t.attempt}
	if f.again = !r.Failed.IsZero(); f.again {
		f.first, f.firstFrom, f.uncounted = r.Failed.Sub(zero), r.FailedFrom.Sub(zero), r.Uncounted
	}
	return f
}

const (
	// farOvertaken is how many times the mean latency of an answer a call must have begun before others that
	// were answered. Less is nothing special: latencies differ, and when a host goes away, those calls are
	// left that happened to take longer.
	farOvertaken = 4

	// patience is how many attempts of a record do not count though it is a suspect on weak grounds, or though the
	// host has asked to wait.
	patience = 20
)

// Suspects know which failures are rather those of a record than of its host. Who fails again and again
// would otherwise open a circuit alone, and as nothing of that counts, hold up all behind it for ever. The
// lock of the host guards them.
//
// Of two things one is known. A host that has given a plain answer of failure, like 500, is there, and one
// record alone is no reason to leave it alone: from its second failure on it is the record's, unless several fail so and
// the host is left alone for it. And a host
// that has answered a call which began after the record had failed is there for others. That cannot be
// seen where a call takes long to fail: by then the window may be full of answered records, and nobody
// else is left to ask. So it is enough that calls were answered which began long after that attempt
// had; or just after it, when no other record has failed since, or more suspects than others have, or when it
// has waited for long.
type suspects struct {
	any     bool
	latest  time.Duration // when the last to begin of the calls that were answered began, if any was
	took    time.Duration // mean of those
	records int           // that have failed since the last answer, without suspects; from 2 on it is not exact
	strong  int           // failures of suspects since then
	since   time.Duration // when the first of them did
	other   time.Duration // first, of the last that had failed before that too
}

func (s *suspects) answered(began, at time.Duration) {
	took := at - began
	if !s.any {
		s.any, s.latest, s.took = true, began, took
	}
	s.latest = max(s.latest, began)
	s.took += (took - s.took) / 16
	s.records, s.strong = 0, 0
}

// failed says of a failure whether it is an attempt of the record whatever the state of the circuit, and
// whether it is a sign that the host is gone. left: the host is left alone.
func (s *suspects) failed(f *failure, left bool, at time.Duration) (own, sign bool) {
	if s.suspect(f) {
		s.strong++
		return true, false
	}
	switch {
	case s.records == 0:
		s.records, s.since, s.other = 1, at, f.first
	case !f.again:
		s.records++
	case f.first < s.since && f.first != s.other:
		s.records++
		s.other = f.first
	}
	switch {
	case !f.again:
		return false, !s.slow(f, at)
	case s.strong >= s.records, s.weakly(f) && (s.records == 1 || f.uncounted >= patience):
		return true, false
	case !f.out && !f.late:
		several := s.records >= fewFailures
		return !several || !left || f.uncounted >= patience, several
	}
	return false, !s.slow(f, at)
}

// suspect says whether the host answers others.
func (s *suspects) suspect(f *failure) bool {
	return f.again && (s.overtaken(f.first) || s.overtaken(f.firstFrom+farOvertaken*s.took))
}

// weakly says whether it has answered others, which may have been before it went away.
func (s *suspects) weakly(f *failure) bool { return f.again && s.any && s.latest >= f.firstFrom }

// refused says whether an attempt is the record's though the host has asked to wait: it has asked the
// same of it too often, and others have been answered.
func (s *suspects) refused(f *failure) bool { return f.uncounted >= patience && s.weakly(f) }

// overtaken says whether a call was answered that began after a time.
func (s *suspects) overtaken(began time.Duration) bool { return s.any && s.latest > began }

// slow says whether a failure has come much later than answers do, and others were answered that began after
// its call: that is no sign that the host has gone away.
func (s *suspects) slow(f *failure, at time.Duration) bool {
	return s.overtaken(f.began) && (f.late || at-f.began > farOvertaken*s.took)
}
