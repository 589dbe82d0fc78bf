package letters

import (
	"context"
	"io"
	"sync/atomic"

	"github.com/penstockio/penstock/pipeline"
)

// This file reads the log ahead of what is sent.

// An ahead is what was read of the log and not sent yet.
type ahead struct {
	window  Window
	atLog   error             // what the log has ended with: what the window has is sent before that counts
	account func(bytes int64) // nil: nobody counts
	late    atomic.Int64      // as the window has counted; others ask for it
	unsure  atomic.Bool       // late is the least
	seen    atomic.Bool       // all of the log was looked at, though not all of it may be sent
}

// nextEntry gives what comes next of what is not done with, and what was decided.
func (s *Source) nextEntry(ctx context.Context) (*entry, error) {
	if e := s.pending; e != nil {
		s.pending = nil
		return e, nil
	}
	if s.o.Limit > 0 && s.chosen.Load()-s.window.Letters() >= s.o.Limit {
		s.keepToLimit()
		return nil, io.EOF
	}
	for s.atLog == nil && !s.window.Full() {
		left, err := s.look(ctx)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err == io.EOF {
			s.seen.Store(true)
		}
		if s.atLog = err; left != nil {
			return left, nil
		}
	}
	var at pipeline.Position
	var choice Choice
	var ok bool
	s.counted(func() { at, choice, ok = s.window.Next(s.couldBeRemembered) })
	late, unsure := s.window.Late()
	s.late.Store(late)
	s.unsure.Store(unsure)
	if !ok {
		return nil, s.atLog
	}
	return &entry{at, choice}, nil
}

// look takes the next record of the log into the window. One that is left where it is does not wait there, and is given.
func (s *Source) look(ctx context.Context) (left *entry, err error) {
	rec, at, err := s.o.Log.Next(ctx)
	s.left.Store(s.o.Log.Left())
	if err != nil {
		return nil, err
	}
	if s.isDone(at) {
		s.passedOver.Store(true)
		return nil, nil
	}
	choice, err := s.o.Choose(rec, at)
	if err != nil {
		return nil, err
	}
	if choice.Verdict == Replay {
		s.chosen.Add(1)
	} else {
		s.passedOver.Store(true)
	}
	if choice.Verdict == Leave {
		return &entry{at, choice}, nil
	}
	s.counted(func() { s.window.Add(at, choice) })
	return nil, nil
}

// couldBeRemembered says whether it could be stored that a letter is done, too.
func (s *Source) couldBeRemembered(at pipeline.Position) bool {
	return FitsAhead(s.o.Log, s.planned, at)
}

// aheadReserve is room for so many letters that stand apart. A letter that is sent before its turn leaves it free for those that
// are sent in theirs, among which filters leave gaps.
const aheadReserve = 256

// FitsAhead says whether a log could store that a letter is done, beside what is planned, before those in front of it are.
func FitsAhead(log Log, planned Progress, at pipeline.Position) bool {
	d := planned.Of(at.Partition).Clone()
	d.Add(at.Offset, at.Offset+1)
	behind := d.last()
	for range aheadReserve {
		behind += 2
		d.Add(behind, behind+1)
	}
	return log.Fits(at.Partition, d) == nil
}

// keepToLimit takes back that letters were chosen beyond the limit.
func (s *Source) keepToLimit() {
	if s.o.Limit == 0 {
		return
	}
	for s.window.Letters() > 0 && s.chosen.Load()-s.window.Letters() < s.o.Limit { // these would have been sent
		s.counted(func() { s.window.Next(nil) })
	}
	var left []Choice
	s.counted(func() { left = s.window.drop() })
	s.chosen.Add(-int64(len(left)))
	for _, c := range left {
		if s.o.Unchosen != nil {
			s.o.Unchosen(c.Letter)
		}
	}
}

// Account implements pipeline.Accounter: it tells of the letters that were read ahead.
func (s *Source) Account(add func(bytes int64)) { s.account = add }

// counted does something to the window, and tells how much more memory that holds then.
func (s *Source) counted(do func()) {
	before := s.window.Bytes()
	do()
	if now := s.window.Bytes(); s.account != nil && now != before {
		s.account(now - before)
	}
}
