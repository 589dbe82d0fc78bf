package event

import (
	"encoding/json"
	"os"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// ConsoleFor says how lines for f should look. format is "json", "console", or
// "auto" (and ""): console on a terminal, unless Kubernetes reads along. What systemd's journal reads is no
// terminal; JOURNAL_STREAM says nothing of one, as each terminal of a desktop may have inherited it. Colour needs a terminal, and NO_COLOR unset or empty.
func ConsoleFor(format string, f *os.File) (console, color bool) {
	terminal := isTerminal(f)
	switch format {
	case "json":
		return false, false
	case "console":
	default:
		if !terminal || os.Getenv("KUBERNETES_SERVICE_HOST") != "" {
			return false, false
		}
	}
	return true, terminal && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

func isTerminal(f *os.File) bool {
	if f == nil {
		return false
	}
	st, err := f.Stat()
	return err == nil && st.Mode()&os.ModeCharDevice != 0
}

// statsEvents say all that matters in their message.
var statsEvents = set("pipeline.stats", "step.stats", "sink.stats", "error.stats", "source.partition.stats",
	"log.suppressed", "replay.progress")

// details gives what a console line shows behind the message: the fields that are
// neither zero nor empty.
func (p *plan) details(v reflect.Value, step string) []pair {
	if statsEvents[p.def.Name] {
		return nil
	}
	var pairs []pair
	for i := range p.fields {
		f := &p.fields[i]
		var value string
		switch x := v.Field(i); f.kind {
		case reflect.String:
			if s, ok := f.value(v, step); ok && s != "" {
				value = string(appendString(nil, s, f.max))
			}
		case reflect.Int64:
			if !f.skip(v) && (x.Int() != 0 || f.with >= 0) {
				value = strconv.FormatInt(x.Int(), 10)
			}
		case reflect.Float64:
			if x.Float() != 0 && isNumber(x.Float()) {
				value = string(appendFloat(nil, x.Float()))
			}
		case reflect.Bool:
			if x.Bool() {
				value = "true"
			}
		}
		if value != "" {
			pairs = append(pairs, pair{f.key, value})
		}
	}
	return pairs
}

const (
	dim    = "\x1b[2m"
	bold   = "\x1b[1m"
	red    = "\x1b[31m"
	yellow = "\x1b[33m"
	green  = "\x1b[32m"
	plain  = "\x1b[0m"
)

var levelColors = map[string]string{"info": green, "warn": yellow, "error": red, "fatal": red}

// appendConsole appends one line for people: time, level, pipeline, message, details.
func appendConsole(b []byte, now time.Time, level, pipeline, message string, details []pair, color bool) []byte {
	paint := func(c, s string) {
		if color && c != "" {
			b = append(append(append(b, c...), s...), plain...)
			return
		}
		b = append(b, s...)
	}
	pad := func(s string, n int) string { return s + strings.Repeat(" ", max(0, n-len(s))) }

	paint(dim, now.Local().Format("15:04:05.000"))
	b = append(b, ' ')
	paint(levelColors[level], pad(strings.ToUpper(oneLine(level)), 5))
	b = append(b, ' ')
	if pipeline != "" {
		paint(bold, oneLine(pipeline))
		b = append(b, ' ')
	}
	b = append(b, oneLine(message)...)
	for _, d := range details {
		b = append(b, ' ')
		paint(dim, oneLine(d.key)+"=")
		b = append(b, unquoted(d.value)...)
	}
	return append(b, '\n')
}

// unquoted drops the quotes of a JSON string that needs none.
func unquoted(value string) string {
	var s string
	if value == "" || value[0] != '"' || json.Unmarshal([]byte(value), &s) != nil {
		return value
	}
	if s == "" || strings.ContainsAny(s, " \"=\t\n\r") || oneLine(s) != s {
		return oneLine(value)
	}
	return s
}

// oneLine keeps what a message holds from moving the cursor of a terminal, and from turning round what
// stands beside it: control characters are written as Go writes them in a string.
func oneLine(s string) string {
	s = truncate(strings.ToValidUTF8(s, "\uFFFD"), maxString)
	if !strings.ContainsFunc(s, isControl) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if isControl(r) {
			q := strconv.QuoteRune(r)
			b.WriteString(q[1 : len(q)-1])
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

// isControl says whether a terminal acts on r in place of showing it: controls, the old and the new ones,
// what ends a line, and what changes the direction of writing.
func isControl(r rune) bool {
	if r < 0x7f {
		return r < ' '
	}
	return unicode.In(r, unicode.Cc, unicode.Bidi_Control, unicode.Zl, unicode.Zp)
}
