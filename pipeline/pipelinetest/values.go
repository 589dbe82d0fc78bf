package pipelinetest

import (
	"context"
	"io"
	"strconv"
	"sync"

	"github.com/penstockio/penstock/pipeline"
)

// Values is a source of given values, for tests: it reads its lanes in turn, a few records at
// a time, until there are no more. Lane i has the name "values/i", and its records have topic
// "values", partition i, and offsets from 0 on.
//
// What has been committed is kept when it is closed: the same Values goes on behind that in
// another pipeline, as after a restart.
type Values struct {
	// Key, when not nil, gives the key of a record. It is set before the source is opened.
	Key func(value string) []byte

	lanes []*valuesLane
	turn  int // the lane that is read next, modulo their number
	feed  pipeline.Feed

	mu sync.Mutex // guards committed, and lane, of all lanes
}

type valuesLane struct {
	name      string
	partition int32
	values    []string
	lane      pipeline.Lane // opened last
	next      int64         // the offset that is read next
	committed int64         // the mark that was committed last
}

// valuesBatch is how many records a batch has: few, so that lanes take turns.
const valuesBatch = 10

// NewValues makes a source of one lane.
func NewValues(values ...string) *Values { return NewLanes(values) }

// NewLanes makes a source of several.
func NewLanes(lanes ...[]string) *Values {
	v := &Values{}
	for i, values := range lanes {
		v.lanes = append(v.lanes, &valuesLane{name: "values/" + strconv.Itoa(i), partition: int32(i), values: values})
	}
	return v
}

// Open implements pipeline.Source.
func (v *Values) Open(ctx context.Context, f pipeline.Feed) error {
	v.feed = f
	for _, l := range v.lanes {
		if err := v.open(ctx, l); err != nil {
			return err
		}
	}
	return nil
}

// open opens a lane at the offset that was committed last.
func (v *Values) open(ctx context.Context, l *valuesLane) error {
	lane, from, err := v.feed.Lane(ctx, l.name, v.Committed(int(l.partition)))
	if err != nil {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	l.lane, l.next, l.committed = lane, from, from
	return nil
}

// Read implements pipeline.Source.
func (v *Values) Read(ctx context.Context) (*pipeline.Batch, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	for range v.lanes {
		l := v.lanes[v.turn%len(v.lanes)]
		v.turn++
		select {
		case <-l.lane.Ended(): // the pipeline has ended it, as a transaction was aborted
			if err := v.open(ctx, l); err != nil {
				return nil, err
			}
		default:
		}
		if n := min(int64(len(l.values))-l.next, valuesBatch); n > 0 {
			return v.batch(l, int(n)), nil
		}
	}
	return nil, io.EOF
}

// batch makes a batch of the next n values.
func (v *Values) batch(l *valuesLane, n int) *pipeline.Batch {
	recs := make([]pipeline.Record, n)
	for i := range recs {
		value := l.values[l.next]
		var key []byte
		if v.Key != nil {
			key = v.Key(value)
		}
		pos := pipeline.Position{Topic: "values", Partition: l.partition, Offset: l.next}
		recs[i].Init(pos, key, []byte(value), nil, pipeline.NoTime)
		l.next++
	}
	return &pipeline.Batch{Lane: l.lane, Fill: pipeline.Records(recs), Next: l.next}
}

// Commit implements pipeline.Source.
func (v *Values) Commit(_ context.Context, marks []pipeline.Mark) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, m := range marks {
		for _, l := range v.lanes {
			if l.lane == m.Lane {
				l.committed = m.Next
			}
		}
	}
	return nil
}

// Committed gives how many values of a lane, from the first on, need not be read again.
func (v *Values) Committed(lane int) int64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.lanes[lane].committed
}

// Close implements pipeline.Source.
func (v *Values) Close(context.Context) error { return nil }
