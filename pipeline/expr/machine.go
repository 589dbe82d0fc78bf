package expr

import (
	"errors"
	"fmt"
	"sync"

	"github.com/penstockio/penstock/pipeline"
)

// What one evaluation may use. A step is about one operation on one element or 64
// bytes; the bytes are those of strings and containers that the expression builds.
const (
	maxSteps  = 1_000_000
	maxMemory = 16 << 20
	maxResult = 1 << 20 // of one built string, and of a result
)

// A fault is why an evaluation failed. Its text never quotes a value.
type fault string

func (f fault) Error() string { return string(f) }

// faultf makes a fault, an ofNil where one of args is that or the kind of nil.
func faultf(format string, args ...any) error {
	f := fault(fmt.Sprintf(format, args...))
	for _, a := range args {
		if a == any(kNil) {
			return ofNil{f}
		}
	}
	return f
}

// An ofNil is the fault of something that is nil, and should be something else.
type ofNil struct{ fault }

func (o ofNil) Unwrap() error { return o.fault }

// within puts the name of the function that failed before a fault.
func within(name string, err error) error {
	switch f := err.(type) {
	case fault:
		return fault(name + ": " + string(f))
	case ofNil:
		return ofNil{fault(name + ": " + string(f.fault))}
	}
	return err
}

const (
	errSteps  = fault("takes too many steps: test less, or split the array first")
	errMemory = fault("builds too much: at most 16 MiB in one evaluation")
	errResult = fault("builds more than 1 MiB")
	errText   = fault("a field that a stage has set is not valid JSON")
)

// A machine is the state of one evaluation.
type machine struct {
	rec     *pipeline.Record
	vars    []value // of let, and of the elements of predicates
	stack   []value // arguments of the calls being made
	steps   int
	memory  int
	large   bool        // something was to be larger than one value may be
	repeat  *repetition // nil: now, uuid and random are live
	calls   int         // of uuid and random
	hasNow  bool
	now     int64  // what now has given, nanoseconds
	scratch []byte // for short strings that live as long as the evaluation

	keptRaw, kept []byte // the long text that was unescaped last, with and without its escapes
}

// scratchSize is how many bytes of them a machine has room for. It saves an allocation for each
// string that is only a step on the way to the result (BenchmarkJSON).
const scratchSize = 256

// machines are shared by all evaluations. They hold no channels, so that a bubble of
// testing/synctest may use one that was made outside of it.
var machines = sync.Pool{New: func() any { return &machine{scratch: make([]byte, 0, scratchSize)} }}

func (m *machine) reset(rec *pipeline.Record, vars int) {
	m.rec, m.steps, m.memory, m.large, m.repeat, m.calls, m.hasNow = rec, 0, 0, false, nil, 0, false
	if cap(m.vars) < vars {
		m.vars = make([]value, vars)
	}
	m.vars, m.stack, m.scratch = m.vars[:vars], m.stack[:0], m.scratch[:0]
}

// free gives m back, without a hold on the record's bytes.
func (m *machine) free() {
	m.rec, m.keptRaw, m.kept = nil, nil, nil
	clear(m.vars)
	clear(m.stack[:cap(m.stack)])
	machines.Put(m)
}

// step counts work.
func (m *machine) step(n int) error {
	if m.steps += n + 1; m.steps > maxSteps {
		return errSteps
	}
	return nil
}

// grow counts bytes that are about to be built.
func (m *machine) grow(n int) error {
	if n > maxResult {
		return m.tooLarge()
	}
	if m.memory += n; m.memory > maxMemory {
		return errMemory
	}
	return m.step(n / 64)
}

// tooLarge is the error of one value that is too large.
func (m *machine) tooLarge() error {
	m.large = true
	return errResult
}

// limit is the error of something else that has a limit, which try does not get around.
func (m *machine) limit(message string) error {
	m.large = true
	return fault(message)
}

// spent says whether the evaluation has gone beyond what it may use.
func (m *machine) spent() bool { return m.steps > maxSteps || m.memory > maxMemory || m.large }

// join gives x and y as one string.
func (m *machine) join(x, y []byte) []byte {
	n := len(x) + len(y)
	if cap(m.scratch)-len(m.scratch) < n {
		return append(append(make([]byte, 0, n), x...), y...)
	}
	from := len(m.scratch)
	m.scratch = append(append(m.scratch, x...), y...)
	return m.scratch[from : from+n : from+n]
}

// text gives the characters of the string v. Undoing the escapes of a record's own text is work and
// no result, however long the text is: its steps bound it, at 64 MiB of an evaluation. A long text is
// kept, for the next call that needs it.
func (m *machine) text(v value) ([]byte, error) {
	if v.form != escaped {
		return v.text, nil
	}
	if len(v.text) < keptText {
		return unescape(v.text), m.step(len(v.text) / 64)
	}
	if len(m.keptRaw) == len(v.text) && &m.keptRaw[0] == &v.text[0] {
		return m.kept, m.step(0)
	}
	if err := m.step(len(v.text) / 64); err != nil {
		return nil, err
	}
	m.keptRaw, m.kept = v.text, unescape(v.text)
	return m.kept, nil
}

// keptText is the length from which a text without its escapes is kept.
const keptText = 4 << 10

// failed makes the error of an evaluation: permanent, with reason expression. Errors of the record
// itself, like invalid JSON, stay as they are.
func failed(doing, text string, err error) error {
	var f fault
	if !errors.As(err, &f) {
		return err
	}
	const most = 120
	if len(text) > most {
		text = text[:most] + "…"
	}
	return pipeline.Reject(pipeline.ReasonExpression, fmt.Errorf("%s %s: %s", doing, text, f))
}
