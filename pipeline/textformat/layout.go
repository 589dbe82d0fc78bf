package textformat

import (
	"bytes"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
	_ "time/tzdata" // a zone that is known here is known on machines without a database of zones
)

// goLayouts are the layouts to which package time gives a name.
var goLayouts = map[string]string{
	"RFC3339": time.RFC3339, "RFC3339Nano": time.RFC3339Nano, "RFC1123": time.RFC1123, "RFC1123Z": time.RFC1123Z,
	"RFC822": time.RFC822, "RFC822Z": time.RFC822Z, "RFC850": time.RFC850, "ANSIC": time.ANSIC, "UnixDate": time.UnixDate,
	"RubyDate": time.RubyDate, "Kitchen": time.Kitchen, "DateTime": time.DateTime, "DateOnly": time.DateOnly, "TimeOnly": time.TimeOnly,
}

// GoLayout gives the layout to which package time gives that name, like RFC3339 or DateOnly, in
// upper or lower case.
func GoLayout(name string) (layout string, ok bool) {
	if layout, ok = goLayouts[name]; ok || len(name) > len("RFC3339Nano") {
		return layout, ok
	}
	for known, layout := range goLayouts {
		if strings.EqualFold(known, name) {
			return layout, true
		}
	}
	return "", false
}

// GoLayoutNames are the names that GoLayout takes, as errors list them.
func GoLayoutNames() string { return strings.Join(slices.Sorted(maps.Keys(goLayouts)), ", ") }

// parts are what package time writes a part of a moment for. A figure alone is the last of them.
var parts = regexp.MustCompile(`January|Jan|Monday|Mon|MST|2006|Z?[-+]?07(?::?00){0,2}|__2|002|0[1-6]|15|PM|pm|[.,]0+|[.,]9+`)

// otherName is letters with figures behind them that are no part, or only one.
var otherName = regexp.MustCompile(`[A-Za-z]{2}[0-9]|(?i:rfc|iso)[ _-]?[0-9]`)

// OtherName says whether a layout holds what is a name elsewhere, like ISO8601 or rfc2822: package
// time would write figures of the moment into it.
func OtherName(layout string) bool {
	return otherName.MatchString(parts.ReplaceAllString(layout, "\x00"))
}

// usual are the layouts that ReadDate tries in turn. Days of one figure are taken too.
var usual = []string{
	time.RFC3339, time.DateOnly, time.DateTime, "2006-01-02T15:04:05",
	"2006-01-02T15:04:05Z0700", "2006-01-02T15:04:05Z07", "2006-01-02 15:04:05Z07:00",
	"2 Jan 06 15:04 -0700", "2 Jan 06 15:04 MST", "Monday, 2-Jan-06 15:04:05 MST",
	"Mon, 2 Jan 2006 15:04:05 -0700", "Mon, 2 Jan 2006 15:04:05 MST",
	time.ANSIC, time.UnixDate, time.RubyDate,
}

// named are the layouts of a Timestamp that have a name. A fraction of a second is read with all
// of them.
var named = map[string][]string{
	"rfc3339":     {time.RFC3339, "2006-01-02 15:04:05Z07:00", "2006-01-02T15:04:05Z0700"},
	"rfc2822":     {"Mon, _2 Jan 2006 15:04:05 -0700", "_2 Jan 2006 15:04:05 -0700", "Mon, _2 Jan 2006 15:04 -0700", "_2 Jan 2006 15:04 -0700"},
	"rfc850":      {"Monday, 02-Jan-06 15:04:05 MST"},
	"http":        {"Mon, 02 Jan 2006 15:04:05 GMT"},
	"ansic":       {time.ANSIC},
	"clf":         {"02/Jan/2006:15:04:05 -0700"},
	"nginx_error": {"2006/01/02 15:04:05"},
	"syslog":      {"Jan _2 15:04:05"}, // the year is that of the moment nearest to the record's time
	"datetime":    {time.DateTime, "2006-01-02T15:04:05"},
	"date":        {time.DateOnly},
}

// units are the named layouts that count from 1970, with the digits of a second that they have.
var units = map[string]int{"unix": 0, "unix_ms": 3, "unix_us": 6, "unix_ns": 9}

// layoutNamed gives the name of a layout in lower case, as named and units have it: it may be written
// in upper case. Anything else is given as it is.
func layoutNamed(name string) string {
	lower := strings.ToLower(name)
	_, layout := named[lower]
	if _, unit := units[lower]; layout || unit {
		return lower
	}
	return name
}

// layoutNames are the names of the layouts of a Timestamp, as errors list them.
var layoutNames = strings.Join(slices.Concat(slices.Sorted(maps.Keys(named)), slices.Sorted(maps.Keys(units))), ", ")

// zones are those that were asked for: finding one takes many times as long as a line does.
var zones sync.Map // by name; of those that there are, so they are few

// LoadZone finds a zone like Europe/Berlin or UTC.
func LoadZone(name string) (*time.Location, error) {
	if zone, ok := zones.Load(name); ok {
		return zone.(*time.Location), nil
	}
	zone, err := time.LoadLocation(name)
	if err != nil || name == "Local" || name == "" {
		return nil, whole("there is no such zone: write a name like Europe/Berlin, or UTC")
	}
	zones.Store(name, zone)
	return zone, nil
}

var (
	ownOffset = regexp.MustCompile(`[+-](?:\d\d:\d\d|\d{4})`)
	ownHours  = regexp.MustCompile(`:0[45](?:[.,][09]+)? ?(?:\+\d\d|-\d\d$)`) // behind minutes or seconds
	ownZone   = regexp.MustCompile(`(?i)\b(UTC|GMT|UT|MST|EST|EDT|CST|CDT|MDT|PST|PDT|AKST|HST|CET|CEST|MET|MEST|EET|EEST|WET|WEST|BST|IST|MSK|JST|KST|SGT|HKT|AEST|AEDT|ACST|AWST|NZST|NZDT|SAST)\b`)
	ownZ      = regexp.MustCompile(`(?:^|[^A-Za-z])Z(?:$|[^0A-Za-z])`)
)

// noOffset says whether what looks like an offset is a part of a layout: its own offset, or a
// dash before a year, or before hours, days or months and what follows them.
func noOffset(at string) bool {
	switch at = at[strings.IndexAny(at, "+-"):]; at {
	case "-07", "-07:00", "-0700", "-2006":
		return true
	}
	part := func(two string) bool { return strings.Contains("01 02 03 04 05 06 15", two) }
	return at[0] == '-' && len(at) > 3 && part(at[1:3]) && part(at[len(at)-2:])
}

// What is wrong with OtherName, and what to do about it.
const (
	OtherNameMessage = "the layout is no name that is known here"
	OtherNameHint    = "ISO 8601 is RFC3339; else write it with the parts of 2006-01-02 15:04:05 -0700"
)

// CheckLayout says why a layout of package time cannot give the moments that texts mean, and what
// to do about it; "" when it may. An offset or a zone that is written out in the layout, like
// +02:00 or CET, is not read by package time: the moment would silently be one of zone.
func CheckLayout(layout string, zone *time.Location) (wrong, instead string) {
	const written = "a layout is written with the parts of 2006-01-02 15:04:05 -0700"
	for _, at := range append(ownOffset.FindAllString(layout, -1), ownHours.FindAllString(layout, -1)...) {
		if noOffset(at) {
			continue
		}
		instead = "-0700"
		switch colon, sign := strings.LastIndexByte(at, ':'), strings.IndexAny(at, "+-"); {
		case colon > sign:
			instead = "-07:00"
		case sign == len(at)-len("-07"):
			instead = "-07"
		}
		return "the layout has an offset of its own, which is not read", "where the text has its offset the layout has " + instead
	}
	for _, name := range ownZone.FindAllString(layout, -1) {
		utc := slices.Contains([]string{"UTC", "GMT", "UT"}, strings.ToUpper(name))
		if name != "MST" && (!utc || zone != time.UTC) {
			return "the layout has a zone of its own, which is not read", "where the text has its zone the layout has MST"
		}
	}
	early, late := time.Date(1999, 1, 2, 3, 4, 5, 0, time.UTC), time.Date(2010, 1, 2, 3, 4, 5, 0, time.UTC)
	switch {
	case strings.Contains(layout, "%"):
		return "the layout has a %", written
	case early.Format(layout) == late.Format(layout):
		return "the layout has no year", written
	case OtherName(layout):
		return OtherNameMessage, OtherNameHint
	case zone != time.UTC && ownZ.MatchString(layout):
		return "the Z of the layout is not read: the text says UTC and the zone is another", "write Z07:00 in place of Z, or leave the zone out"
	}
	return "", ""
}

// foreign is what layouts of other languages have: letters of Java, conversions of C.
var foreign = regexp.MustCompile(`%[A-Za-z]|\b(?:yyyy|YYYY|MM|dd|DD|HH|hh|mm|ss|SSS)`)

// HasParts says whether a layout writes any part of a moment.
func HasParts(layout string) bool {
	early, late := time.Date(1999, 1, 2, 3, 4, 5, 678912345, time.UTC), time.Date(2010, 11, 12, 14, 15, 16, 987654321, time.FixedZone("X", 3600))
	return !foreign.MatchString(layout) && early.Format(layout) != late.Format(layout)
}

const longestTime = 200

var (
	errNoTime = whole("the text is no date")
	errLayout = whole("the text is no date of that layout")
	errUsual  = whole("the text is no date: it has none of the forms that are tried without a layout")
	errOffset = whole("the text is no date: its offset is a day or more")
	errZone   = whole("the date's zone does not say how far it is from UTC: name the zone that is meant, or have the offset written")
)

// ReadDate gives the moment that a text means in one of the layouts that are usual: those of
// RFC 3339, RFC 822 and its successors, RFC 850, of C and of Unix, and YYYY-MM-DD. zone is that of
// texts that name none.
func ReadDate(text []byte, zone *time.Location) (time.Time, error) {
	for _, name := range []string{" UT", " Z"} { // of UTC, which package time does not read
		if at, ok := bytes.CutSuffix(text, []byte(name)); ok {
			text = append(slices.Clip(at), " UTC"...)
			break
		}
	}
	t, err := readTime(text, usual, zone)
	if err == errLayout {
		err = errUsual
	}
	return t, err
}

// ReadLayout gives the moment that a text means in a layout of package time. An abbreviation of a
// zone is taken where it is one of zone, or UTC.
func ReadLayout(text []byte, layout string, zone *time.Location) (time.Time, error) {
	return readTime(text, []string{layout}, zone)
}

// readTime reads a text by the first layout that it fits.
func readTime(raw []byte, layouts []string, zone *time.Location) (time.Time, error) {
	if len(raw) > longestTime {
		return time.Time{}, errNoTime
	}
	text := string(raw)
	for _, layout := range layouts {
		t, err := time.ParseInLocation(layout, text, zone)
		if err != nil {
			continue
		}
		if _, offset := t.Zone(); offset <= -24*60*60 || offset >= 24*60*60 {
			return time.Time{}, errOffset
		}
		if t, ok := meant(t, layout, zone); ok {
			return t, nil
		}
		return time.Time{}, errZone
	}
	return time.Time{}, errLayout
}

// FirstOf gives the earlier one of the two moments that have t's date and time of day, where clocks
// of its zone go back; t itself where there is one only.
func FirstOf(t time.Time) time.Time {
	start, _ := t.ZoneBounds()
	if start.IsZero() {
		return t
	}
	_, now := t.Zone()
	_, before := start.Add(-1).Zone()
	if first := t.Add(time.Duration(now-before) * time.Second); first.Before(start) && first.Before(t) {
		return first
	}
	return t
}

// meant gives the moment that a text means whose zone is an abbreviation, and says
// whether it means one. Package time takes the offset of an abbreviation that the zone
// does not have for 0, also where it gives the result another: EST may be of America or
// of Australia, and either is hours from that.
func meant(t time.Time, layout string, zone *time.Location) (time.Time, bool) {
	if !strings.Contains(layout, "MST") && !strings.Contains(layout, "-07") && !strings.Contains(layout, "Z07") {
		return FirstOf(t), true
	}
	if !strings.Contains(layout, "MST") || strings.Contains(layout, "-07") || strings.Contains(layout, "Z07") || t.Location() == zone {
		return t, true
	}
	switch name, offset := t.Zone(); {
	case name == "UTC", name == "GMT", name == "UT":
		return t, true
	case strings.HasPrefix(name, "GMT"): // and hours
		return t.Add(-time.Duration(offset) * time.Second), true
	case strings.HasPrefix(name, "+"), strings.HasPrefix(name, "-"): // hours in place of a name
		hours, err := time.ParseDuration(name + "h")
		return t.Add(-hours), err == nil
	}
	return t, false
}
