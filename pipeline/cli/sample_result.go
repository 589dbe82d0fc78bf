package cli

// This file is what check --sample says, as its --json has it.

// A sample is what check --sample found out. It is printed as JSON.
type sample struct {
	Records int           `json:"records"` // that were looked at
	Read    int           `json:"read"`    // of which they are
	Order   *sampledPart  `json:"order,omitempty"`
	Steps   []sampledStep `json:"steps"`
	Sinks   []sampledSink `json:"sinks"`
}

// A sampledStep is what a step did, or would do, to the records that reached it.
type sampledStep struct {
	Name      string         `json:"name"`
	Kind      string         `json:"kind"`
	Called    bool           `json:"called"`               // false: it waits for somebody, and its records went on as they were
	DependsOn string         `json:"depends_on,omitempty"` // the step behind which what this one does cannot be known
	In        int            `json:"in"`
	Passed    int            `json:"passed"` // of those in
	Out       int            `json:"out"`    // what it made of them
	Filtered  int            `json:"filtered"`
	Rejected  map[string]int `json:"rejected,omitempty"` // by reason
	// Errors has for each reason the first record that was rejected for it, and the error.
	Errors map[string]string `json:"errors,omitempty"`
	// JudgedBy is the step before it through which nothing passes, for what looks like a slip: fields
	// and expressions are judged by the records that reached that one.
	JudgedBy string `json:"judged_by,omitempty"`
	sampledPart

	unjudged bool // anything may stand anywhere in what reaches it
}

// A sampledSink is how many records a sink would get.
type sampledSink struct {
	Name      string `json:"name"`
	Kind      string `json:"kind"`
	In        int    `json:"in"`    // of those that reached the sinks
	Takes     int    `json:"takes"` // for which its when holds
	DependsOn string `json:"depends_on,omitempty"`
	JudgedBy  string `json:"judged_by,omitempty"` // as of a step
	sampledPart

	unjudged  bool // as of a step
	judgedAll bool // what is beside its when, by what it does not take
}

// A sampledPart is what a part of the file names, judged by the records that reached it.
type sampledPart struct {
	Fields      []sampledField      `json:"fields,omitempty"`
	Expressions []sampledExpression `json:"expressions,omitempty"`
}

// A sampledField is a place that the file names.
type sampledField struct {
	Path      string `json:"path"`
	Setting   string `json:"setting"`
	Place     string `json:"place"` // file:line:column
	In        int    `json:"in"`    // of the records
	Of        int    `json:"of"`
	DependsOn string `json:"depends_on,omitempty"` // the step that may put it in
}

// A sampledExpression is what an expression gave.
type sampledExpression struct {
	Setting   string         `json:"setting"`
	Text      string         `json:"text"`
	Of        int            `json:"of"`
	Types     map[string]int `json:"types,omitempty"`
	Held      *int           `json:"held,omitempty"` // of a condition
	Failed    int            `json:"failed"`
	First     *firstFailure  `json:"first,omitempty"`
	DependsOn string         `json:"depends_on,omitempty"` // the step that may put in what it reads
}

// A firstFailure is where and why an expression failed first.
type firstFailure struct {
	Record  string `json:"record"` // topic/partition and offset
	Place   string `json:"place"`  // file:line:column
	Message string `json:"message"`

	column     int // in the text of the mention
	suggestion string
	detail     string // as config.Problem.Detail
}
