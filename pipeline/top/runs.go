package top

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// This file finds the run that a line of a log is of, and what time it is for that run.
//
// An id of an instance may be of several runs: of a container that is started again, of a process that had the same
// number before. A run begins with process.started and ends with process.stopped, but either line may be missing, and a clock
// may be put back in between. So within one input the order of its lines counts: what comes behind a process.stopped is of
// another run, and so are totals that fall. Of the first line in an input its time tells, as files may be given in any order.
// Lines may come twice, when a reader has connected again: what is known is left where it is.
//
// A clock that is put back within a run would hide what comes then behind what came before. So the time of such a line is that
// of the one before it, and what follows goes on from there.

// clockBack is how far the lines of a run may be out of order: they are of several goroutines.
const clockBack = time.Second

// heard is what one input has said of a run.
type heard struct {
	in      *instance
	at      time.Time     // the time of the latest line, on the run's clock
	shift   time.Duration // what the run's clock is ahead of its lines
	stopped bool          // its end has come
}

// hears gives the run that a line is of, and puts the line's time on the run's clock. nil: there is no room.
func (l *Log) hears(line []byte, e *envelope) *instance {
	h := l.heard[e.Instance]
	if h == nil || e.Event == "process.started" {
		return l.begins(line, e)
	}
	s, total := l.store, totalIn(line, e)
	at := h.time(e)
	for _, t := range [...]time.Time{e.Timestamp, at} {
		if s.knows(h.in, e, t, total) {
			e.Timestamp, h.stopped = t, h.stopped || e.Event == "process.stopped"
			return h.in
		}
	}
	part := strings.HasSuffix(e.Event, ".stats") && e.Event != "pipeline.stats"
	switch {
	case part && !at.After(h.at): // of an interval that is known, or whose begin is missing: the next line tells
		e.Timestamp = at
		return h.in
	case h.stopped || h.in.endedBefore(at) || h.in.fallen(e, max(0, h.at.Sub(at)), at, total):
		return l.hear(e, s.newRun(e.Instance, e.Timestamp), e.Timestamp, 0)
	case at.Before(h.at.Add(-clockBack)):
		h.shift += h.at.Sub(at)
		at = h.time(e)
	}
	return l.hear(e, h.in, at, h.shift)
}

// endedBefore says whether the run is known to have ended before a moment.
func (in *instance) endedBefore(at time.Time) bool {
	return !in.endedAt.IsZero() && at.After(in.endedAt)
}

// begins gives the run of the first line that an input has of an instance, or of one that starts.
func (l *Log) begins(line []byte, e *envelope) *instance {
	s := l.store
	if e.Event == "process.started" {
		in := s.startedRun(e.Instance, e.Timestamp)
		if h := l.heard[e.Instance]; h != nil && h.in == in { // it has come before, or is not the first line of its run
			return in
		}
		return l.hear(e, in, e.Timestamp, 0)
	}
	in := s.run(e.Instance, e.Timestamp)
	if in == nil {
		return nil
	}
	at, shift := e.Timestamp, time.Duration(0)
	if in.shift != 0 && !at.Before(in.raw) { // it goes on where another input has ended
		at, shift = at.Add(in.shift), in.shift
	}
	another := e.Event == "process.stopped" && !in.endedAt.IsZero() && !at.Equal(in.endedAt)
	if another || in.endedBefore(at) || in.fallen(e, 0, at, totalIn(line, e)) {
		in, at, shift = s.newRun(e.Instance, e.Timestamp), e.Timestamp, 0
	}
	return l.hear(e, in, at, shift)
}

// hear notes that a line is of a run, and when it was said.
func (l *Log) hear(e *envelope, in *instance, at time.Time, shift time.Duration) *instance {
	if in == nil {
		delete(l.heard, e.Instance)
		return nil
	}
	h := l.heard[e.Instance]
	if h == nil || h.in != in {
		if l.heard == nil {
			l.heard = map[string]*heard{}
		}
		h = &heard{in: in}
		l.heard[e.Instance] = h
	}
	h.shift, h.stopped = shift, e.Event == "process.stopped"
	if at.After(h.at) {
		h.at = at
	}
	l.store.says(in, e.Timestamp)
	in.shift, in.heardAt = shift, h.at
	e.Timestamp = at
	return in
}

// time gives the time of a line on the run's clock. What would be behind the last year that can be written stays as it is.
func (h *heard) time(e *envelope) time.Time {
	if at := e.Timestamp.Add(h.shift); at.UTC().Year() <= 9999 {
		return at
	}
	return e.Timestamp
}

// totalIn gives the records that a pipeline has taken in, where a line says it; -1: it does not.
func totalIn(line []byte, e *envelope) int64 {
	if e.Event != "pipeline.stats" {
		return -1
	}
	var f struct {
		Total int64 `json:"records_in_total"`
	}
	if json.Unmarshal(line, &f) != nil {
		return -1
	}
	return f.Total
}

// named gives the pipeline of a name; nil: there is none yet.
func (in *instance) named(name string) *pipeline {
	i := slices.IndexFunc(in.pipelines, func(p *pipeline) bool { return p.name == name })
	if i < 0 {
		return nil
	}
	return in.pipelines[i]
}

// fallen says whether a total is less than it was in the run by then, which it never is. back is how far behind the
// latest line of the run that is: then the latest total counts, since the clock may have been put back.
func (in *instance) fallen(e *envelope, back time.Duration, at time.Time, total int64) bool {
	p := in.named(e.Pipeline)
	if p == nil || total < 0 {
		return false
	}
	if back > clockBack {
		at = at.Add(back)
	}
	_, was := p.stats.last(at)
	return was != nil && total < was.In
}

// knows says whether a line has come before.
func (s *Store) knows(in *instance, e *envelope, at time.Time, total int64) bool {
	if total >= 0 {
		if p := in.named(e.Pipeline); p != nil {
			was, v := p.stats.last(at)
			return v != nil && was.Equal(at) && v.In == total
		}
		return false
	}
	if strings.HasSuffix(e.Event, ".stats") {
		return false
	}
	i, _ := slices.BinarySearchFunc(s.events, at, func(o Event, t time.Time) int { return cmp.Or(o.At.Compare(t), 1) })
	for ; i < len(s.events) && s.events[i].At.Equal(at); i++ {
		if o := &s.events[i]; o.Name == e.Event && o.Instance == e.Instance && o.Pipeline == e.Pipeline {
			return true
		}
	}
	return false
}

// What time it is for an instance at the end of what is known. The clocks of instances may differ, and a log says nothing of that. So
// it is the time of its own last line, and what others have gone on since that came. Others whose lines all come behind it, as in
// one file after the other, tell by their times whether they were there when it was.

// mostStep is how far one line moves what is believed of a clock, beside an interval.
const mostStep = 5 * time.Second

// says notes that an instance has said a line at a time of its clock.
func (s *Store) says(in *instance, at time.Time) {
	in.tells(at)
	if s.teller == in {
		return // nobody else has gone on
	}
	s.teller = in
	in.others = in.others[:0]
	for _, o := range s.instances {
		in.others = append(in.others, o.steady)
	}
}

// tells moves what is believed of the instance's clock. One line from a far future is not believed; the next one
// tells whether that was true.
func (in *instance) tells(at time.Time) {
	was := in.raw
	in.raw = at
	gap, most := at.Sub(was), mostStep+in.interval
	switch {
	case in.first.IsZero():
		in.first, in.steady = at, at
	case at.Before(in.steady): // it was put back
		in.steady = at
	case gap <= 0: // of the same interval
	case at.Sub(in.steady) <= most, gap >= max(in.interval, time.Second)/2 && gap <= most:
		in.steady = at
	default:
		in.steady = in.steady.Add(most)
	}
}

// nowOf gives what time it is for an instance.
func (s *Store) nowOf(in *instance) time.Time {
	if in.first.IsZero() { // of an endpoint: all are looked at by one clock
		return s.latest
	}
	ahead := time.Duration(0)
	for i, o := range s.instances {
		switch {
		case o == in || o.first.IsZero():
		case i < len(in.others) && !in.others[i].IsZero():
			ahead = max(ahead, o.steady.Sub(in.others[i]))
		case o.ID == in.ID || !silent(o.first, in.steady, in.interval.Milliseconds()):
			ahead = max(ahead, o.steady.Sub(in.steady))
		}
	}
	if now := in.steady.Add(in.shift + ahead); now.After(in.heardAt) {
		return now
	}
	return in.heardAt
}

// every notes how often an instance says its figures.
func (in *instance) every(ms int64) {
	in.interval = time.Duration(min(max(ms, 0), 3_600_000)) * time.Millisecond
}
