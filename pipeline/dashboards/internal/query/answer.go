package query

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// A Sample is one figure of an answer, with its labels. A label that is empty is not among them.
type Sample struct {
	Labels map[string]string
	Value  float64
}

// A Log is the lines of one stream, to be asked in LogQL.
type Log struct {
	entries []entry // in the order of time
	stream  map[string]string
}

// Answer answers a metric query in LogQL as Loki does at a moment, with which its ranges end. It knows what pages,
// alerts and documents ask with, and fails for the rest. The figures come in no order.
func (l *Log) Answer(logql string, at time.Time) ([]Sample, error) {
	tokens, err := scan(logql)
	if err != nil {
		return nil, err
	}
	p := &metrics{reader: reader{tokens: tokens}}
	n := p.binary(1)
	if p.err == nil && p.peek().kind != end {
		p.fail("%s stands behind the end of the query", p.peek())
	}
	if p.err != nil {
		return nil, p.err
	}
	v, err := n.eval(moment{l, at})
	if err == nil && v.isScalar {
		err = errors.New("the answer is a number without a series")
	}
	return v.samples, err
}

// Lines answers a query of lines over the whole log: each as the query shows it, in the order of time.
func (l *Log) Lines(logql string) ([]string, error) {
	tokens, err := scan(logql)
	if err != nil {
		return nil, err
	}
	p := &metrics{reader: reader{tokens: tokens}}
	s := p.selection()
	if p.err == nil && p.peek().kind != end {
		p.fail("%s stands behind the end of the query", p.peek())
	}
	if p.err != nil || len(l.entries) == 0 {
		return nil, p.err
	}
	first, last := l.entries[0].at, l.entries[len(l.entries)-1].at
	var lines []string
	for _, e := range (moment{l, last}).within(s, last.Sub(first)+time.Millisecond) {
		lines = append(lines, e.line)
	}
	return lines, nil
}

// A moment is a log, asked at a time.
type moment struct {
	*Log
	at time.Time
}

// An entry is one line, and what the stages have made of it.
type entry struct {
	at     time.Time
	line   string
	keys   map[string]string // of the line, as texts
	labels map[string]string
	value  float64 // unwrapped
}

// ReadLog reads the lines of a log, which all belong to a stream with these labels.
func ReadLog(log []byte, stream map[string]string) (*Log, error) {
	l := &Log{stream: stream}
	n := 0
	for line := range bytes.Lines(log) {
		n++
		raw := map[string]json.RawMessage{}
		if err := json.Unmarshal(line, &raw); err != nil {
			return nil, fmt.Errorf("line %d of the log: %w", n, err)
		}
		e := entry{line: string(bytes.TrimSpace(line)), keys: map[string]string{}}
		for k, v := range raw {
			e.keys[k] = plain(v)
		}
		at, err := time.Parse(time.RFC3339Nano, e.keys["timestamp"])
		if err != nil {
			return nil, fmt.Errorf("line %d of the log: its timestamp: %w", n, err)
		}
		e.at = at
		l.entries = append(l.entries, e)
	}
	slices.SortStableFunc(l.entries, func(a, b entry) int { return a.at.Compare(b.at) })
	return l, nil
}

// plain gives a value of JSON as a label has it.
func plain(v json.RawMessage) string {
	var s string
	switch {
	case string(v) == "null":
		return ""
	case json.Unmarshal(v, &s) == nil:
		return s
	}
	return string(v)
}

// within gives what is left of the lines of a range behind all stages.
func (l moment) within(s *selected, d time.Duration) (left []entry) {
	for _, match := range s.matchers {
		if !match(l.stream) {
			return nil
		}
	}
	begin, _ := slices.BinarySearchFunc(l.entries, l.at.Add(-d), func(e entry, t time.Time) int {
		if e.at.After(t) {
			return 1
		}
		return -1 // the beginning of a range is not in it
	})
next:
	for _, e := range l.entries[begin:] {
		if e.at.After(l.at) {
			break
		}
		e.labels = maps.Clone(l.stream)
		for _, stage := range s.stages {
			if !stage(&e) {
				continue next
			}
		}
		left = append(left, e)
	}
	return left
}

// picked gives those of the labels that have a value: the named ones, or all.
func picked(labels map[string]string, names []string, all bool) map[string]string {
	some := map[string]string{}
	for k, v := range labels {
		if v != "" && (all || slices.Contains(names, k)) {
			some[k] = v
		}
	}
	return some
}

// key is equal for equal labels.
func key(labels map[string]string) string {
	b, _ := json.Marshal(labels) // a map of texts, whose keys come sorted
	return string(b)
}
