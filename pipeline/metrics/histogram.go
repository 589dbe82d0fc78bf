package metrics

import (
	"math"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/penstockio/penstock/pipeline/engine"
)

// schema is the resolution of the native buckets: 8 for each doubling, so that a quantile is known
// to 9 %, and those of several processes can be added. The classic ones are coarser, and are there
// for whoever does not take in native ones.
const schema = 3

// The upper bounds of the classic buckets.
var (
	secondBounds = inSeconds(engine.DurationBounds)
	recordBounds = []float64{1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000}
)

func inSeconds(micros []int64) (all []float64) {
	for _, m := range micros {
		all = append(all, float64(m)/1e6)
	}
	return all
}

// A histogram is a metric with classic and native buckets, both made from one count of the engine.
// A value stands at the lower end of its bar there, so it may count for a bucket although it is
// above its bound by less than 0.8 %. The sum is exact.
type histogram struct {
	desc   *prometheus.Desc
	values engine.Histogram
	per    float64 // how many of the values make one of the metric; 1: they are records
	labels []*dto.LabelPair
}

func newHistogram(d *prometheus.Desc, per float64, h engine.Histogram, labels []string) prometheus.Metric {
	return &histogram{d, h, per, prometheus.MakeLabelPairs(d, valid(labels))}
}

// Desc implements prometheus.Metric.
func (h *histogram) Desc() *prometheus.Desc { return h.desc }

// Write implements prometheus.Metric.
func (h *histogram) Write(m *dto.Metric) error {
	bounds := secondBounds
	if h.per == 1 {
		bounds = recordBounds
	}
	count, sum := uint64(h.values.Count), float64(h.values.Sum)/h.per
	out := &dto.Histogram{SampleCount: &count, SampleSum: &sum, Bucket: classic(h.values.Bars, h.per, bounds)}
	native(out, h.values.Bars, h.per)
	exemplify(out, h.values.Exemplars, h.per, bounds)
	m.Label, m.Histogram = h.labels, out
	return nil
}

// classic counts what is not above each bound.
func classic(bars []engine.Bar, per float64, bounds []float64) []*dto.Bucket {
	out := make([]*dto.Bucket, 0, len(bounds))
	n := uint64(0)
	for _, bound := range bounds {
		for len(bars) > 0 && atBar(bars[0], per) <= bound {
			n += uint64(bars[0].Count)
			bars = bars[1:]
		}
		out = append(out, &dto.Bucket{CumulativeCount: &[]uint64{n}[0], UpperBound: &[]float64{bound}[0]})
	}
	return out
}

// atBar is where the values of a bar stand.
func atBar(b engine.Bar, per float64) float64 { return float64(b.From) / per }

// native adds the exponential buckets: spans of neighbours, and how much each has more than the one
// before.
func native(out *dto.Histogram, bars []engine.Bar, per float64) {
	out.Schema = &[]int32{schema}[0]
	out.ZeroThreshold = &[]float64{prometheus.DefNativeHistogramZeroThreshold}[0]
	zero, last, before := uint64(0), int32(0), int64(0)
	out.ZeroCount = &zero
	for _, b := range bars {
		if b.From == 0 {
			zero += uint64(b.Count)
			continue
		}
		at := bucketOf(atBar(b, per))
		spans := len(out.PositiveSpan)
		switch {
		case spans > 0 && at == last: // bars are finer than buckets
			out.PositiveDelta[len(out.PositiveDelta)-1] += b.Count
			before += b.Count
			continue
		case spans > 0 && at == last+1:
			*out.PositiveSpan[spans-1].Length++
		case spans > 0:
			out.PositiveSpan = append(out.PositiveSpan, span(at-last-1))
		default:
			out.PositiveSpan = append(out.PositiveSpan, span(at))
		}
		out.PositiveDelta = append(out.PositiveDelta, b.Count-before)
		last, before = at, b.Count
	}
}

// exemplify adds the exemplars, each to the bucket that its value is in. What is above the last bound has a bucket of its own for
// that: Prometheus makes it of the count.
func exemplify(out *dto.Histogram, all []engine.Exemplar, per float64, bounds []float64) {
	for _, x := range all {
		v := float64(x.Value) / per
		e := &dto.Exemplar{Value: &v, Timestamp: timestamppb.New(x.At), Label: []*dto.LabelPair{{Name: &[]string{"trace_id"}[0], Value: &x.TraceID}}}
		i, _ := slices.BinarySearch(bounds, v)
		if i == len(bounds) {
			inf := math.Inf(1)
			out.Bucket = append(out.Bucket, &dto.Bucket{CumulativeCount: out.SampleCount, UpperBound: &inf})
		}
		out.Bucket[i].Exemplar = e
	}
}

func span(offset int32) *dto.BucketSpan {
	return &dto.BucketSpan{Offset: &offset, Length: &[]uint32{1}[0]}
}

// bucketOf gives the number of the native bucket whose upper bound, 2^(number/8), is the first that
// is not below v.
func bucketOf(v float64) int32 {
	frac, exp := math.Frexp(v) // a power of two is at its bound, without an error of the logarithm
	return int32(exp-1)<<schema + int32(math.Ceil(math.Log2(2*frac)*(1<<schema)))
}
