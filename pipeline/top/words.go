package top

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// How figures are written for people. What is not known is a dash.

const unknown = "-"

// whole writes a number with a comma between thousands.
func whole(n int64) string {
	text := strconv.FormatInt(n, 10)
	from := len(text) % 3
	if n < 0 {
		from = (len(text)-1)%3 + 1
	}
	var b strings.Builder
	b.WriteString(text[:from])
	for i := from; i < len(text); i += 3 {
		if i > 0 && text[i-1] != '-' {
			b.WriteByte(',')
		}
		b.WriteString(text[i : i+3])
	}
	return b.String()
}

// wholeOr is whole for a number that is -1 when it is not known.
func wholeOr(n int64) string {
	if n < 0 {
		return unknown
	}
	return whole(n)
}

// short writes a number in at most six places: 12.3k.
func short(f float64) string {
	switch {
	case math.IsNaN(f) || math.IsInf(f, 0):
		return unknown
	case f < 0:
		return "-" + short(-f)
	case f == 0:
		return "0"
	case f < 999.95:
		return strconv.FormatFloat(f, 'f', 1, 64)
	case f < 99_999.5:
		return strconv.FormatFloat(f, 'f', 0, 64)
	case f < 999_500:
		return strconv.FormatFloat(f/1e3, 'f', 0, 64) + "k"
	case f < 999.95e6:
		return strconv.FormatFloat(f/1e6, 'f', 1, 64) + "M"
	case f < 999.95e9:
		return strconv.FormatFloat(f/1e9, 'f', 1, 64) + "G"
	case f < 999.95e12:
		return strconv.FormatFloat(f/1e12, 'f', 1, 64) + "T"
	}
	return strconv.FormatFloat(f, 'e', 0, 64)
}

// wholeIn is whole where that has room in so many columns, and else short: a number that is cut is another one.
func wholeIn(n int64, width int) string {
	if text := whole(n); len(text) <= width {
		return text
	}
	return short(float64(n))
}

// shortWhole is short for a number without a fraction.
func shortWhole(n int64) string {
	if n >= 0 && n < 1_000 {
		return strconv.FormatInt(n, 10)
	}
	return short(float64(n))
}

// text says how much it is.
func (l Lag) text() string {
	if l.Unit == "bytes" {
		return size(float64(l.Sum))
	}
	return whole(l.Sum) + unitOf(l.Unit)
}

// size writes a number of bytes: 12.3 kB.
func size(f float64) string {
	if math.IsNaN(f) {
		return unknown
	}
	for _, unit := range []string{"B", "kB", "MB", "GB"} {
		if f < 999.5 { // else it would be written with four places
			return sizeIn(f, unit)
		}
		f /= 1e3
	}
	return sizeIn(f, "TB")
}

func sizeIn(f float64, unit string) string {
	if unit == "B" || f >= 99.95 {
		return strconv.FormatFloat(f, 'f', 0, 64) + " " + unit
	}
	return strconv.FormatFloat(f, 'f', 1, 64) + " " + unit
}

// perSec writes a rate.
func perSec(f float64) string {
	if math.IsNaN(f) {
		return unknown
	}
	return short(f) + "/s"
}

// span writes milliseconds in at most six places.
func span(ms float64) string {
	switch {
	case math.IsNaN(ms) || math.IsInf(ms, 0) || ms < 0:
		return unknown
	case ms == 0:
		return "0"
	case ms < 0.0005:
		return "<1µs"
	case ms < 0.9995:
		return strconv.FormatFloat(ms*1000, 'f', 0, 64) + "µs"
	case ms < 9.95:
		return strconv.FormatFloat(ms, 'f', 1, 64) + "ms"
	case ms < 999.5:
		return strconv.FormatFloat(ms, 'f', 0, 64) + "ms"
	case ms < 99_950:
		return strconv.FormatFloat(ms/1000, 'f', 1, 64) + "s"
	}
	return long(time.Duration(min(ms, mostSpan)) * time.Millisecond)
}

// mostSpan is 99,999 days in milliseconds: more has no room in six places, nor has much more in a time.Duration.
const mostSpan = 99_999 * 24 * 3_600_000

// spanOf is span for whole milliseconds, -1 when they are not known.
func spanOf(ms int64) string { return span(float64(ms)) }

// long writes a time of minutes, hours or days.
func long(d time.Duration) string {
	d = d.Round(time.Second)
	days, hours, minutes, seconds := int(d.Hours())/24, int(d.Hours())%24, int(d.Minutes())%60, int(d.Seconds())%60
	switch {
	case days > 999:
		return fmt.Sprintf("%dd", days)
	case days > 0:
		return fmt.Sprintf("%dd%02dh", days, hours)
	case hours > 0:
		return fmt.Sprintf("%dh%02dm", hours, minutes)
	case minutes > 0:
		return fmt.Sprintf("%dm%02ds", minutes, seconds)
	}
	return fmt.Sprintf("%ds", seconds)
}

// percent writes a share.
func percent(f float64) string {
	switch {
	case math.IsNaN(f) || math.IsInf(f, 0):
		return unknown
	case f >= 0.0005 && f < 0.0995:
		return strconv.FormatFloat(100*f, 'f', 1, 64) + "%"
	}
	return strconv.FormatFloat(100*f, 'f', 0, 64) + "%"
}

// bar draws a share in so many places.
func bar(f float64, places int) string {
	if math.IsNaN(f) {
		return ""
	}
	halves := int(math.Round(min(max(f, 0), 1) * float64(2*places)))
	if f > 0 && halves == 0 {
		halves = 1
	}
	text := strings.Repeat("█", halves/2)
	if halves%2 == 1 {
		text += "▌"
	}
	return text + strings.Repeat("░", places-(halves+1)/2)
}

var sparks = []string{"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"}

// spark draws values as a line, from 0 to the largest. What is not known is a gap.
func spark(values []float64, top float64) string {
	var b strings.Builder
	for _, f := range values {
		switch {
		case math.IsNaN(f):
			b.WriteByte(' ')
		case top <= 0 || f <= 0:
			b.WriteString(sparks[0])
		default:
			b.WriteString(sparks[min(int(f/top*float64(len(sparks)-1)+0.5), len(sparks)-1)])
		}
	}
	return b.String()
}
