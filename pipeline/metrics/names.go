package metrics

import "github.com/penstockio/penstock/pipeline/engine"

// A Name is a metric that there may be.
type Name struct {
	Name   string
	Type   string // counter, gauge, histogram
	Labels []string
	Help   string
}

// processNames are the metrics that are of the process, and of no pipeline.
var processNames = []Name{
	{"penstock_log_lines_written_total", "counter", nil, "Lines of the log that were written."},
	{"penstock_log_lines_dropped_total", "counter", nil, "Lines of the log that were dropped, since their reader was too slow."},
	{"penstock_log_lines_waiting", "gauge", nil, "Lines of the log that are still to be written."},
	{"penstock_trace_spans_sent_total", "counter", nil, "Spans of traces that the collector has taken."},
	{"penstock_trace_spans_dropped_total", "counter", nil, "Spans of traces that were dropped, since the collector is down, refuses them, or is too slow."},
	{"penstock_trace_spans_waiting", "gauge", nil, "Spans of traces that are still to be sent."},
	{"penstock_build_info", "gauge", []string{"version", "revision", "go_version"}, "1; its labels say what the program was made of."},
	{"penstock_config_info", "gauge", []string{"hash"}, "1; its label is the hash of the files that run."},
	{"penstock_config_last_reload_successful", "gauge", nil, "Whether the files that were loaded last were applied: 1, also of those of the start, or 0, and those before go on."},
	{"penstock_config_last_reload_success_timestamp_seconds", "gauge", nil, "When files were last applied, in seconds since 1970."},
}

// Names lists the metrics of the package, as they are called in Prometheus: those of pipelines, of
// partitions, of steps, of sinks and of the process. Those of Go and of the operating system that
// Handler shows beside them, go_ and process_, are not among them.
func Names() []Name {
	all := namesOf(engine.PipelineFigures, pipelineLabels)
	all = append(all, namesOf(engine.PartitionFigures, partitionLabels)...)
	all = append(all, namesOf(engine.StepFigures, stepLabels)...)
	all = append(all, namesOf(engine.SinkFigures, sinkLabels)...)
	return append(all, processNames...)
}

func namesOf[S any](figures []engine.Figure[S], labels []string) (all []Name) {
	for _, f := range figures {
		if m := f.Metric; m.Name != "" {
			all = append(all, Name{prefix + m.Name, string(m.Kind), labelsOf(m, labels), m.Help})
		}
	}
	return all
}

// Series lists the names under which a metric can be asked for in a query: its own, and those of
// the classic form of a histogram.
func (n Name) Series() []string {
	if n.Type != string(engine.MetricHistogram) {
		return []string{n.Name}
	}
	return []string{n.Name, n.Name + "_bucket", n.Name + "_sum", n.Name + "_count"}
}
