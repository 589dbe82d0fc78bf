package textformat

import (
	"bytes"
	"strconv"
	"strings"
	"time"
)

// A Timestamp reads and writes moments.
type Timestamp struct {
	layouts []layout
	zone    *time.Location
}

// A layout is one of package time, or counts from 1970.
type layout struct {
	name   string
	format string // of package time
	digits int    // of a second, with which it counts from 1970; -1: it does not
}

// NewTimestamp takes layouts, by name or as package time has them (2006-01-02 15:04), which are
// tried in turn, and the zone for those without one: nil is UTC.
func NewTimestamp(names []string, zone *time.Location) (*Timestamp, error) {
	if len(names) == 0 {
		return nil, whole("no layout: name at least one of " + layoutNames + ", or write one with the parts of 2006-01-02 15:04:05")
	}
	if zone == nil {
		zone = time.UTC
	}
	t := &Timestamp{zone: zone}
	for _, name := range names {
		name = layoutNamed(name)
		if digits, ok := units[name]; ok {
			t.layouts = append(t.layouts, layout{name: name, digits: digits})
			continue
		}
		formats, ok := named[name]
		if !ok {
			if wrong, instead := CheckLayout(name, zone); wrong != "" {
				return nil, whole(wrong + ": " + instead + "; those with a name are " + layoutNames)
			}
			formats = []string{name}
		}
		for _, f := range formats {
			t.layouts = append(t.layouts, layout{name, f, -1})
		}
	}
	return t, nil
}

// Read gives the moment that text means. near is about when the text was written, for the layout
// without a year; the zero time: not known, and such a text is an error.
func (t *Timestamp) Read(text []byte, near time.Time) (time.Time, error) {
	text = bytes.TrimSpace(text)
	if len(text) > longestTime || len(text) == 0 {
		return time.Time{}, whole("it is no time of any of the layouts")
	}
	noYear := false
	for _, l := range t.layouts {
		var is time.Time
		ok := false
		switch {
		case l.digits >= 0:
			is, ok = sinceEpoch(text, l.digits)
		case l.name == "clf" && len(text) == 26:
			is, ok = clfTime(text)
		case l.name == "syslog" && near.IsZero():
			_, err := time.Parse(l.format, string(text))
			noYear = noYear || err == nil
		case l.name == "syslog":
			is, ok = nearest(l.format, string(text), t.zone, near)
		default:
			is, ok = l.read(text, t.zone)
		}
		if is = is.UTC(); ok && is.Year() >= 0 && is.Year() <= 9999 {
			return is, nil
		}
	}
	if noYear {
		return time.Time{}, whole("it has no year, and the record has no time that says which")
	}
	return time.Time{}, whole("it is no time of any of the layouts")
}

// obsolete are the zones that RFC 2822 gives an offset. Others may be of several countries.
var obsolete = strings.NewReplacer(" EDT", " -0400", " EST", " -0500", " CDT", " -0500", " CST", " -0600", " MDT", " -0600", " MST", " -0700",
	" PDT", " -0700", " PST", " -0800", " GMT", " +0000", " UTC", " +0000", " UT", " +0000", " Z", " +0000")

func (l layout) read(text []byte, zone *time.Location) (time.Time, bool) {
	if l.name == "rfc2822" {
		if i := bytes.IndexByte(text, '('); i > 0 && text[len(text)-1] == ')' { // a comment
			text = bytes.TrimRight(text[:i], " ")
		}
		text = []byte(obsolete.Replace(string(text)))
	}
	t, err := ReadLayout(text, l.format, zone)
	if err == nil && l.name == "http" {
		return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC), true
	}
	return t, err == nil
}

// nearest reads a text without a year: the year is that which makes it the moment nearest to near.
func nearest(format, text string, zone *time.Location, near time.Time) (is time.Time, ok bool) {
	year := near.In(zone).Year()
	for y := year - 1; y <= year+1; y++ {
		t, err := time.ParseInLocation("2006 "+format, strconv.Itoa(y)+" "+text, zone)
		if err == nil && (!ok || t.Sub(near).Abs() < is.Sub(near).Abs()) {
			is, ok = t, true
		}
	}
	return is, ok
}

// sinceEpoch reads a count from 1970 with that many digits of a second, and a fraction or none.
func sinceEpoch(text []byte, digits int) (time.Time, bool) {
	count, fraction, dot := bytes.Cut(text, []byte{'.'})
	if dot && len(fraction) == 0 || len(count) > 20 {
		return time.Time{}, false
	}
	n, err := strconv.ParseInt(string(count), 10, 64)
	if err != nil || text[0] == '+' {
		return time.Time{}, false
	}
	scale := int64(1)
	for range digits {
		scale *= 10
	}
	nanos := (n % scale) * (1e9 / scale)
	unit := 1e9 / scale
	part := int64(0)
	for _, c := range fraction {
		if c < '0' || c > '9' {
			return time.Time{}, false
		}
		unit /= 10
		part += int64(c-'0') * unit
	}
	if text[0] == '-' {
		part = -part
	}
	const most = 1 << 38 // seconds: beyond the year 9999 either way
	if seconds := n / scale; seconds > -most && seconds < most {
		return time.Unix(seconds, nanos+part), true
	}
	return time.Time{}, false
}

// AppendRead appends the moment that text means, as RFC 3339 in UTC with as many digits of the
// second as it has, or, with ms, as a number: milliseconds since 1970.
func (t *Timestamp) AppendRead(dst, text []byte, near time.Time, ms bool) ([]byte, error) {
	is, err := t.Read(text, near)
	if err != nil {
		return dst, err
	}
	if ms {
		return strconv.AppendInt(dst, is.UnixMilli(), 10), nil
	}
	return appendTime(dst, is), nil
}

// appendTime appends a moment as a JSON string.
func appendTime(dst []byte, t time.Time) []byte {
	return append(t.UTC().AppendFormat(append(dst, '"'), time.RFC3339Nano), '"')
}

// AppendWritten appends a moment in the first layout: a value that is text of RFC 3339, or a
// number of milliseconds since 1970.
func (t *Timestamp) AppendWritten(dst, value []byte) ([]byte, error) {
	value = trim(value)
	var is time.Time
	ok := false
	if value[0] == '"' {
		var err error
		is, err = time.Parse(time.RFC3339, string(plain(value)))
		ok = err == nil
	} else {
		is, ok = sinceEpoch(value, 3)
	}
	if !ok {
		return dst, whole("the value is neither text of RFC 3339 nor milliseconds since 1970")
	}
	l := t.layouts[0]
	switch l.digits {
	case 0:
		return strconv.AppendInt(dst, is.Unix(), 10), nil
	case 3:
		return strconv.AppendInt(dst, is.UnixMilli(), 10), nil
	case 6:
		return strconv.AppendInt(dst, is.UnixMicro(), 10), nil
	case 9:
		if y := is.Year(); y < 1678 || y > 2261 {
			return dst, whole("a date before 1678 or after 2261 has no nanoseconds")
		}
		return strconv.AppendInt(dst, is.UnixNano(), 10), nil
	}
	zone, format := t.zone, l.format
	switch l.name {
	case "http":
		zone = time.UTC
	case "rfc3339":
		format = time.RFC3339Nano
	case "rfc2822":
		format = time.RFC1123Z
	}
	return is.In(zone).AppendFormat(dst, format), nil
}

// Counts says whether what AppendWritten appends is a number.
func (t *Timestamp) Counts() bool { return t.layouts[0].digits >= 0 }
