package engine

// A Metric says what a figure is called in Prometheus, and what makes its value one of a base unit.
type Metric struct {
	Name string // without penstock_, which all begin with: step_records_in_total; "": there is none
	Help string
	Kind MetricKind
	// Per is how many units of the figure make one of the metric: 1000 milliseconds are a second.
	// 0: they are the same.
	Per float64
	// Label is for a figure that is a text, or counts by a text: the label that has it.
	Label string
	// Values are the texts that Label may have. Each has a series, and the one that is has 1.
	// None: only what is has one.
	Values []string
}

// A MetricKind is a type of Prometheus.
type MetricKind string

// The kinds of metrics.
const (
	MetricCounter   MetricKind = "counter"   // never falls while the process runs
	MetricGauge     MetricKind = "gauge"     // may rise and fall
	MetricHistogram MetricKind = "histogram" // counts values by their size, since the start; its figure is a Histogram
)

// States are what Snapshot.State may be.
var States = []string{"starting", "running", "paused", "draining", "stopped", "failed"}

// levels are what Snapshot.Backpressure may be.
var levels = []string{"ok", "low", "high"}

func counter(name, help string) Metric { return Metric{Name: name, Help: help, Kind: MetricCounter} }
func gauge(name, help string) Metric   { return Metric{Name: name, Help: help, Kind: MetricGauge} }

// counterBy is the metric of what is counted by a text.
func counterBy(name, label, help string) Metric {
	return Metric{Name: name, Help: help, Kind: MetricCounter, Label: label}
}

func histogram(name, help string) Metric {
	return Metric{Name: name, Help: help, Kind: MetricHistogram}
}

// durations is the metric of a Histogram of microseconds.
func durations(name, help string) Metric {
	return Metric{Name: name, Help: help, Kind: MetricHistogram, Per: 1e6}
}

// texts is the metric of a figure that is a text.
func texts(name, label, help string, values ...string) Metric {
	return Metric{Name: name, Help: help, Kind: MetricGauge, Label: label, Values: values}
}

// inMs is the metric in seconds of a figure in milliseconds.
func (m Metric) inMs() Metric {
	m.Per = 1000
	return m
}

// Sample gives the figure's value for its metric. nil: it has none now.
func (f *Figure[S]) Sample(s *S) any {
	v := f.Value(s)
	if v == nil && f.has != nil && f.has(s) {
		return int64(0)
	}
	return v
}

// waits says whether the step waits for somebody else.
func (s *StepSnapshot) waits() bool { return s.WindowCap > 0 }

// asks says whether the step's component counts answers.
func (s *StepSnapshot) asks() bool { return s.reports }
