package event

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"time"
)

// A Line is one of a log that was written as JSON, read again to be shown to people.
type Line struct {
	Time     time.Time
	Level    string
	Event    string // Free: for people
	Pipeline string // "": the line belongs to none
	Message  string
	details  []pair
}

// ReadLine reads a line for [Line.Console]. Unlike [Validate] it takes what a newer schema, or a shipper,
// has added. The error says why it is no line of a log.
func ReadLine(line []byte) (Line, error) {
	pairs, err := readPairs(line)
	if err != nil {
		return Line{}, err
	}
	var l Line
	var timestamp string
	envelope := map[string]*string{"timestamp": &timestamp, "level": &l.Level, "event_name": &l.Event,
		"pipeline": &l.Pipeline, "message": &l.Message}
	rest := pairs[:0]
	for _, kv := range pairs {
		if into := envelope[kv.key]; into != nil {
			if json.Unmarshal([]byte(kv.value), into) != nil {
				return Line{}, errors.New(kv.key + " is no text")
			}
		} else if !envelopeKeys[kv.key] {
			rest = append(rest, kv)
		}
	}
	if l.Time, err = time.Parse(time.RFC3339Nano, timestamp); err != nil {
		return Line{}, errors.New("no timestamp in RFC 3339")
	}
	if l.Event == "" || l.Level == "" {
		return Line{}, errors.New("no event_name, or no level")
	}
	l.details = detailsOf(l.Event, rest)
	return l, nil
}

// readPairs gives the keys of an object and their values as they stand there.
func readPairs(line []byte) (pairs []pair, err error) {
	dec := json.NewDecoder(bytes.NewReader(line))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New("no JSON object")
	}
	for dec.More() {
		t, err := dec.Token()
		key, ok := t.(string)
		var raw json.RawMessage
		if err != nil || !ok || dec.Decode(&raw) != nil {
			return nil, errors.New("no JSON object")
		}
		pairs = append(pairs, pair{key, string(raw)})
	}
	if _, err := dec.Token(); err != nil {
		return nil, errors.New("the object does not end")
	}
	return pairs, nil
}

// detailsOf gives what the console shows behind the message: as plan.details, of values that were read.
func detailsOf(name string, pairs []pair) []pair {
	if statsEvents[name] {
		return nil
	}
	p := planNames[name]
	shown := pairs[:0]
	for _, kv := range pairs {
		var f *field
		if p != nil {
			f = p.keys[kv.key]
		}
		if name != Free && isNothing(kv.value) && !(f != nil && f.kind == reflect.Int64 && f.with >= 0) {
			continue
		}
		if value, ok := freeValue([]byte(kv.value)); ok {
			shown = append(shown, pair{kv.key, value})
		}
	}
	return shown
}

// isNothing says whether the text of a value is a zero, false, null or an empty text.
func isNothing(value string) bool {
	switch value {
	case `""`, "false", "null":
		return true
	}
	return strings.Trim(value, "-0.") == ""
}

// IsStats says whether the line comes again in every interval, with figures.
func (l *Line) IsStats() bool { return statsEvents[l.Event] && l.Event != "log.suppressed" }

// Console gives the line as it is written for people (see [Options]), in local time.
func (l *Line) Console(color bool) []byte {
	return appendConsole(nil, l.Time, l.Level, l.Pipeline, l.Message, l.details, color)
}

// Printable keeps a text that is no line of a log, and that goes to a terminal, from moving its cursor: control characters are
// written as Go writes them in a string. It cuts a text above 4 KiB.
func Printable(text string) string { return oneLine(text) }

// Text gives the message of the line and its details, as [Line.Console] shows them, without time, level and pipeline. It is harmless for a
// terminal.
func (l *Line) Text() string {
	text := oneLine(l.Message)
	for _, d := range l.details {
		text += " " + oneLine(d.key) + "=" + unquoted(d.value)
	}
	return text
}
