package stages

import (
	"context"
	"crypto/sha256"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/expr"
)

// DedupeSettings are the settings of a Dedupe.
type DedupeSettings struct {
	Key  expr.Expr     `yaml:"key" required:"true" doc:"expression that is equal for records that are the same"`
	Size int           `yaml:"size" min:"1" max:"100000000" doc:"how many keys are remembered (about 150 bytes each); the oldest are forgotten first"`
	TTL  time.Duration `yaml:"ttl" min:"0s" doc:"how long a key is remembered, by the times of the records; 0: as long as there is room"`
}

// DefaultDedupe gives the settings of a Dedupe before a file is read.
func DefaultDedupe() DedupeSettings { return DedupeSettings{Size: 100_000} }

// Validate implements the check of settings.
func (s *DedupeSettings) Validate() error {
	var errs []error
	if s.Size < 1 {
		errs = append(errs, &pipeline.FieldError{Field: "size", Err: errors.New("below one")})
	}
	if s.TTL < 0 {
		errs = append(errs, &pipeline.FieldError{Field: "ttl", Err: errors.New("below zero")})
	}
	return errors.Join(errs...)
}

// A Dedupe filters a record whose key another record has had before. A record is never
// its own duplicate: with each key its position is remembered, so that a record that is
// read again (after a rebalance, say) passes again, and the one that it stands for is
// not lost. A record without a key (nil) passes.
//
// Which of two equal records is the first is a matter of order: the step runs with one
// worker, so that within a lane it is the earlier one. Memory ends with the process,
// and is bounded by size: a repetition that comes later than that passes. ttl counts in
// the times of the records, in wall time for one without: replaying gives the same
// result.
type Dedupe struct {
	key expr.Expr
	ttl int64 // milliseconds

	mu     sync.Mutex
	first  map[digest]int    // where a key stands in ring
	ring   []entry           // in the order in which the keys came
	size   int               // of ring at most
	next   int               // the oldest entry of a full ring
	topics map[string]string // one copy of each name

	hits, misses int64
}

// A digest stands for a key: collisions are out of reach, and long keys take no more
// room than short ones.
type digest [16]byte

type entry struct {
	key  digest
	pos  pipeline.Position
	part int32
	time int64
}

// NewDedupe makes a Dedupe.
func NewDedupe(s DedupeSettings) (*Dedupe, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	if s.Key.IsZero() {
		return nil, &pipeline.FieldError{Field: "key", Err: errors.New("no expression")}
	}
	return &Dedupe{
		key: s.Key, ttl: s.TTL.Milliseconds(),
		first: map[digest]int{}, size: s.Size, topics: map[string]string{},
	}, nil
}

// Process implements pipeline.Stage.
func (d *Dedupe) Process(_ context.Context, rec *pipeline.Record) error {
	key, err := d.key.Bytes(rec)
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
	if i, ok := d.first[id]; ok {
		e := &d.ring[i]
		if e.pos == rec.Position && e.part == rec.Part {
			return nil
		}
		if d.ttl == 0 || at-e.time <= d.ttl && e.time-at <= d.ttl {
			d.hits++
			return pipeline.Filtered
		}
	}
	d.misses++
	d.remember(entry{key: id, pos: d.position(rec.Position), part: rec.Part, time: at})
	return nil
}

// remember adds a key, in the place of the oldest when there is no other.
func (d *Dedupe) remember(e entry) {
	i := len(d.ring)
	if i < d.size {
		d.ring = append(d.ring, e)
	} else {
		i = d.next
		d.next = (i + 1) % d.size
		if old := d.ring[i].key; d.first[old] == i { // not remembered anew since
			delete(d.first, old)
		}
		d.ring[i] = e
	}
	d.first[e.key] = i
}

// position gives a copy whose topic shares no memory with a batch.
func (d *Dedupe) position(pos pipeline.Position) pipeline.Position {
	topic, ok := d.topics[pos.Topic]
	if !ok {
		topic = strings.Clone(pos.Topic)
		d.topics[topic] = topic
	}
	pos.Topic = topic
	return pos
}

// Report implements pipeline.Reporter: a hit is a duplicate.
func (d *Dedupe) Report() pipeline.Report {
	d.mu.Lock()
	defer d.mu.Unlock()
	return pipeline.Report{CacheHits: d.hits, CacheMisses: d.misses}
}
