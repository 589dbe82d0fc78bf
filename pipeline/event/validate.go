package event

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Validate checks one line against the contract: the envelope, that the event and
// all its keys are known, there, of the right type and there once, that stats
// balance (I6) and that no value is a number in disguise. The line may end in a
// newline. The error names the event and the key.
func Validate(line []byte) error {
	if !utf8.Valid(line) {
		return errors.New("validating a log line: invalid UTF-8")
	}
	pairs, err := scanFlat(line)
	if err != nil {
		return fmt.Errorf("validating a log line: %w", err)
	}
	l := checked{values: pairs}
	name := l.check()
	if len(l.errs) > 0 {
		return fmt.Errorf("validating an event %q: %s", name, inOneLine(l.errs))
	}
	return nil
}

// inOneLine puts errors one behind the other: who prints them by line gives each line one.
func inOneLine(errs []error) string {
	all := make([]string, len(errs))
	for i, err := range errs {
		all[i] = err.Error()
	}
	return strings.Join(all, "; ")
}

// ValidateAll checks every line of a log. The error names the first bad line.
func ValidateAll(log []byte) error {
	n := 0
	for line := range bytes.Lines(log) {
		n++
		if err := Validate(line); err != nil {
			return fmt.Errorf("line %d: %w\n%s", n, err, line)
		}
	}
	return nil
}

// scanFlat reads one JSON object of scalars, each key once.
func scanFlat(line []byte) (map[string]any, error) {
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.UseNumber()
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New("no JSON object")
	}
	values := map[string]any{}
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return nil, fmt.Errorf("no JSON: %w", err)
		}
		key, ok := t.(string)
		if !ok {
			return nil, errors.New("no JSON object")
		}
		if _, twice := values[key]; twice {
			return nil, fmt.Errorf("key %q stands there twice", key)
		}
		v, err := dec.Token()
		if err != nil {
			return nil, fmt.Errorf("no JSON: %w", err)
		}
		if _, nested := v.(json.Delim); nested {
			return nil, fmt.Errorf("key %q holds an object or an array: a line is flat", key)
		}
		values[key] = v
	}
	if _, err := dec.Token(); err != nil {
		return nil, errors.New("the object does not end")
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, errors.New("something follows the object")
	}
	return values, nil
}

// checked is a line on its way through the checks.
type checked struct {
	values map[string]any
	errs   []error
}

func (l *checked) fail(format string, args ...any) {
	l.errs = append(l.errs, fmt.Errorf(format, args...))
}

func (l *checked) text(key string) string {
	s, ok := l.values[key].(string)
	if !ok || s == "" && key != "message" {
		l.fail("%s is missing or no text", key)
	}
	return s
}

var levels = set("trace", "debug", "info", "warn", "error", "fatal")

func (l *checked) check() (name string) {
	name = l.text("event_name")
	if ts := l.text("timestamp"); ts != "" {
		if t, err := time.Parse(timestampLayout, ts); err != nil || t.Format(timestampLayout) != ts {
			l.fail("timestamp %q is not RFC 3339 with milliseconds in UTC", ts)
		}
	}
	level := l.text("level")
	version := l.version()
	l.text("service_name")
	l.text("service_instance_id")
	l.text("message")
	if _, there := l.values["pipeline"]; there {
		l.text("pipeline")
	}
	for key, v := range l.values {
		if s, ok := v.(string); ok && notNumber(s) {
			l.fail("%s is %s as text: leave it out", key, s)
		}
		if v == nil {
			l.fail("%s is null: leave it out", key)
		}
		if ecsObjects[key] {
			l.fail("%s is an object in ECS: no key may have its name", key)
		}
	}
	if name == Free {
		if !levels[level] {
			l.fail("level is %q", level)
		}
		return name
	}
	p := planNames[name]
	if p == nil {
		l.fail("there is no such event")
		return name
	}
	if level != string(p.def.Level) {
		l.fail("level is %q, the contract says %q", level, p.def.Level)
	}
	l.fields(p, version)
	l.balance()
	l.ratios()
	slices.SortFunc(l.errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return name
}

// version gives the minor part of the line's schema. Lines of older ones within this major part are
// read; a newer one may have what this Registry does not.
func (l *checked) version() (minor int) {
	s := l.text("schema_version")
	if s == "" {
		return schemaMinor
	}
	minor, ok := minorOf(s)
	switch {
	case !ok:
		l.fail("schema_version is %q, not %q", s, SchemaVersion)
	case minor > schemaMinor:
		l.fail("schema_version is %q, newer than %q: check it with a penstock of the version that wrote it", s, SchemaVersion)
	}
	return minor
}

var schemaMinor, _ = minorOf(SchemaVersion)

// minorOf gives the minor part of a version of this major part of the schema.
func minorOf(version string) (int, bool) {
	s, ok := strings.CutPrefix(version, "1.")
	if !ok || !integer.MatchString(s) {
		return 0, false
	}
	n, err := strconv.Atoi(s)
	return n, err == nil && n >= 0
}

// fields compares the keys of the line with those that its event has in the version of the line.
func (l *checked) fields(p *plan, version int) {
	for key := range l.values {
		if p.keys[key] == nil && !envelopeKeys[key] {
			l.fail("the event has no key %s", key)
		}
	}
	for i := range p.fields {
		f := &p.fields[i]
		v, there := l.values[f.key]
		since, _ := minorOf(f.since)
		switch {
		case there && since > version:
			l.fail("%s came with schema %s", f.key, f.since)
		case !there && f.always() && since <= version:
			l.fail("%s is missing", f.key)
		}
		if !there {
			continue
		}
		s, _ := v.(string)
		if came, ok := minorOf(f.later[s]); ok && came > version {
			l.fail("%s %q came with schema %s", f.key, s, f.later[s])
		}
		if why := f.wrong(v); why != "" {
			l.fail("%s %s", f.key, why)
		}
	}
}

// always says whether every line of the event has the key.
func (f *field) always() bool {
	switch f.kind {
	case reflect.Int64, reflect.Bool:
		return f.with < 0 && !f.unknown
	}
	return f.required
}

var (
	integer  = regexp.MustCompile(`^-?(0|[1-9][0-9]*)$`)
	decimals = regexp.MustCompile(`^-?(0|[1-9][0-9]*)\.[0-9]{3}$`)
)

// wrong says what is wrong with a value, "" when nothing is.
func (f *field) wrong(v any) string {
	switch f.kind {
	case reflect.Int64:
		if n, ok := v.(json.Number); !ok || !integer.MatchString(n.String()) {
			return "is no integer"
		}
	case reflect.Float64:
		if n, ok := v.(json.Number); !ok || !decimals.MatchString(n.String()) {
			return "is no number with three decimals"
		}
	case reflect.Bool:
		if _, ok := v.(bool); !ok {
			return "is no boolean"
		}
	case reflect.String:
		s, ok := v.(string)
		switch {
		case !ok:
			return "is no text"
		case s == "":
			return "is empty"
		case f.enum != nil && !slices.Contains(f.enum, s):
			return fmt.Sprintf("is %q, not one of %s", s, strings.Join(f.enum, ", "))
		case f.enum == nil && f.token && token(s) != s:
			return fmt.Sprintf("is %q: lower case, digits and underscores, please", s)
		case len(s) > f.max:
			return fmt.Sprintf("has %d bytes, more than %d", len(s), f.max)
		}
	}
	return ""
}

// number gives the value of an integer key, 0 when the event has none.
func (l *checked) number(key string) int64 {
	n, _ := l.values[key].(json.Number)
	i, _ := strconv.ParseInt(n.String(), 10, 64)
	return i
}

// balance checks I6 on the totals of a stats line.
func (l *checked) balance() {
	if l.values["abandoned_total"] == nil {
		return
	}
	in := l.number("records_in_total") + l.number("created_total")
	out := l.number("records_out_total") + l.number("filtered_total") + l.number("rejected_total") +
		l.number("abandoned_total") + l.number("inflight")
	if in != out {
		l.fail("the totals do not balance: in + created = %d, out + filtered + rejected + abandoned + inflight = %d", in, out)
	}
}

// ratios checks that busy, idle and blocked share out the whole time.
func (l *checked) ratios() {
	sum := 0.0
	for _, key := range []string{"busy_ratio", "idle_ratio", "blocked_ratio"} {
		n, ok := l.values[key].(json.Number)
		if !ok {
			return
		}
		f, _ := n.Float64()
		if f < 0 || f > 1 {
			l.fail("%s is %s, not within 0 and 1", key, n)
		}
		sum += f
	}
	if sum != 0 && (sum < 0.99 || sum > 1.01) {
		l.fail("busy_ratio, idle_ratio and blocked_ratio sum to %.3f, not to 1", sum)
	}
}
