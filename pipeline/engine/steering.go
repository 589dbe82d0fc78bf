package engine

import (
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// This file pauses a pipeline, or one of its lanes, by command.
//
// What it guarantees. No record is made of a lane that is paused. What is in flight goes on as ever: attempts, writes,
// commits, transactions, and the handing back of a lane that ends. So a pause changes neither order nor marks (I1, I5), and when
// nothing is in flight any more all that was begun is committed.
//
// A lane that is paused by its name is so for as long as the pipeline runs, whoever ends it: it comes again paused, after a rebalance as
// after a rest (rest.go). Who has paused it wants no more of its records here, and is not asked when the group moves it.
//
// How. A paused lane is held back (lane.holdBack), as by a step that has too much of it: the filler passes over it, and
// its source reads no more of it than it may have waiting. A pause of the pipeline holds back each lane that is there, and each that
// comes.
//
// A pause must not keep a run from ending. A stop hands back what waits, and so does an error that stops the pipeline. Where neither
// may be, as the source cannot read it again or has failed itself, what waits has to be finished: then all pauses end (end), and none
// begins any more. So does that of a lane which is given up and cannot be handed back.
//
// Not chosen. To stop the steps too, as the pause of a budget of rejections does (rejections.go): that pause is for want
// of a look at what fails, and what is in flight would fail too. A pause by command is for people, who want to know
// that nothing is under way any more before they touch what a step calls.

// A steering is what of a pipeline is steered by command.
type steering struct {
	p     *shared
	seed  maphash.Seed            // of the hashes of keys
	skips atomic.Pointer[skipSet] // what is skipped; nil: nothing is

	mu     sync.Mutex // guards the rest; taken before the set of lanes and the budget
	paused bool
	over   bool // nothing is paused any more
	since  time.Time
	named  map[string]time.Time // lanes that are paused by their names, and since when; also while they are away
	comes  map[string]bool      // lanes that the pipeline itself has ended last, to come to rest, and that its source opens again
	bare   bool                 // a change is under way that takes the dead letters away: nothing more is skipped
}

func (s *steering) init(p *shared) { s.p, s.seed = p, maphash.MakeSeed() }

// hash gives the hash of a key that records have in their tracks.
func (s *steering) hash(key []byte) uint64 { return maphash.Bytes(s.seed, key) }

// A laneSteering is what of one lane is. Guarded by steering.
type laneSteering struct {
	alone bool // it is paused by its name
	since time.Time
	free  bool // nothing pauses it any more
	held  bool // it is held back
}

// open takes a lane in, unless the pipeline stops. One that comes in a pause is paused.
func (s *steering) open(l *lane) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.p.lanes.add(l) {
		return false
	}
	delete(s.comes, l.name)
	l.steered.since, l.steered.alone = s.named[l.name]
	s.hold(l)
	return true
}

// sentBack notes that the pipeline itself ends lanes, which come again: until then they are there for whoever names one.
func (s *steering) sentBack(lanes []*lane) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.comes = map[string]bool{}
	for _, l := range lanes {
		s.comes[l.name] = true
	}
}

// mayCome says whether a position is one of a lane that comes again.
func (s *steering) mayCome(at pipeline.Position) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.comes[at.Topic+"/"+strconv.Itoa(int(at.Partition))] || s.comes[at.Topic] && at.Partition == 0
}

// hold holds a lane back, or lets it go, as is asked for by now. The lock is held.
func (s *steering) hold(l *lane) {
	st := &l.steered
	hold := (s.paused || st.alone) && !s.over && !st.free
	if hold == st.held {
		return
	}
	if st.held = hold; hold {
		l.holdBack()
	} else {
		l.release()
	}
}

func (s *steering) holdAll() {
	for _, l := range s.p.lanes.all() {
		s.hold(l)
	}
}

// pause pauses the pipeline, or ends that.
func (s *steering) pause(yes bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if yes && !s.paused {
		s.since = time.Now()
	}
	s.paused = yes
	s.holdAll()
}

// mostPausedLanes is how many lanes may be paused by their names (I4): by hand nobody gets there.
const mostPausedLanes = 1000

// pauseLane pauses the lanes of a name, or ends that. There is one that takes batches; a second one only while the first is ending; and
// none while a paused one is away.
func (s *steering) pauseLane(name string, yes bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	since, was := s.named[name]
	var there []*lane
	for _, l := range s.p.lanes.all() {
		if l.name == name && !l.isEnding() {
			there = append(there, l)
		}
	}
	switch {
	case len(there) == 0 && !was && !s.comes[name]:
		return fmt.Errorf("lane %q: %w", name, ErrNoLane)
	case !yes:
		delete(s.named, name)
	case was:
	case len(s.named) == mostPausedLanes:
		return fmt.Errorf("lane %q: %d lanes are paused already, and there may be no more: pause the pipeline", name, mostPausedLanes)
	default:
		since = time.Now()
		if s.named == nil {
			s.named = map[string]time.Time{}
		}
		s.named[name] = since
	}
	for _, l := range there {
		l.steered.since, l.steered.alone = since, yes
		s.hold(l)
	}
	return nil
}

// free has a lane paused no more: what waits of it has to be finished, as it ends.
func (s *steering) free(l *lane) {
	s.mu.Lock()
	l.steered.free = true
	s.hold(l)
	s.mu.Unlock()
}

// end has nothing paused any more: what waits has to be finished, as the pipeline ends.
func (s *steering) end() {
	s.mu.Lock()
	s.over = true
	s.holdAll()
	s.mu.Unlock()
}

// pausedByCommand is what Snapshot.PausedBy says of a pause by command.
const pausedByCommand = "command"

// show puts into a snapshot what is steered.
func (s *steering) show(snap *Snapshot) {
	s.forgetPassed()
	snap.Skipped = s.skips.Load().size()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return
	}
	if s.paused && snap.State == "running" {
		snap.State, snap.PausedBy = statePaused, pausedByCommand
	}
	for _, l := range s.p.lanes.all() {
		if l.steered.alone && !l.isEnding() {
			snap.PausedLanes = append(snap.PausedLanes, l.name)
		}
	}
	for name := range s.comes {
		if _, paused := s.named[name]; paused {
			snap.PausedLanes = append(snap.PausedLanes, name)
		}
	}
	slices.Sort(snap.PausedLanes)
	snap.PausedLanes = slices.Compact(snap.PausedLanes) // one may be about to end
}

// holds says whether a command pauses a lane.
func (s *steering) holds(l *lane) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return l.steered.held
}

// describe says what batches of a lane wait for, if that is the end of a pause by command.
func (s *steering) describe(l *lane, h *Hold, now time.Time) bool {
	s.mu.Lock()
	st, paused, since := l.steered, s.paused, s.since
	s.mu.Unlock()
	if !st.held {
		return false
	}
	h.For = "the end of the pause that a command has asked for"
	if !paused || st.alone && st.since.Before(since) {
		h.For, since = "the end of the pause of its lane that a command has asked for", st.since
	}
	h.Root, h.State, h.Cause, h.Since = h.Position, statePaused, CauseLimit, min(max(now.Sub(since), 0), h.Age)
	return true
}

// isEnding says whether the lane takes no more batches.
func (l *lane) isEnding() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ending
}

// Pause implements [Controller].
func (p *Pipeline) Pause() { p.steer.pause(true) }

// Resume implements [Controller].
func (p *Pipeline) Resume() { p.steer.pause(false) }

// PauseLane implements [Controller].
func (p *Pipeline) PauseLane(lane string) error { return p.steer.pauseLane(lane, true) }

// ResumeLane implements [Controller].
func (p *Pipeline) ResumeLane(lane string) error { return p.steer.pauseLane(lane, false) }

// SetWorkers implements [Controller].
func (p *Pipeline) SetWorkers(step string, n int) error {
	p.changes.staff.Lock() // not while they are replaced
	defer p.changes.staff.Unlock()
	for _, s := range p.chain().steps {
		conf := &s.core().conf
		if conf.Name != step {
			continue
		}
		if err := conf.allows(n); err != nil {
			return fmt.Errorf("setting the workers of %s to %d: %w", step, n, err)
		}
		s.setWorkers(n)
		return p.resize(s.core(), n)
	}
	return fmt.Errorf("step %q: %w", step, ErrNoStep)
}

// A Resizer is a Stage or a Splitter that goes by how many workers its step has, as one that opens as many connections does: Resize
// says that their number has changed while the pipeline runs. It returns at once, and may come beside anything else.
type Resizer interface {
	Resize(workers int)
}

// resize tells the component of a step, if it goes by that, how many workers there are.
func (p *Pipeline) resize(s *stepCore, n int) error {
	component := any(s.conf.Stage)
	if s.conf.Stage == nil {
		component = s.conf.Splitter
	}
	if r, ok := component.(Resizer); ok {
		if err := guarded(func() error { r.Resize(n); return nil }); err != nil {
			return fmt.Errorf("setting the workers of %s to %d: telling its stage: %w", s.conf.Name, n, err)
		}
	}
	return nil
}

// allows says why a step cannot have so many workers; nil: it can.
func (s *Step) allows(n int) error {
	most, why := MaxWorkers, ""
	if s.MostWorkers > 0 {
		most, why = s.MostWorkers, s.MostWhy
	}
	if s.Wait != nil && s.Wait.Window < most {
		most, why = s.Wait.Window, "its window has no more places, and keeps its size"
	}
	switch {
	case n < 1:
		return errors.New("a step has 1 at least; to have nothing begin, pause")
	case n <= most:
		return nil
	case why == "":
		return fmt.Errorf("it may have %d at most", most)
	}
	return fmt.Errorf("it may have %d at most: %s", most, why)
}

// Skip implements [Controller].
func (p *Pipeline) Skip(key []byte) error { return p.steer.skip(p.chain, skipKey(key), true) }

// Unskip implements [Controller].
func (p *Pipeline) Unskip(key []byte) { _ = p.steer.skip(p.chain, skipKey(key), false) }

// SkipRecord implements [Controller].
func (p *Pipeline) SkipRecord(at pipeline.Position) error {
	if !slices.ContainsFunc(p.lanes.all(), func(l *lane) bool { return l.mayHave(at) }) && !p.steer.mayCome(at) {
		return fmt.Errorf("skipping %s: %w", at, ErrNoLane)
	}
	return p.steer.skip(p.chain, skipAt(at), true)
}

// UnskipRecord implements [Controller].
func (p *Pipeline) UnskipRecord(at pipeline.Position) {
	_ = p.steer.skip(p.chain, skipAt(at), false)
}
