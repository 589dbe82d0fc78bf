// SPDX-License-Identifier: Apache-2.0

// Package dashboards has the dashboards and alert rules of penstock as data, and gives them as the
// files that Grafana, Loki's ruler and Prometheus load.
//
// The same five dashboards stand on two kinds of store: on Loki they are computed from the log's
// events (package event), on Prometheus from the metrics of /metrics (package metrics). The data is in
// the files loki_*.go and prometheus_*.go; what is made of it is committed under grafana/ and rules/.
// A query names only what exists: the tests compare every name with the tables of those two packages.
package dashboards

import "time"

// A Store is where the queries of a dashboard or a rule are answered.
type Store string

// The stores.
const (
	Loki       Store = "loki"
	Prometheus Store = "prometheus"
)

// A Dashboard is one page of Grafana.
type Dashboard struct {
	Store       Store
	Name        string // of the file: grafana/STORE-NAME.json; also in the page's uid
	Title       string
	Description string // what a reader learns here, in a sentence or two
	Variables   []Variable
	Rows        []Row
	Annotations []Annotation
}

// A Variable is a choice at the head of a page; queries name it as $name.
type Variable struct {
	Name  string
	Label string
	// Values is the query of the store that lists the values, as `label_values(penstock_build_info, job)`;
	// empty: a field to type in, a regular expression.
	Values string
	// Default is the value when the page opens. Of a choice, the empty string is all values.
	Default string
}

// A Row is a line of panels below a heading.
type Row struct {
	Title  string
	Panels []Panel
}

// A Panel is one picture or table of a page.
type Panel struct {
	Title       string
	Description string // what the figure means, and what to do when it is bad; for people
	Kind        Kind
	Unit        Unit
	Width       int // of 24 columns; 0: the row's panels share what is left
	Queries     []Query
	Thresholds  []Threshold // in rising order; below the first one all is well
	Max         float64     // the end of the scale, where there is one, as 1 of a ratio; 0: none
	Stacked     bool        // series add up
}

// A Kind is how a panel shows its answer.
type Kind string

// The kinds. The queries of Stat, Bars and Table are asked for one moment, the end of the page's time
// range; those of Lines, States and Log for the whole range.
const (
	Stat   Kind = "stat"           // one large figure for each series
	Lines  Kind = "timeseries"     // figures over time
	Bars   Kind = "bargauge"       // a bar for each series
	Table  Kind = "table"          // a line for each set of labels, a column for each query
	States Kind = "state-timeline" // which state held when
	Log    Kind = "logs"           // lines of the log
)

// A Unit is what the figures of a panel are, by Grafana's name for it.
type Unit string

// The units.
const (
	Count        Unit = "short"
	PerSecond    Unit = "cps"
	Milliseconds Unit = "ms"
	Seconds      Unit = "s"
	Bytes        Unit = "bytes"
	BytesPerSec  Unit = "Bps"
	Ratio        Unit = "percentunit" // 0 to 1, shown as a percentage
	Text         Unit = "none"
)

// A Query is one question of a panel.
type Query struct {
	// Expr is the question, in LogQL or PromQL. $__interval, $__range and the page's variables are Grafana's
	// to fill in.
	Expr string
	// Name names the answer: a text in which {{label}} stands for a label's value. In a Table it is the
	// heading of the column.
	Name string
	// JQ computes the same from the log itself; only on Loki.
	JQ string
}

// A Threshold is a value from which on a figure is shown in a colour.
type Threshold struct {
	From  float64
	Level Level
}

// A Level says how bad something is.
type Level string

// The levels.
const (
	Good Level = "green"
	Look Level = "orange" // somebody should look at it, in daylight
	Bad  Level = "red"
)

// An Annotation marks moments across the panels of a page, as starts and rebalances.
type Annotation struct {
	Name string
	Expr string
	Text string // what a mark says; {{label}} stands for a label's value
}

// A RuleGroup is a set of rules that are evaluated together, one after another.
type RuleGroup struct {
	Store    Store
	Name     string
	Interval time.Duration // between two evaluations; 0: the store's own
	Records  []Record      // evaluated before the alerts, which may name them
	Alerts   []Alert
}

// A Record is a series that the store computes ahead and keeps.
type Record struct {
	Name string
	Expr string
}

// An Alert is a condition that somebody has to hear of.
type Alert struct {
	Name     string        // PenstockStalled
	Expr     string        // it holds while this has an answer
	For      time.Duration // it has to hold for so long; 0: at once
	Severity Severity
	Summary  string // one line; {{ $labels.x }} and {{ $value }} are the store's to fill in
	Runbook  string // what it means, and what to do first
}

// A Severity says who has to hear of an alert.
type Severity string

// The severities.
const (
	Page   Severity = "page"   // somebody is woken up
	Ticket Severity = "ticket" // somebody looks at it on the next day
)

// All gives every dashboard, those on Loki first. The slice is new; what it holds is shared and not to be
// changed.
func All() []Dashboard { return append(OnLoki(), OnPrometheus()...) }

// Rules gives every group of rules, those of Loki first, as All does.
func Rules() []RuleGroup { return append(LokiRules(), PrometheusRules()...) }
