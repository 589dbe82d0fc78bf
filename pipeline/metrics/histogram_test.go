package metrics

import (
	"bytes"
	"compress/gzip"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/penstockio/penstock/pipeline/engine"
)

// written gives the dto of a histogram.
func written(t *testing.T, per float64, h engine.Histogram) *dto.Histogram {
	t.Helper()
	var m dto.Metric
	if err := newHistogram(prometheus.NewDesc("h", "h", nil, nil), per, h, nil).Write(&m); err != nil {
		t.Fatal(err)
	}
	return m.Histogram
}

// A nativeBucket is one bucket of a native histogram: what is above low and not above high.
type nativeBucket struct {
	low, high float64
	count     int64
}

// nativeBuckets decodes the spans, by the definition of them.
func nativeBuckets(h *dto.Histogram) (all []nativeBucket) {
	bound := func(index int32) float64 { return math.Exp2(float64(index) / math.Exp2(float64(h.GetSchema()))) }
	index, count, delta := int32(0), int64(0), 0
	for i, s := range h.GetPositiveSpan() {
		index += s.GetOffset()
		if i == 0 {
			index = s.GetOffset()
		}
		for range s.GetLength() {
			count += h.GetPositiveDelta()[delta]
			all = append(all, nativeBucket{bound(index - 1), bound(index), count})
			index, delta = index+1, delta+1
		}
	}
	return all
}

// TestBucketsHaveTheValues: each value counts once, in the one native bucket that it belongs into,
// and in each classic one whose bound is not below it.
func TestBucketsHaveTheValues(t *testing.T) {
	for _, per := range []float64{1, 1e6} {
		for range 200 {
			var values []float64
			var h engine.Histogram
			at := int64(rand.IntN(2)) // 0 has a bucket of its own
			for range rand.IntN(60) {
				n := 1 + rand.Int64N(5)
				h.Bars = append(h.Bars, engine.Bar{From: at, To: at, Count: n})
				h.Count, h.Sum = h.Count+n, h.Sum+n*at
				for range n {
					values = append(values, float64(at)/per)
				}
				at += 1 + rand.Int64N(1<<rand.IntN(30))
			}
			got := written(t, per, h)
			if got.GetSampleCount() != uint64(len(values)) || math.Abs(got.GetSampleSum()-float64(h.Sum)/per) > 1e-9*float64(h.Sum) {
				t.Fatalf("%d values of %v: %v", len(values), h.Sum, got)
			}
			for _, b := range got.GetBucket() {
				n := uint64(0)
				for _, v := range values {
					if v <= b.GetUpperBound() {
						n++
					}
				}
				if b.GetCumulativeCount() != n {
					t.Fatalf("%d values are not above %v: %d", n, b.GetUpperBound(), b.GetCumulativeCount())
				}
			}
			sum := int64(got.GetZeroCount())
			for _, b := range nativeBuckets(got) {
				n := int64(0)
				for _, v := range values {
					// The bounds are rounded: only a power of two is at one, and they are exact there.
					if v > b.low && v <= b.high {
						n++
					}
				}
				if sum += b.count; b.count != n || n == 0 {
					t.Fatalf("the bucket from %v to %v has %d, and there are %d", b.low, b.high, b.count, n)
				}
			}
			if sum != int64(len(values)) {
				t.Fatalf("the native buckets have %d of %d values", sum, len(values))
			}
		}
	}
}

// A histogram without values is one of both forms.
func TestAnEmptyHistogramIsNativeToo(t *testing.T) {
	h := written(t, 1e6, engine.Histogram{})
	if h.GetSampleCount() != 0 || h.Schema == nil || h.GetZeroThreshold() == 0 || len(h.GetBucket()) != len(secondBounds) {
		t.Errorf("%v", h)
	}
}

// asked serves a Handler and gets an answer of it.
func asked(t *testing.T, o Options, header http.Header) *http.Response {
	t.Helper()
	s := httptest.NewServer(Handler(o))
	t.Cleanup(s.Close)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header = header
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("status %d", resp.StatusCode)
	}
	return resp
}

// TestTextAndProtobufSayTheSame: what is asked for by Accept comes, compressed if that is asked for,
// and native histograms are in protobuf. Every metric of Go and of the process is there too.
func TestTextAndProtobufSayTheSame(t *testing.T) {
	o := everything().options
	text := asked(t, o, http.Header{"Accept": {"text/plain"}})
	page, err := io.ReadAll(text.Body)
	if err != nil {
		t.Fatal(err)
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.New(bytes.NewReader(page)).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("the linter of Prometheus: %v %v", problems, err)
	}
	binary := asked(t, o, http.Header{
		"Accept":          {"application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"},
		"Accept-Encoding": {"gzip"},
	})
	body, err := gzip.NewReader(binary.Body)
	if err != nil {
		t.Fatal(err)
	}
	native, seen := 0, map[string]bool{}
	for dec := expfmt.NewDecoder(body, expfmt.ResponseFormat(binary.Header)); ; {
		var f dto.MetricFamily
		if err := dec.Decode(&f); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		name := f.GetName()
		seen[name] = true
		if !strings.HasPrefix(name, prefix) {
			continue // those of the process have changed meanwhile
		}
		other := families[name]
		if len(other.GetMetric()) != len(f.GetMetric()) || other.GetType() != f.GetType() {
			t.Errorf("%s: %v as text, %v", name, other, &f)
			continue
		}
		for i, m := range f.GetMetric() {
			o := other.GetMetric()[i]
			if m.GetGauge().GetValue() != o.GetGauge().GetValue() || m.GetCounter().GetValue() != o.GetCounter().GetValue() ||
				m.GetHistogram().GetSampleCount() != o.GetHistogram().GetSampleCount() {
				t.Errorf("%s: %v as text, %v", name, o, m)
			}
			if h := m.GetHistogram(); h != nil && h.Schema != nil && len(h.GetPositiveSpan()) > 0 && len(h.GetBucket()) > 0 {
				native++
			}
		}
	}
	for _, name := range []string{"penstock_build_info", "go_goroutines", "go_info", "process_cpu_seconds_total", "process_open_fds"} {
		if !seen[name] {
			t.Errorf("%s is missing", name)
		}
	}
	if native < 5 {
		t.Errorf("%d native histograms", native)
	}
}

// One scrape takes one snapshot, which is all of one moment.
func TestAScrapeTakesOneSnapshot(t *testing.T) {
	var taken atomic.Int64
	asked(t, Options{Snapshots: func() []engine.Snapshot { taken.Add(1); return []engine.Snapshot{full()} }}, nil)
	if taken.Load() != 1 {
		t.Errorf("%d snapshots", taken.Load())
	}
}

// Labels are names that others have chosen: what is no UTF-8 does not take the metrics with it.
func TestLabelsThatAreNoText(t *testing.T) {
	s := full()
	s.Source.Partitions[0].Topic = "logs/\xff\"\n"
	s.Steps[0].Name = "a\xfe"
	body, err := io.ReadAll(asked(t, Options{Snapshots: func() []engine.Snapshot { return []engine.Snapshot{s} }}, nil).Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`topic="logs/` + "\uFFFD" + `\"\n"`, `penstock_step_duration_seconds_bucket{kind="http",pipeline="p",step="a` + "\uFFFD" + `",le="0.0001"}`} {
		if !bytes.Contains(body, []byte(want)) {
			t.Errorf("no %s", want)
		}
	}
}

// A pipeline that never started has its state, and no figures that are not known.
func TestAPipelineThatNeverStarted(t *testing.T) {
	s := engine.Snapshot{Pipeline: "lost", State: "failed"}
	body, err := io.ReadAll(asked(t, Options{Snapshots: func() []engine.Snapshot { return []engine.Snapshot{s} }}, nil).Body)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(body), "\n")
	for line, there := range map[string]bool{
		`penstock_pipeline_state{pipeline="lost",state="failed"} 1`:      true,
		`penstock_pipeline_state{pipeline="lost",state="running"} 0`:     true,
		`penstock_pipeline_records_in_total{pipeline="lost"} 0`:          true,
		`penstock_pipeline_backpressure{level="",pipeline="lost"}`:       false,
		`penstock_pipeline_start_time_seconds{pipeline="lost"}`:          false,
		`penstock_pipeline_lag_records{pipeline="lost"}`:                 false,
		`penstock_source_generation{pipeline="lost"}`:                    false,
		`penstock_pipeline_bottleneck{pipeline="lost"`:                   false,
		`penstock_pipeline_backpressure{level="high",pipeline="lost"} 0`: true,
	} {
		found := slices.ContainsFunc(lines, func(l string) bool { return l == line || !there && strings.HasPrefix(l, line) })
		if found != there {
			t.Errorf("%s is there: %v", line, found)
		}
	}
}
