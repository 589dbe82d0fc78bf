package calls

import "fmt"

// AddRate adds a rate that the process did not have, for steps that are made from now on. One of the name stays as it
// is, unless it is per host and r is not, or the other way round: such a one is of a file that does not count any more, and nothing keeps to it. The
// error says what r lacks.
func (s *Shared) AddRate(name string, r RateSettings) error {
	if !(r.Rate.N > 0) || r.Rate.Per <= 0 {
		return fmt.Errorf("the rate %q is not above 0", name)
	}
	s.start()
	s.mu.Lock()
	defer s.mu.Unlock()
	if was, ok := s.rates[name]; ok && (was.Per == perHost) == (r.Per == perHost) {
		return nil
	}
	if s.rates == nil {
		s.rates = map[string]RateSettings{}
	}
	s.rates[name] = r
	delete(s.process, name)
	if r.Per != perHost {
		s.process[name] = newBucket(name, r)
	}
	return nil
}
