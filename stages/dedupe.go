package stages

import (
	"context"
	"crypto/sha256"
	"errors"
	"sync"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/expr"
	"github.com/penstockio/penstock/pipeline/settings"
)

// DedupeSettings are the settings of a Dedupe.
type DedupeSettings struct {
	Key  expr.Expr     `yaml:"key" required:"true" doc:"expression that is equal for records that are the same, as == says: 1 and 1.0 are, 1 and \"1\" are not; a record for which it is nil passes"`
	Size int           `yaml:"size" min:"1" max:"100000000" doc:"how many keys are remembered (about 200 bytes each); the oldest are forgotten first"`
	TTL  time.Duration `yaml:"ttl" min:"0s" doc:"how long a key is remembered, by the times of the records, before and behind its own; 0: as long as there is room"`
}

// DefaultDedupe gives the settings of a Dedupe before a file is read.
func DefaultDedupe() DedupeSettings { return DedupeSettings{Size: 100_000} }

// Validate implements the check of settings.
func (s *DedupeSettings) Validate() error {
	var errs []error
	if s.Size < 1 {
		errs = append(errs, &settings.FieldError{Field: "size", Err: errors.New("below one")})
	}
	if s.TTL < 0 {
		errs = append(errs, &settings.FieldError{Field: "ttl", Err: errors.New("below zero")})
	}
	return errors.Join(errs...)
}

// A Dedupe filters a record whose key another record has had before. A record is never
// its own duplicate: with each key its position is remembered, so that a record that is
// read again (after a rebalance, say) passes again, and the one that it stands for is
// not lost. A record without a key (nil) passes.
//
// A key is remembered from the moment when its record passes, and forgotten when that
// record is rejected or abandoned behind this step: sent again from the dead letters it
// passes. A repetition that comes between the two is filtered. A record that a later step
// filters, or that no sink takes, has an outcome that was meant, and its key stays.
//
// Which of two equal records is the first is a matter of order: the step runs with one
// worker, so that within a lane it is the earlier one. Memory ends with the process,
// and is bounded by size: a repetition that comes later than that passes. ttl counts in
// the times of the records, in wall time for one without: replaying gives the same
// result.
type Dedupe struct {
	key     expr.Expr
	ttl     int64 // whole milliseconds, as the times have
	forever bool  // there is no ttl

	mu     sync.Mutex
	memory memory

	hits, misses int64
}

// NewDedupe makes a Dedupe.
func NewDedupe(s DedupeSettings) (*Dedupe, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	if s.Key.IsZero() {
		return nil, &settings.FieldError{Field: "key", Err: errors.New("no expression")}
	}
	return &Dedupe{key: s.Key, ttl: s.TTL.Milliseconds(), forever: s.TTL == 0, memory: newMemory(s.Size)}, nil
}

// Process implements pipeline.Stage.
func (d *Dedupe) Process(_ context.Context, rec *pipeline.Record) error {
	key, err := d.key.Identity(rec)
	if err != nil || key == nil {
		return err
	}
	sum := sha256.Sum256(key)
	id := digest(sum[:16])
	at := rec.Time
	if at == pipeline.NoTime {
		at = time.Now().UnixMilli()
	}

	d.mu.Lock()
	defer d.mu.Unlock()
	here := d.memory.location(rec.Position, rec.Part)
	if d.memory.has(id, here) { // read again
		return nil
	}
	outlived := none
	for i := d.memory.first(id); i != none; i = d.memory.ring[i].older { // the latest first
		e := &d.memory.ring[i]
		if d.forever || withinTTL(at, e.time, d.ttl) {
			d.hits++
			return pipeline.Filtered
		}
		if e.time < at && outlived == none {
			outlived = i
		}
	}
	d.misses++
	// A record that comes late is remembered beside the later ones of its key, and drops none:
	// they are remembered until their own time is over.
	if outlived != none {
		d.memory.drop(outlived)
	}
	d.memory.add(id, here, at)
	return nil
}

// withinTTL says whether two times are no more than ttl apart. They are those of records, which
// may be any numbers: their difference may not fit an int64.
func withinTTL(a, b, ttl int64) bool {
	if a < b {
		a, b = b, a
	}
	return uint64(a)-uint64(b) <= uint64(ttl)
}

// Undone implements pipeline.Undoer: the record was rejected or abandoned, and its key is
// forgotten.
func (d *Dedupe) Undone(pos pipeline.Position, part int32) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.memory.forget(d.memory.location(pos, part))
}

// Report implements pipeline.Reporter: a hit is a duplicate.
func (d *Dedupe) Report() pipeline.Report {
	d.mu.Lock()
	defer d.mu.Unlock()
	return pipeline.Report{CacheHits: d.hits, CacheMisses: d.misses}
}
