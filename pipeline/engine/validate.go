package engine

import (
	"errors"
	"fmt"
	"time"
)

// validate finds everything that is wrong with the options.
func (o *Options) validate() error {
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("making pipeline %q: "+format, append([]any{o.Name}, args...)...))
	}
	if o.Source == nil {
		bad("it has no source")
	}
	if len(o.Sinks) == 0 {
		bad("it has no sink")
	}
	for _, d := range []struct {
		name string
		d    time.Duration
	}{
		{"drain", o.Drain}, {"commit interval", o.CommitEvery}, {"stats interval", o.StatsEvery},
		{"partition interval", o.PartitionStatsEvery}, {"stalled limit", o.StalledAfter},
	} {
		if d.d < 0 {
			bad("the %s is negative", d.name)
		}
	}
	if o.Order > OrderNone {
		bad("unknown order %d", o.Order)
	}
	if o.Transactor != nil && o.Order != OrderPartition {
		bad("a transactor needs the order of partitions")
	}
	steps := map[string]bool{}
	for i, s := range o.Steps {
		name := fmt.Sprintf("step %q: ", s.Name)
		if s.Name == "" {
			name = fmt.Sprintf("step %d: ", i+1)
			bad("%sit has no name", name)
		} else if steps[s.Name] {
			bad("%sthe name is taken by another step", name)
		}
		steps[s.Name] = true
		s.validate(func(what string) { bad("%s%s", name, what) })
	}
	sinks := map[string]bool{}
	for i, s := range o.Sinks {
		name := fmt.Sprintf("sink %q: ", s.Name)
		if s.Name == "" {
			name = fmt.Sprintf("sink %d: ", i+1)
			bad("%sit has no name", name)
		} else if sinks[s.Name] {
			bad("%sthe name is taken by another sink", name)
		}
		sinks[s.Name] = true
		if s.Sink == nil {
			bad("%sit has no Sink", name)
		}
		s.validate(func(what string) { bad("%s%s", name, what) })
	}
	dead := o.DeadLetter.output()
	dead.validate(func(what string) { bad("dead letters: %s", what) })
	return errors.Join(errs...)
}

func (s *Step) validate(bad func(string)) {
	if (s.Stage == nil) == (s.Splitter == nil) {
		bad("it needs exactly one of Stage and Splitter")
	}
	if s.Workers < 0 {
		bad("Workers cannot be negative")
	}
	if s.OnError > OnErrorPass {
		bad("OnError has an unknown value")
	}
	if w := s.Wait; w != nil {
		if w.Window < 0 || w.Timeout < 0 || w.Deadline < 0 {
			bad("Window, Timeout and Deadline cannot be negative")
		}
		if w.Serial > SerialPartition {
			bad("Serial has an unknown value")
		}
		w.Retry.validate(bad)
	}
}

func (o *Output) validate(bad func(string)) {
	if o.MaxRecords < 0 || o.MaxBytes < 0 || o.Linger < 0 || o.Timeout < 0 {
		bad("MaxRecords, MaxBytes, Linger and Timeout cannot be negative")
	}
	o.Retry.validate(bad)
}

func (r *Retry) validate(bad func(string)) {
	if r.Attempts < 0 || r.Backoff < 0 || r.MaxBackoff < 0 {
		bad("Retry cannot be negative")
	}
}
