package engine

import (
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// A distribution holds the latencies, or sizes, of the current interval, the percentiles of the
// last one, and all values since the start.
type distribution struct {
	now     *hdrhistogram.Histogram // of the current interval; nil: no value has come yet
	ended   Histogram               // of all intervals that have ended
	sum     int64                   // of all values since the start
	last    Latency                 // of the last interval
	rotated bool                    // an interval has ended
}

// A Histogram counts values since the start by their size: durations in microseconds, or numbers
// of records. It is not changed once it has been made: copies share the bars.
type Histogram struct {
	Count, Sum int64 // of the values; Sum is exact
	Bars       []Bar // those that have a value, from small to large
	// Exemplars are the last value of each bucket of DurationBounds that is of a traced record, from small to large.
	Exemplars []Exemplar
}

// A Bar counts the values from From to To, both included. Below 256 they are the same, above
// they are less than 0.8 % apart, and none is above a day of microseconds.
type Bar struct{ From, To, Count int64 }

// longest is the longest duration that is told apart, in microseconds: a day. What takes longer counts as a day.
const longest = int64(24 * time.Hour / time.Microsecond)

func newHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(1, longest, 2) }

// places are the bars that there can be, as the counts of an hdrhistogram are ordered.
var places = sync.OnceValue(func() []hdrhistogram.Bar {
	h := newHistogram()
	_ = h.RecordValue(longest) // so that it goes through all places up to it
	return h.Distribution()
})

// add adds n times a duration, and value n times a value. Durations are kept in microseconds.
func (f *distribution) add(d time.Duration, n int64) { f.value(int64(d/time.Microsecond), n) }

func (f *distribution) value(v, n int64) {
	if f.now == nil {
		f.now = newHistogram()
	}
	v = min(max(v, 0), longest)
	f.sum += v * n
	_ = f.now.RecordValues(v, n) // cannot be out of range
}

// summary gives the percentiles of the current interval, divided by unit.
func (f *distribution) summary(unit float64) Latency {
	if f.now == nil || f.now.TotalCount() == 0 {
		return Latency{}
	}
	at := func(q float64) float64 { return float64(f.now.ValueAtQuantile(q)) / unit }
	return Latency{
		Count: f.now.TotalCount(), P50: at(50), P95: at(95), P99: at(99),
		Max: float64(f.now.Max()) / unit,
	}
}

// rotate ends the interval.
func (f *distribution) rotate(unit float64) {
	f.last, f.rotated = f.summary(unit), true
	if f.last.Count > 0 {
		f.ended = f.sample().histogram()
		f.now.Reset()
	}
}

// latest gives the percentiles of the last interval, or of the first one while it lasts, divided
// by unit: 1000 makes milliseconds of microseconds.
func (f *distribution) latest(unit float64) Latency {
	if !f.rotated {
		return f.summary(unit)
	}
	return f.last
}

// A sample is a distribution at one moment. It is taken under the lock of the distribution, and made a
// Histogram without it: a snapshot holds up nobody for longer than a copy takes.
type sample struct {
	ended Histogram
	now   []int64 // counts of the current interval, by places; nil: none
	count int64
	sum   int64
}

// sample takes a sample. Without a value in the current interval it costs nothing.
func (f *distribution) sample() sample {
	r := sample{ended: f.ended}
	if f.now != nil && f.now.TotalCount() > 0 {
		r.now, r.count, r.sum = f.now.Export().Counts, f.ended.Count+f.now.TotalCount(), f.sum
	}
	return r
}

// histogram gives the values since the start.
func (r sample) histogram() Histogram {
	if r.now == nil {
		return r.ended
	}
	at := places()
	out := Histogram{Count: r.count, Sum: r.sum}
	out.Bars = make([]Bar, 0, len(r.ended.Bars)+64)
	before := r.ended.Bars
	for i, n := range r.now {
		if n == 0 {
			continue
		}
		for len(before) > 0 && before[0].From < at[i].From {
			out.Bars, before = append(out.Bars, before[0]), before[1:]
		}
		if len(before) > 0 && before[0].From == at[i].From {
			n, before = n+before[0].Count, before[1:]
		}
		out.Bars = append(out.Bars, Bar{at[i].From, at[i].To, n})
	}
	out.Bars = append(out.Bars, before...)
	return out
}

// A RunLatency holds the latencies of whole runs, of one pipeline or of several: their
// percentiles cannot be made from those of the intervals. The zero value is ready to use.
type RunLatency struct{ all *hdrhistogram.Histogram }

// Figures gives the percentiles in milliseconds; Count is 0 when there are none.
func (r RunLatency) Figures() Latency {
	f := distribution{now: r.all}
	return f.summary(1000)
}

// Add adds those of another pipeline.
func (r *RunLatency) Add(o RunLatency) {
	if o.all != nil {
		r.here().Merge(o.all)
	}
}

// count adds those of a histogram.
func (r *RunLatency) count(h Histogram) {
	for _, b := range h.Bars {
		_ = r.here().RecordValues(b.From, b.Count) // it is of the same places
	}
}

func (r *RunLatency) here() *hdrhistogram.Histogram {
	if r.all == nil {
		r.all = newHistogram()
	}
	return r.all
}
