package deadletter

import (
	"slices"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// A Filter chooses letters. The zero value chooses all.
type Filter struct {
	Reasons, Steps []string  // one of them; none: any
	Since, Until   time.Time // when it was rejected: from Since on, before Until; zero: any time
	// Where is asked about the record as it came, at the position it was read from; nil: any record.
	Where func(*pipeline.Record) (bool, error)
}

// Narrow says whether the filter may leave out a letter.
func (f *Filter) Narrow() bool {
	return len(f.Reasons) > 0 || len(f.Steps) > 0 || !f.Since.IsZero() || !f.Until.IsZero() || f.Where != nil
}

// Match says whether the filter chooses a letter. An error is that of Where: such a letter is not chosen.
func (f *Filter) Match(l *Letter) (bool, error) {
	switch {
	case len(f.Reasons) > 0 && !slices.Contains(f.Reasons, l.Reason),
		len(f.Steps) > 0 && !slices.Contains(f.Steps, l.Step),
		!f.Since.IsZero() && l.Time.Before(f.Since),
		!f.Until.IsZero() && !l.Time.Before(f.Until):
		return false, nil
	case f.Where == nil:
		return true, nil
	}
	ok, err := f.Where(l.Record.Clone()) // reading a field remembers where it is
	return ok && err == nil, err
}
