package letters

import (
	"context"
	"errors"

	"github.com/penstockio/penstock/pipeline"
)

// Commit implements pipeline.Source: it stores what was replayed.
func (s *Source) Commit(ctx context.Context, marks []pipeline.Mark) error {
	s.mu.Lock()
	done, n, replayed := s.done.clone(), 0, int64(0)
	for _, m := range marks {
		if m.Lane != s.lane { // its letters are sent again
			continue
		}
		for n < len(s.batches) && s.batches[n].next <= m.Next {
			replayed += s.batches[n].replayed
			for _, at := range s.batches[n].done {
				if s.kept.Has(at) {
					replayed--
					continue
				}
				done.add(at)
			}
			n++
		}
	}
	begun, saved := s.begun, s.batches[:n]
	s.mu.Unlock()
	err := s.o.Log.Save(ctx, done)
	s.mu.Lock()
	if err == nil {
		for _, b := range saved {
			for _, at := range b.done {
				s.sent.add(at)
			}
		}
		s.done = done
		s.replayed.Add(replayed)
		if s.begun == begun {
			s.batches = s.batches[n:]
		} else { // they were given up meanwhile, and do not count as chosen any more
			s.chosen.Add(replayed)
		}
	} else if errors.Is(err, ErrTaken) || errors.Is(err, ErrBegunAnew) {
		s.failed = err
	}
	s.mu.Unlock()
	s.changed()
	return err
}
