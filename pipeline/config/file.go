package config

import (
	"strings"
	"time"

	"github.com/penstockio/penstock/pipeline/calls"
	"github.com/penstockio/penstock/pipeline/engine"
	"github.com/penstockio/penstock/pipeline/expr"
	"github.com/penstockio/penstock/pipeline/redact"
	"github.com/penstockio/penstock/pipeline/settings"
)

// A Pipeline is one file, checked, with the defaults that do not depend on the
// machine filled in.
type Pipeline struct {
	Name       string      `yaml:"pipeline" required:"true" doc:"name of the pipeline in logs and consumer groups: a-z, 0-9 and -"`
	Source     Component   `yaml:"source" section:"source" required:"true" doc:"where records come from"`
	Order      Order       `yaml:"order" doc:"what is kept of the order in which records were read: partition, key (the record's key), {key: EXPR}, or none"`
	Delivery   Delivery    `yaml:"delivery" enum:"at_least_once|exactly_once" doc:"at_least_once: nothing is lost; exactly_once: nothing is duplicated either (refused until it exists)"`
	Stages     []Stage     `yaml:"stages" max:"500" doc:"what is done to each record, one after another"`
	Sinks      []Sink      `yaml:"sinks" required:"true" min:"1" max:"500" doc:"where records go; each sink takes all, or those for which its when holds"`
	DeadLetter *DeadLetter `yaml:"dead_letter" doc:"a sink for rejected records; without it a rejected record stops the pipeline"`
	Process    `yaml:",inline"`

	File string `yaml:"-"` // as it was given
	Dir  string `yaml:"-"` // its folder, absolute
	Hash string `yaml:"-"` // 12 hex digits of the canonical settings, secrets left out

	decoder  *decoder          // for Mentions and Warning
	origins  map[string]string // by path, what stands in the file: "" or the variable or --set it comes from
	secrets  []string          // texts that must not be shown
	places   map[string]string // by path, file:line:column
	folders  map[string]bool   // those of included files, absolute
	identity identity          // as it was loaded, for Compare
}

// Place gives file:line:column of what stands at a path: "source", "stages[2].http",
// "sinks[0]". What does not stand in the file has the place of what it would stand in.
func (p *Pipeline) Place(path string) string {
	for {
		if at, ok := p.places[path]; ok {
			return at
		}
		i := strings.LastIndexAny(path, ".[")
		if i < 0 {
			return p.File
		}
		path = path[:i]
	}
}

// Process holds the settings that all pipelines of a process share.
type Process struct {
	Limits Limits  `yaml:"limits" doc:"what the process may hold at once, and how long it may go on when asked to stop"`
	Admin  *Admin  `yaml:"admin" doc:"the HTTP endpoint for health and figures; without it nothing listens"`
	Log    Log     `yaml:"log" doc:"log lines and events"`
	Traces *Traces `yaml:"traces" doc:"spans of OpenTelemetry for some records, sent to a collector; without it nothing is traced, and headers like traceparent are passed on as they are"`
}

// Limits bound what a process holds.
type Limits struct {
	InFlight      int           `yaml:"in_flight" min:"1" doc:"records that are worked on, in the process; one more for each partition that has none"`
	InFlightBytes settings.Size `yaml:"in_flight_bytes" min:"1MiB" doc:"bytes that were read, or made of that, and are not done with, in the process"`
	Drain         time.Duration `yaml:"drain" min:"1ms" max:"1h" doc:"how long work in flight may go on after a stop or a revoked partition"`

	Rates map[string]calls.RateSettings `yaml:"rates" max:"1000" doc:"how fast calls may come, by a name that steps and sinks of all pipelines of the process give under limit"`
}

// Log says what is logged.
type Log struct {
	Level           string        `yaml:"level" enum:"debug|info|warn|error|disabled" doc:"least level of free log lines; events are written whatever it says"`
	Format          string        `yaml:"format" enum:"auto|json|console" doc:"auto: console on a terminal, else json"`
	StatsEvery      time.Duration `yaml:"stats_every" min:"100ms" max:"1h" doc:"interval of the stats events"`
	PartitionsEvery time.Duration `yaml:"partitions_every" min:"100ms" max:"1h" doc:"interval of source.partition.stats"`
	Events          bool          `yaml:"events" doc:"write the events of the log contract"`
}

// A Delivery is a promise about every record.
type Delivery string

// The promises.
const (
	AtLeastOnce Delivery = "at_least_once"
	ExactlyOnce Delivery = "exactly_once"
)

// Order is the setting order. Key is set for {key: EXPR} alone.
type Order struct {
	Keep engine.Order
	Key  *expr.Expr
}

// A Component is a source, stage or sink by name, with its settings: a pointer to the
// struct that its Kind names.
type Component struct {
	Kind     *Kind
	Settings any
}

// A Stage is an item of stages. Name is set even when the file has none.
type Stage struct {
	StageSettings
	Component
}

// StageSettings stand beside the name of a stage.
type StageSettings struct {
	Name     string         `yaml:"name" doc:"name of the step in logs and dead letters; default: the kind, or kind-2, …"`
	Workers  int            `yaml:"workers" min:"1" max:"65536" doc:"size of the step's pool; default: GOMAXPROCS, in a step that waits for others 64, or as many calls as it can make"`
	Window   int            `yaml:"window" min:"1" max:"4194304" doc:"records admitted and not yet released, each with about 700 bytes beside the budget; default: 64 x workers"`
	Timeout  time.Duration  `yaml:"timeout" min:"1ms" doc:"of one attempt"`
	Deadline time.Duration  `yaml:"deadline" min:"1ms" doc:"of a record in this step, retries included; it begins with the first attempt and stands still while the record is held back"`
	MaxWait  time.Duration  `yaml:"max_wait" min:"1ms" doc:"how long limits may hold a record back in this step, in all: waiting for a place at the host, a rate, a crawl delay, the breaker, the retry budget, or a host that has asked to wait, also as one that waits for an equal call which waits for these; waiting for an equal call that is under way does not count; beyond it the record is rejected; default: without end"`
	Serial   engine.Serial  `yaml:"-"`
	Retry    StepRetry      `yaml:"retry" doc:"how often and how fast a failed attempt is repeated"`
	OnError  engine.OnError `yaml:"-"`
	Calls    calls.Settings `yaml:",inline"`

	SerialName  string `yaml:"serial" enum:"none|key|partition" doc:"calls that follow one another: none (default), those of one key, those of one partition"`
	OnErrorName string `yaml:"on_error" enum:"dead_letter|stop|pass" doc:"what becomes of a record that failed: dead_letter (default when there is one), stop, or pass it on unchanged"`
}

// Retry is the setting retry. Attempts 0 means without end, which only sinks have.
type Retry struct {
	Attempts   int           `yaml:"attempts" min:"1" max:"1000000" doc:"attempts in all; a sink without it tries without end"`
	Backoff    time.Duration `yaml:"backoff" min:"1ms" doc:"longest wait before the second attempt; doubles from there, with full jitter"`
	MaxBackoff time.Duration `yaml:"max_backoff" min:"1ms" doc:"longest wait between attempts"`
}

// StepRetry is the setting retry of a step.
type StepRetry struct {
	Retry  `yaml:",inline"`
	Budget settings.Share `yaml:"budget" doc:"most repeated calls that fail again, as a share of all calls to a host; beyond it they take at most that share of the places, and at least one"`
}

// A Sink is an item of sinks. Name is set even when the file has none.
type Sink struct {
	SinkSettings
	Component
}

// SinkSettings stand beside the name of a sink.
type SinkSettings struct {
	Name           string          `yaml:"name" doc:"name of the sink in logs and dead letters; default: the kind, or kind-2, …"`
	When           *expr.Condition `yaml:"when" doc:"condition under which a record goes to this sink; default: every record"`
	OutputSettings `yaml:",inline"`
}

// OutputSettings are those of sinks and of the dead letters.
type OutputSettings struct {
	Batch   Batch         `yaml:"batch" doc:"how records are put together for a write"`
	Timeout time.Duration `yaml:"timeout" min:"1ms" doc:"of one write"`
	Retry   Retry         `yaml:"retry" doc:"how a failed write is repeated; without attempts: without end"`
	Limit   []string      `yaml:"limit" commas:"true" doc:"rates of limits.rates that the sink's calls keep to, by name: one, or several; only beside a sink that calls, like http"`
}

// Batch is the setting batch of a sink.
type Batch struct {
	Records int           `yaml:"records" min:"1" max:"1000000" doc:"most records of a write; some sinks have another default"`
	Bytes   settings.Size `yaml:"bytes" min:"1B" max:"1GiB" doc:"most bytes of a write; one record at least"`
	Linger  time.Duration `yaml:"linger" max:"1h" doc:"how long a write waits to fill"`
}

// A DeadLetter is the sink of rejected records.
type DeadLetter struct {
	DeadLetterSettings
	Component
}

// DeadLetterSettings stand beside the sink of rejected records.
type DeadLetterSettings struct {
	OutputSettings `yaml:",inline"`
	Redact         *redact.Settings `yaml:"redact" doc:"what is taken out of each dead letter: its fields are those of the record as it came; without it a letter has all of the record, also what a redact step has taken out"`
	Budget         *LetterBudget    `yaml:"budget" doc:"how many of the last records may be rejected before the pipeline stops or pauses: it tells a bad record from an outage; without it any number may"`
}

// A LetterBudget is the setting budget of dead_letter.
type LetterBudget struct {
	Rejected int           `yaml:"rejected" required:"true" min:"1" doc:"most of the last records that may be rejected; each step and the sinks have last records of their own, and what was rejected of these counts together; parts of a split count like records"`
	Of       int           `yaml:"of" min:"1" max:"100000" doc:"how many of the last records are looked at"`
	Then     string        `yaml:"then" enum:"stop|pause" doc:"what happens when there would be more. stop: the pipeline ends with an error (exit code 1) before that record, which is read again; pause: that record is rejected, and then nothing is begun for a while, and the counts begin anew. When the process is told to stop no more than the budget is rejected either: what is left is read again"`
	Pause    time.Duration `yaml:"pause" min:"1s" max:"24h" doc:"of then: pause, how long"`
}

// SetDefaults implements the defaults of settings that stand within others.
func (b *LetterBudget) SetDefaults() {
	*b = LetterBudget{Of: engine.DefaultBudgetOf, Then: "stop", Pause: time.Minute}
}

func defaultPipeline() *Pipeline {
	return &Pipeline{Order: Order{Keep: engine.OrderPartition}, Delivery: AtLeastOnce, Process: defaultProcess()}
}

func defaultProcess() Process {
	return Process{
		Limits: Limits{InFlight: engine.DefaultInFlight, InFlightBytes: engine.DefaultInFlightBytes, Drain: engine.DefaultDrain},
		Log: Log{
			Level: "info", Format: "auto", StatsEvery: engine.DefaultStatsEvery, PartitionsEvery: engine.DefaultPartitionStatsEvery, Events: true,
		},
	}
}

func defaultStage() StageSettings {
	return StageSettings{
		Timeout: engine.DefaultStepTimeout, Deadline: engine.DefaultStepDeadline, SerialName: "none",
		Retry: StepRetry{
			Retry:  Retry{Attempts: engine.DefaultStepAttempts, Backoff: engine.DefaultBackoff, MaxBackoff: engine.DefaultStepMaxBackoff},
			Budget: calls.DefaultRetryBudget,
		},
		Calls: calls.Defaults(),
	}
}

// defaultOutput gives the settings beside a sink of kind k; nil: of any.
func defaultOutput(k *Kind) OutputSettings {
	records := engine.DefaultMaxRecords
	if k != nil && k.BatchRecords > 0 {
		records = k.BatchRecords
	}
	return OutputSettings{
		Batch:   Batch{Records: records, Bytes: engine.DefaultMaxBytes},
		Timeout: engine.DefaultWriteTimeout,
		Retry:   Retry{Backoff: engine.DefaultBackoff, MaxBackoff: engine.DefaultSinkMaxBackoff},
	}
}
