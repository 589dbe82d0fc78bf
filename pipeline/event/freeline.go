package event

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
	"strings"

	"github.com/rs/zerolog"
)

// freeLines is what a logger for free lines writes to. It takes zerolog's line apart and writes
// its own, with the envelope: its names and formats would otherwise follow zerolog's process-wide
// variables, which other code may set.
type freeLines struct{ e *Emitter }

// Write takes lines of loggers that name no level.
func (f *freeLines) Write(p []byte) (int, error) { return f.WriteLevel(zerolog.NoLevel, p) }

// WriteLevel writes one line: flat, no key twice, none that the envelope has.
func (f *freeLines) WriteLevel(level zerolog.Level, p []byte) (int, error) {
	if !f.e.out.Sample(level) { // other code may have switched samplers off for the whole process
		return len(p), nil
	}
	message, pairs := parseFree(p)
	if f.e.step != "" && !hasKey(pairs, "step") {
		pairs = append([]pair{{"step", string(appendString(nil, f.e.step, maxString))}}, pairs...)
	}
	o := f.e.out
	o.mu.Lock()
	defer o.mu.Unlock()
	now := o.opts.Now()
	asJSON := func(b []byte) []byte {
		b = o.envelope(b, now, levelName(level), Free, f.e.pipeline, message)
		for _, kv := range pairs {
			b = appendString(append(b, ','), kv.key, maxString)
			b = append(append(b, ':'), kv.value...)
		}
		return append(b, '}', '\n')
	}
	if o.opts.Console {
		o.buf = appendConsole(o.buf[:0], now, levelName(level), f.e.pipeline, message, pairs, o.opts.Color)
	} else {
		o.buf = asJSON(o.buf[:0])
	}
	kind := freeKind(level)
	o.keep(kind, f.e.pipeline, asJSON)
	if err := o.send(kind); err != nil {
		return 0, err
	}
	return len(p), nil
}

func levelName(l zerolog.Level) string {
	switch {
	case l == zerolog.TraceLevel:
		return "trace"
	case l == zerolog.DebugLevel:
		return "debug"
	case l == zerolog.WarnLevel:
		return "warn"
	case l == zerolog.ErrorLevel:
		return "error"
	case l == zerolog.FatalLevel || l == zerolog.PanicLevel:
		return "fatal"
	}
	return "info"
}

// A pair is a key and a JSON value.
type pair struct{ key, value string }

func hasKey(pairs []pair, key string) bool {
	for _, p := range pairs {
		if p.key == key {
			return true
		}
	}
	return false
}

// parseFree takes a line of zerolog apart. A key that the envelope has, or that is an object in
// ECS, gets an underscore; of a key that comes twice the last counts; objects and arrays become
// strings; null, NaN and infinities are left out.
func parseFree(line []byte) (message string, pairs []pair) {
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.UseNumber()
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return strings.TrimSpace(string(line)), nil
	}
	for dec.More() {
		t, err := dec.Token()
		key, ok := t.(string)
		var raw json.RawMessage
		if err != nil || !ok || dec.Decode(&raw) != nil {
			break // what zerolog could not encode
		}
		switch key {
		case zerolog.MessageFieldName:
			_ = json.Unmarshal(raw, &message)
			continue
		case zerolog.LevelFieldName, zerolog.TimestampFieldName:
			continue
		}
		value, ok := freeValue(raw)
		if !ok {
			continue
		}
		switch {
		case key == zerolog.ErrorFieldName:
			key = "error_message"
		case envelopeKeys[key] || ecsObjects[key]:
			key += "_"
		}
		at := len(pairs)
		for i := range pairs {
			if pairs[i].key == key {
				at = i
			}
		}
		if at == len(pairs) {
			pairs = append(pairs, pair{key: key})
		}
		pairs[at].value = value
	}
	return message, pairs
}

// freeValue makes a value flat: a text of at most maxString bytes, floats with three
// decimals.
func freeValue(raw []byte) (string, bool) {
	switch raw[0] {
	case '{', '[':
		return string(appendString(nil, string(raw), maxString)), true
	case '"':
		var s string
		if json.Unmarshal(raw, &s) != nil || notNumber(s) {
			return "", false
		}
		return string(appendString(nil, s, maxString)), true
	case 'n':
		return "", false
	}
	if bytes.ContainsAny(raw, ".eE") && raw[0] != 't' && raw[0] != 'f' {
		f, err := strconv.ParseFloat(string(raw), 64)
		if err != nil || math.IsInf(f, 0) {
			return "", false
		}
		return string(appendFloat(nil, f)), true
	}
	return string(raw), true
}

// notNumber says whether s is how zerolog writes NaN or an infinity.
func notNumber(s string) bool { return s == "NaN" || s == "+Inf" || s == "-Inf" }

var envelopeKeys = set(envelopeOrder...)

// ecsObjects are names that ECS defines as objects: a value there makes Elasticsearch
// refuse the document.
var ecsObjects = set("agent", "client", "cloud", "container", "destination", "dns", "ecs", "error", "event", "file",
	"group", "host", "http", "labels", "log", "network", "observer", "organization", "orchestrator", "package",
	"process", "registry", "related", "rule", "server", "service", "source", "threat", "tls", "trace", "tracing",
	"transaction", "url", "user", "user_agent", "vulnerability")

func set(names ...string) map[string]bool {
	m := make(map[string]bool, len(names))
	for _, n := range names {
		m[n] = true
	}
	return m
}
