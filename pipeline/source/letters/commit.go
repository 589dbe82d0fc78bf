package letters

import (
	"context"
	"errors"
	"sort"

	"github.com/penstockio/penstock/pipeline"
)

// This file stores what was replayed: with the marks of the lane, and for the last time when the source is closed.
//
// Marks alone would not do. They say that all before them have ended, and of a batch only when the whole of it
// has. A stop hands back what has not begun, and an error gives up what is under way: then most of what was under way
// has no mark behind it, though it is delivered. So what is stored are the letters that have ended, each by itself.

// Commit implements pipeline.Source: it stores what was replayed.
func (s *Source) Commit(ctx context.Context, marks []pipeline.Mark) error {
	s.mu.Lock()
	n := 0
	var passed []pipeline.Position
	for _, m := range marks {
		if m.Lane != s.lane { // its letters are sent again, but for those that have ended
			continue
		}
		for ; n < len(s.batches) && s.batches[n].next <= m.Next; n++ {
			for _, f := range s.batches[n].sent {
				s.noteEnd(f)
			}
			passed = append(passed, s.batches[n].passed...)
		}
	}
	begun := s.begun
	s.mu.Unlock()
	err := s.store(ctx, passed)
	s.mu.Lock()
	if err == nil && s.begun == begun { // else they were given up meanwhile
		s.batches = s.batches[n:]
	}
	s.mu.Unlock()
	s.changed()
	return err
}

// store stores the letters that have ended, and those that are passed by. Of what cannot be remembered all at once it stores
// what can be; the rest is stored with what comes between.
func (s *Source) store(ctx context.Context, passed []pipeline.Position) error {
	s.mu.Lock()
	done, fresh := s.done.clone(), s.fresh
	s.fresh = Progress{}
	s.mu.Unlock()
	for _, at := range passed {
		done.add(at)
	}
	stored, left := s.fit(done, fresh)
	err := s.o.Log.Save(ctx, done)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.fresh.addAll(fresh)
		if errors.Is(err, ErrTaken) || errors.Is(err, ErrBegunAnew) {
			s.failed = err
		}
		return err
	}
	done.addAll(s.done) // what is gone from the log, when it was opened again meanwhile
	s.done = done
	s.fresh.addAll(left)
	for _, at := range passed {
		s.sent.add(at)
	}
	s.replayed.Add(stored)
	return nil
}

// fit adds to what is done as much as the log can remember of what has ended, from the first letter of each
// partition on. It gives how many letters that are, and the others.
func (s *Source) fit(done, fresh Progress) (n int64, left Progress) {
	left = Progress{}
	for partition, ended := range fresh {
		all := ended.offsets()
		upTo := func(k int) *Done {
			d := done.Of(partition).Clone()
			for _, offset := range all[:k] {
				d.Add(offset, offset+1)
			}
			return d
		}
		k := len(all)
		if s.o.Log.Fits(partition, upTo(k)) != nil {
			k = sort.Search(k, func(i int) bool { return s.o.Log.Fits(partition, upTo(i+1)) != nil })
		}
		done[partition] = upTo(k)
		n += int64(k)
		for _, offset := range all[k:] {
			left.Of(partition).Add(offset, offset+1)
		}
	}
	return n, left
}

// storeLast stores what no mark has brought to be stored.
func (s *Source) storeLast(ctx context.Context) error {
	s.mu.Lock()
	nothing := s.failed != nil || s.fresh.empty()
	s.mu.Unlock()
	if nothing {
		return nil
	}
	return s.store(ctx, nil)
}

// addAll adds what another has.
func (p Progress) addAll(other Progress) {
	for partition, d := range other {
		for _, s := range d.spans {
			p.Of(partition).Add(s.From, s.To)
		}
	}
}

// empty says whether nothing is done with.
func (p Progress) empty() bool {
	for _, d := range p {
		if len(d.spans) > 0 {
			return false
		}
	}
	return true
}

// offsets gives the offsets in the set, in order.
func (d *Done) offsets() (all []int64) {
	for _, s := range d.spans {
		for o := s.From; o < s.To; o++ {
			all = append(all, o)
		}
	}
	return all
}
