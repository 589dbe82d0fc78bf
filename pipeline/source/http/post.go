package http

import (
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/penstockio/penstock/pipeline"
)

// perRecord is what a record takes beside its bytes while it waits: the slices and the time of it.
const perRecord = 56

// headerBytes is what a header takes beside its value: names are those of the settings.
const headerBytes = int64(unsafe.Sizeof(pipeline.Header{}))

// A post is a request whose records go through the pipeline.
type post struct {
	line    *line
	lane    pipeline.Lane
	charge  pipeline.Charge
	topic   string
	values  [][]byte
	keys    [][]byte // nil: there are none
	times   []int64  // nil: they have that of the request
	time    int64    // when the request came
	headers []pipeline.Header

	first int64 // offset of the first record
	made  int   // how many records were made

	sent                      atomic.Bool  // a sink was given one of them
	ended, filtered, rejected atomic.Int64 // how many have an outcome, and which
	once                      sync.Once
	taken                     chan struct{} // closed when the pipeline has all
	done                      chan struct{} // closed when the pipeline is done with all, or does not take them
}

// batch takes the post into the pipeline. nil: its lane has ended meanwhile, nothing of it is taken.
func (p *post) batch() *pipeline.Batch {
	l := p.line
	l.mu.Lock()
	defer l.mu.Unlock()
	over := l.lane != p.lane
	if !over {
		select {
		case <-p.lane.Ended():
			over = true
		default:
		}
	}
	if over {
		p.charge.Release()
		p.settle()
		return nil
	}
	close(p.taken)
	p.first = l.next
	l.next += int64(len(p.values))
	return &pipeline.Batch{
		Lane: p.lane, Next: l.next, Charge: p.charge, Fill: p.fill,
		Sending: func(pipeline.Position) { p.sent.Store(true) },
		Ended:   p.end,
		Free:    p.settle,
	}
}

// fill makes the next records.
func (p *post) fill(into []pipeline.Record) (int, error) {
	n := min(len(into), len(p.values)-p.made)
	for i := range n {
		at := p.made + i
		pos := pipeline.Position{Topic: p.topic, Partition: p.line.number, Offset: p.first + int64(at)}
		var key []byte
		if p.keys != nil {
			key = p.keys[at]
		}
		t := p.time
		if p.times != nil {
			t = p.times[at]
		}
		into[i].Init(pos, key, p.values[at], p.headers, t)
	}
	p.made += n
	return n, nil
}

// end notes the outcome of a record.
func (p *post) end(_ pipeline.Position, err error) {
	switch _, permanent := pipeline.IsPermanent(err); {
	case permanent:
		p.rejected.Add(1)
	case err != nil:
		p.filtered.Add(1)
	}
	p.ended.Add(1)
}

// settle notes that the pipeline is done with the records, or has given them up.
func (p *post) settle() { p.once.Do(func() { close(p.done) }) }

// complete says whether all records have an outcome. It is for after done.
func (p *post) complete() bool { return p.ended.Load() == int64(len(p.values)) }

// result is what is answered of records that have their outcome.
func (p *post) result() result {
	return result{At: time.Now().UnixMilli(), Records: len(p.values), Filtered: int(p.filtered.Load()), Rejected: int(p.rejected.Load())}
}
