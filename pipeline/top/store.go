package top

import (
	"cmp"
	"slices"
	"sync"
	"time"
)

// What a Store keeps at most. A log is written by others: whatever stands in it, memory has a bound.
const (
	mostInstances  = 256
	mostPipelines  = 256 // of an instance
	mostSteps      = 1_000
	mostPartitions = 20_000
	mostErrors     = 1_000
	mostEvents     = 10_000
	mostValues     = 400_000 // of all series: some 150 MB; then the older half is thinned out
)

// A Store holds what is known of instances and their pipelines over time. It is safe for concurrent
// use.
type Store struct {
	mu        sync.Mutex
	keep      time.Duration // how far back figures are kept; 0: all
	partsOnly bool          // of partitions and errors only the latest value is kept

	instances []*instance
	frames    []time.Time // when an interval has ended somewhere
	events    []Event
	values    int // in all series
	room      int // how many there may be
	thinAt    int // how many there have to be until they are thinned out again

	teller  *instance // that has said the last line of a log
	changes uint64
	left    int    // things that found no room
	source  string // where the figures come from, for people
	ended   bool   // nothing more comes
	problem string // why nothing more comes
	latest  time.Time
}

// NewStore makes one for figures from a source that people know under that name. keep bounds how far back
// figures are kept; 0: all are.
func NewStore(source string, keep time.Duration) *Store {
	return &Store{source: source, keep: keep, room: mostValues}
}

// instance is a run of a process.
type instance struct {
	Instance
	from      time.Time // its lines are of this time or later; zero: not known
	pipelines []*pipeline
	endedAt   time.Time // zero: it has not
	state     series[string]

	// Of a log (runs.go):
	interval      time.Duration
	raw           time.Time     // of the latest line, as that says
	first, steady time.Time     // from when to when it says lines, as they say and as far as that is believed; zero: it is of no log
	others        []time.Time   // steady of all when it began to say what it has said last; zero: nothing yet
	shift         time.Duration // what its clock is ahead of its lines
	heardAt       time.Time     // the latest time on that clock
}

// pipeline is one of an instance.
type pipeline struct {
	name                    string
	stats                   series[Pipeline] // without what follows
	steps                   []*tracked[Step]
	partitions              map[partitionKey]*tracked[Partition]
	errors                  map[errorKey]*tracked[ErrorCount]
	notes                   []*tracked[string] // what is wrong, by what; "": it is right again
	ended                   *Pipeline          // its totals, said when it ended
	endedAt                 time.Time
	holds                   []string
	holdsKnown, errorsKnown bool
}

// tracked is a thing with its values.
type tracked[T any] struct {
	name string
	role Role
	series[T]
}

type partitionKey struct {
	topic     string
	partition int64
}

type errorKey struct{ step, kind string }

// change runs f while nobody else looks.
func (s *Store) change(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
	s.changes++
	if s.values > max(s.room, s.thinAt) {
		s.thin()
		s.thinAt = s.values + s.room/10 // it is a walk through everything, and short series do not become shorter
	}
}

// Changes counts how often something has come.
func (s *Store) Changes() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changes
}

// End says that nothing more comes, and why, if that is a fault.
func (s *Store) End(err error) {
	s.change(func() {
		if s.ended = true; err != nil {
			s.problem = err.Error()
		}
	})
}

// run gives the run of an id that a line of that time is of: the latest that had begun by then. It is made when there is none; nil: there
// is no room.
func (s *Store) run(id string, at time.Time) *instance {
	var found, first *instance
	for _, in := range s.instances {
		switch {
		case in.ID != id:
		case in.from.After(at):
			first = cmp.Or(first, in)
		case found == nil || !in.from.Before(found.from):
			found = in
		}
	}
	if found = cmp.Or(found, first); found == nil {
		found = s.newRun(id, time.Time{})
	}
	return found
}

// startedRun gives the run of an id that has started at that time: a container that is started again has the same id. A log may be there twice.
func (s *Store) startedRun(id string, at time.Time) *instance {
	for _, in := range s.instances {
		if in.ID == id && (in.from.Equal(at) || in.from.IsZero() && len(in.pipelines) == 0 && in.endedAt.IsZero()) {
			in.from = at
			return in
		}
	}
	return s.newRun(id, at)
}

// newRun adds another run of an id.
func (s *Store) newRun(id string, from time.Time) *instance {
	if len(s.instances) >= mostInstances {
		s.left++
		return nil
	}
	in := &instance{Instance: Instance{ID: id, ExitCode: -1, UptimeMs: -1}, from: from}
	s.instances = append(s.instances, in)
	return in
}

func (s *Store) pipelineOf(in *instance, name string) *pipeline {
	for _, p := range in.pipelines {
		if p.name == name {
			return p
		}
	}
	if len(in.pipelines) >= mostPipelines {
		s.left++
		return nil
	}
	p := &pipeline{name: name, partitions: map[partitionKey]*tracked[Partition]{}, errors: map[errorKey]*tracked[ErrorCount]{}}
	in.pipelines = append(in.pipelines, p)
	return p
}

// frame notes that an interval has ended at t. Those of several instances within a second are one.
func (s *Store) frame(t time.Time) {
	if t.After(s.latest) {
		s.latest = t
	}
	i, found := slices.BinarySearchFunc(s.frames, t, time.Time.Compare)
	near := func(i int) bool { return i >= 0 && i < len(s.frames) && s.frames[i].Sub(t).Abs() < frameApart }
	if !found && !near(i) && !near(i-1) {
		s.frames = slices.Insert(s.frames, i, t)
	}
}

const frameApart = 800 * time.Millisecond

func (s *Store) putStats(p *pipeline, v *Pipeline) {
	p.stats.put(v.At, v)
	s.values++
	s.frame(v.At)
}

func (s *Store) putStep(p *pipeline, at time.Time, v *Step) {
	put(s, &p.steps, v.Name, v.Role, mostSteps, at, v)
}

func (s *Store) putPartition(p *pipeline, at time.Time, v *Partition) {
	putIn(s, p.partitions, partitionKey{v.Topic, v.Partition}, mostPartitions, at, v)
}

func (s *Store) putError(p *pipeline, at time.Time, v *ErrorCount) {
	putIn(s, p.errors, errorKey{v.Step, v.Type}, mostErrors, at, v)
}

// note says what is wrong with a thing of the pipeline; "": it is right again.
func (s *Store) note(p *pipeline, about string, at time.Time, text string) {
	put(s, &p.notes, about, "", mostSteps, at, &text)
}

// put adds a value of the thing of a name, which is made when it is new.
func put[T any](s *Store, all *[]*tracked[T], name string, role Role, room int, at time.Time, v *T) {
	for _, t := range *all {
		if t.name == name && t.role == role {
			t.put(at, v)
			s.values++
			return
		}
	}
	if len(*all) >= room {
		s.left++
		return
	}
	t := &tracked[T]{name: name, role: role}
	t.put(at, v)
	s.values++
	*all = append(*all, t)
}

func putIn[K comparable, T any](s *Store, all map[K]*tracked[T], key K, room int, at time.Time, v *T) {
	t := all[key]
	switch {
	case t == nil && len(all) >= room:
		s.left++
		return
	case t == nil:
		t = &tracked[T]{}
		all[key] = t
	case s.partsOnly:
		t.at[0], t.values[0] = at, v
		return
	}
	t.put(at, v)
	s.values++
}

func (s *Store) event(e Event) {
	if e.At.After(s.latest) {
		s.latest = e.At
	}
	i, _ := slices.BinarySearchFunc(s.events, e, func(a, b Event) int { return cmp.Or(a.At.Compare(b.At), -1) })
	s.events = slices.Insert(s.events, i, e)
	if len(s.events) > mostEvents {
		s.events = slices.Delete(s.events, 0, mostEvents/10)
	}
}

// forgetOld drops what is further back than is kept: of each instance by its own clock. in is the one that has said something.
func (s *Store) forgetOld(in *instance) {
	if s.keep <= 0 {
		return
	}
	before := s.nowOf(in).Add(-s.keep)
	from, _ := slices.BinarySearchFunc(s.frames, in.first, time.Time.Compare) // what was before it is of others
	if from == len(s.frames) || s.frames[from].After(before.Add(-s.keep/10)) {
		return // a tenth at a time: it is a walk through everything
	}
	s.eachSeries(func(in *instance, f forgetful) { f.forget(s.nowOf(in).Add(-s.keep)) })
	to, _ := slices.BinarySearchFunc(s.frames, before, time.Time.Compare)
	s.frames = slices.Delete(s.frames, from, max(from, to))
}

// thin makes room: of the older half every second value goes.
func (s *Store) thin() {
	s.eachSeries(func(_ *instance, f forgetful) { f.thin() })
	half, keep := len(s.frames)/2, 0
	for i := range s.frames {
		if i >= half || i%2 == 0 {
			s.frames[keep] = s.frames[i]
			keep++
		}
	}
	s.frames = s.frames[:keep]
}

// A forgetful thing can lose its old values.
type forgetful interface {
	forget(time.Time)
	thin()
	len() int
}

// eachSeries calls f for all series, and counts their values anew.
func (s *Store) eachSeries(f func(*instance, forgetful)) {
	s.values = 0
	for _, in := range s.instances {
		one := func(x forgetful) { f(in, x); s.values += x.len() }
		one(&in.state)
		for _, p := range in.pipelines {
			one(&p.stats)
			for _, t := range p.steps {
				one(t)
			}
			for _, t := range p.partitions {
				one(t)
			}
			for _, t := range p.errors {
				one(t)
			}
			for _, t := range p.notes {
				one(t)
			}
		}
	}
}

// Frames gives the moments that the figures of a log can be looked at, in the order of time.
func (s *Store) Frames() []time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.frames)
}
