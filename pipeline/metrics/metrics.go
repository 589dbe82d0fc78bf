// SPDX-License-Identifier: Apache-2.0

// Package metrics shows the figures of pipelines to Prometheus. What there is, and what it is
// called, stands in the tables of the engine, from which the stats events and /api/v1/stats are
// made too: of one moment all three say the same.
package metrics

import (
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/penstockio/penstock/pipeline/engine"
	"github.com/penstockio/penstock/pipeline/event"
)

// prefix begins the name of every metric of the package.
const prefix = "penstock_"

// Options are what a Collector shows. The functions are called once each time it collects, and
// must be safe for several goroutines.
type Options struct {
	Snapshots func() []engine.Snapshot
	Log       func() event.QueueCounts // of the log; nil: not shown
	Traces    func() TraceCounts       // of what is traced; nil: nothing is

	Version, Revision, Go string        // of the program
	Config                func() Config // of the process
}

// A Config says what configuration a process runs.
type Config struct {
	Hash     string    // of the files
	Accepted bool      // the last time that files were loaded they were applied
	Applied  time.Time // when some were last
}

// TraceCounts are how many spans were sent to the collector of traces, were dropped since it was down or too slow, and wait.
type TraceCounts struct{ Sent, Dropped, Waiting int64 }

// A Collector gives the figures of pipelines as metrics. It keeps none: each time it collects, it
// asks for snapshots once. It is a prometheus.Collector, and its methods may be called at any time.
type Collector struct {
	options    Options
	pipelines  []family[engine.Snapshot]
	partitions []family[engine.PartitionSnapshot]
	steps      []family[engine.StepSnapshot]
	sinks      []family[engine.SinkSnapshot]
	process    map[string]*prometheus.Desc // what is not of a pipeline, by name
}

// New makes a Collector. Options.Snapshots must be set.
func New(o Options) *Collector {
	c := &Collector{
		options:    o,
		pipelines:  families(engine.PipelineFigures, pipelineLabels),
		partitions: families(engine.PartitionFigures, partitionLabels),
		steps:      families(engine.StepFigures, stepLabels),
		sinks:      families(engine.SinkFigures, sinkLabels),
		process:    map[string]*prometheus.Desc{},
	}
	for _, n := range processNames {
		c.process[n.Name] = prometheus.NewDesc(n.Name, n.Help, n.Labels, nil)
	}
	return c
}

// The labels of each kind of metric, in the order in which Collect gives their values.
var (
	pipelineLabels  = []string{"pipeline"}
	partitionLabels = []string{"pipeline", "topic", "partition"}
	stepLabels      = []string{"pipeline", "step", "kind"}
	sinkLabels      = []string{"pipeline", "sink", "kind"}
)

// A family is a figure that has a metric.
type family[S any] struct {
	figure *engine.Figure[S]
	desc   *prometheus.Desc
}

func families[S any](figures []engine.Figure[S], labels []string) (all []family[S]) {
	for i := range figures {
		if m := figures[i].Metric; m.Name != "" {
			all = append(all, family[S]{&figures[i], prometheus.NewDesc(prefix+m.Name, m.Help, labelsOf(m, labels), nil)})
		}
	}
	return all
}

// labelsOf gives the labels of a metric, its own behind those of its kind.
func labelsOf(m engine.Metric, labels []string) []string {
	all := append([]string(nil), labels...)
	if m.Label != "" {
		all = append(all, m.Label)
	}
	return all
}

// Describe implements prometheus.Collector.
func (c *Collector) Describe(ch chan<- *prometheus.Desc) {
	describe(ch, c.pipelines)
	describe(ch, c.partitions)
	describe(ch, c.steps)
	describe(ch, c.sinks)
	for _, d := range c.process {
		ch <- d
	}
}

func describe[S any](ch chan<- *prometheus.Desc, all []family[S]) {
	for _, f := range all {
		ch <- f.desc
	}
}

// Collect implements prometheus.Collector.
func (c *Collector) Collect(ch chan<- prometheus.Metric) {
	all := c.options.Snapshots()
	for i := range all {
		c.pipeline(ch, &all[i])
	}
	one := func(name string, kind prometheus.ValueType, v float64, labels ...string) {
		ch <- constant(c.process[prefix+name], kind, v, labels)
	}
	if c.options.Log != nil {
		n := c.options.Log()
		one("log_lines_written_total", prometheus.CounterValue, float64(n.Written))
		one("log_lines_dropped_total", prometheus.CounterValue, float64(n.Dropped))
		one("log_lines_waiting", prometheus.GaugeValue, float64(n.Waiting))
	}
	if c.options.Traces != nil {
		n := c.options.Traces()
		one("trace_spans_sent_total", prometheus.CounterValue, float64(n.Sent))
		one("trace_spans_dropped_total", prometheus.CounterValue, float64(n.Dropped))
		one("trace_spans_waiting", prometheus.GaugeValue, float64(n.Waiting))
	}
	one("build_info", prometheus.GaugeValue, 1, c.options.Version, c.options.Revision, c.options.Go)
	if c.options.Config == nil {
		return
	}
	conf, accepted := c.options.Config(), 0.0
	if conf.Accepted {
		accepted = 1
	}
	one("config_info", prometheus.GaugeValue, 1, conf.Hash)
	one("config_last_reload_successful", prometheus.GaugeValue, accepted)
	one("config_last_reload_success_timestamp_seconds", prometheus.GaugeValue, float64(conf.Applied.UnixMilli())/1000)
}

func (c *Collector) pipeline(ch chan<- prometheus.Metric, s *engine.Snapshot) {
	collect(ch, c.pipelines, s, s.Pipeline)
	for _, r := range s.Source.Partitions {
		p := engine.PartitionSnapshot{PartitionReport: r, At: s.At}
		collect(ch, c.partitions, &p, s.Pipeline, r.Topic, strconv.Itoa(int(r.Partition)))
	}
	for i := range s.Steps {
		collect(ch, c.steps, &s.Steps[i], s.Pipeline, s.Steps[i].Name, s.Steps[i].Kind)
	}
	for i := range s.Sinks {
		collect(ch, c.sinks, &s.Sinks[i], s.Pipeline, s.Sinks[i].Name, s.Sinks[i].Kind)
	}
	if d := s.DeadLetter; d != nil {
		collect(ch, c.sinks, d, s.Pipeline, d.Name, d.Kind)
	}
}

// collect gives the metrics of a snapshot's figures. What is not known has none: a 0 would be a
// figure.
func collect[S any](ch chan<- prometheus.Metric, all []family[S], s *S, labels ...string) {
	for _, f := range all {
		f.collect(ch, f.figure.Sample(s), labels)
	}
}

func (f family[S]) collect(ch chan<- prometheus.Metric, value any, labels []string) {
	m := f.figure.Metric
	kind := prometheus.GaugeValue
	if m.Kind == engine.MetricCounter {
		kind = prometheus.CounterValue
	}
	switch v := value.(type) {
	case nil:
	case engine.Histogram:
		ch <- newHistogram(f.desc, perOne(m), v, labels)
	case []engine.ErrorCount:
		for _, e := range v {
			ch <- constant(f.desc, kind, float64(e.Total), with(labels, e.Type))
		}
	case string:
		f.texts(ch, v, labels)
	default:
		ch <- constant(f.desc, kind, number(v)/perOne(m), labels)
	}
}

// texts gives a series for each text that the figure may be, 1 for the one that it is. An empty text is
// none.
func (f family[S]) texts(ch chan<- prometheus.Metric, is string, labels []string) {
	known := false
	for _, v := range f.figure.Metric.Values {
		one := 0.0
		if v == is {
			one, known = 1, true
		}
		ch <- constant(f.desc, prometheus.GaugeValue, one, with(labels, v))
	}
	if !known && is != "" {
		ch <- constant(f.desc, prometheus.GaugeValue, 1, with(labels, is))
	}
}

func with(labels []string, one string) []string { return append(labels[:len(labels):len(labels)], one) }

// number gives a figure as metrics have it: a moment is seconds since 1970.
func number(value any) float64 {
	switch v := value.(type) {
	case int64:
		return float64(v)
	case float64:
		return v
	case bool:
		if v {
			return 1
		}
		return 0
	case time.Time:
		return float64(v.UnixMilli()) / 1000
	}
	panic("metrics: a figure with a metric is no number") // TestEveryFigureHasAForm
}

// perOne is how many units of a figure make one of its metric.
func perOne(m engine.Metric) float64 {
	if m.Per == 0 {
		return 1
	}
	return m.Per
}

// constant is a metric of one value. A label is a text that somebody else chose, as the name of a
// file: bytes that are no UTF-8 are replaced, or there would be no metric at all.
func constant(d *prometheus.Desc, kind prometheus.ValueType, v float64, labels []string) prometheus.Metric {
	m, err := prometheus.NewConstMetric(d, kind, v, valid(labels)...)
	if err != nil {
		return prometheus.NewInvalidMetric(d, err)
	}
	return m
}

func valid(labels []string) []string {
	for i, l := range labels {
		if fixed := strings.ToValidUTF8(l, "\uFFFD"); fixed != l {
			labels = append([]string(nil), labels...)
			labels[i] = fixed
		}
	}
	return labels
}
