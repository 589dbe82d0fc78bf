package expr

import (
	"regexp"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // a zone that is known here is known on machines without a database of zones
)

// layouts are tried in turn when date gets none. Days of one figure are taken too.
var layouts = []string{
	time.RFC3339, time.DateOnly, time.DateTime, "2006-01-02T15:04:05",
	"2006-01-02T15:04:05Z0700", "2006-01-02T15:04:05Z07", "2006-01-02 15:04:05Z07:00",
	"2 Jan 06 15:04 -0700", "2 Jan 06 15:04 MST", "Monday, 2-Jan-06 15:04:05 MST",
	"Mon, 2 Jan 2006 15:04:05 -0700", "Mon, 2 Jan 2006 15:04:05 MST",
	time.ANSIC, time.UnixDate, time.RubyDate,
}

// bindDate makes date(text), date(text, layout), date(text, layout, zone) and
// date(milliseconds). The zone must be constant: it is looked up here.
func bindDate(c *compiler, called string, parts []code) caller {
	zone := c.zone(called, parts, 2)
	known := len(parts) > 1 && parts[1].constant != nil
	if known {
		if wrong, instead := badLayout(layoutOf(parts[1].constant.text), zone); wrong != "" {
			c.fail(parts[1].at, wrong, instead)
		}
	}
	return func(m *machine, args []value) (value, error) { return date(m, args, zone, known) }
}

var (
	ownOffset = regexp.MustCompile(`[+-](\d\d:\d\d|\d{4})`)
	ownZone   = regexp.MustCompile(`(?i)\b(UTC|GMT|UT|MST|EST|EDT|CST|CDT|MDT|PST|PDT|AKST|HST|CET|CEST|MET|MEST|EET|EEST|WET|WEST|BST|IST|MSK|JST|KST|SGT|HKT|AEST|AEDT|ACST|AWST|NZST|NZDT|SAST)\b`)
	ownZ      = regexp.MustCompile(`\dZ($|[^0])`)
)

// noOffsets look like offsets, and are parts of a layout: of its own offset, or a dash before a
// year, hours or days.
var noOffsets = []string{"-07:00", "-0700", "-15:04", "-03:04", "-2006", "-1504", "-0102", "-0201", "-0304"}

// badLayout says why a layout cannot give the moments that texts mean, and what to do
// about it; "" when it may. An offset or a zone that is written out in the layout, like +02:00 or
// CET, is not read by package time: the moment would silently be one of the argument zone.
func badLayout(layout string, zone *time.Location) (wrong, instead string) {
	for _, at := range ownOffset.FindAllString(layout, -1) {
		if slices.Contains(noOffsets, at) {
			continue
		}
		instead = "-0700"
		if strings.Contains(at, ":") {
			instead = "-07:00"
		}
		return "the layout has an offset of its own, which is not read", "where the text has its offset the layout has " + instead
	}
	for _, name := range ownZone.FindAllString(layout, -1) {
		utc := slices.Contains([]string{"UTC", "GMT", "UT"}, strings.ToUpper(name))
		if name != "MST" && (!utc || zone != time.UTC) {
			return "the layout has a zone of its own, which is not read", "where the text has its zone the layout has MST"
		}
	}
	if zone != time.UTC && ownZ.MatchString(layout) {
		return "the Z of the layout is not read: the text says UTC and the zone is another", "write Z07:00 in place of Z, or leave the zone out"
	}
	early, late := time.Date(1999, 1, 2, 3, 4, 5, 0, time.UTC), time.Date(2010, 1, 2, 3, 4, 5, 0, time.UTC)
	if early.Format(layout) == late.Format(layout) {
		return "the layout has no year", "a layout is written with the parts of 2006-01-02 15:04:05"
	}
	return "", ""
}

// date evaluates a call; known says that the layout was checked when the call was compiled.
func date(m *machine, args []value, zone *time.Location, known bool) (value, error) {
	if args[0].kind == kInt && len(args) == 1 {
		n, err := integers("*", args[0].num, int64(time.Millisecond))
		return value{kind: kTime, num: n}, err
	}
	if args[0].kind == kFloat {
		return vNil, fault("a number with a fraction is no date: milliseconds are an integer, int(n)")
	}
	if args[0].kind != kString {
		return vNil, faultf("%s is no date", args[0].kind.name())
	}
	raw, err := m.text(args[0])
	if err != nil {
		return vNil, err
	}
	if len(raw) > 200 {
		return vNil, fault("the text is no date")
	}
	text, formats := string(raw), layouts
	if len(args) > 1 {
		layout, err := m.text(args[1])
		if err != nil {
			return vNil, err
		}
		if formats = []string{layoutOf(layout)}; !known {
			if wrong, instead := badLayout(formats[0], zone); wrong != "" {
				return vNil, faultf("%s: %s", wrong, instead)
			}
		}
	} else if at, ok := cutUTC(text); ok {
		text = at + " UTC"
	}
	return moment(text, formats, zone)
}

// moment reads a text by the first layout that it fits.
func moment(text string, formats []string, zone *time.Location) (value, error) {
	for _, layout := range formats {
		t, err := time.ParseInLocation(layout, text, zone)
		if err != nil {
			continue
		}
		if _, offset := t.Zone(); offset <= -24*60*60 || offset >= 24*60*60 {
			return vNil, fault("the text is no date: its offset is a day or more")
		}
		if t, ok := fixed(t, layout, zone); ok {
			return fromTime(t)
		}
		return vNil, fault("the date's zone does not say how far it is from UTC: give the zone to date, or have the offset written")
	}
	return vNil, fault("the text is no date of that layout")
}

// cutUTC removes a name of UTC at the end of a text that package time does not read.
func cutUTC(text string) (string, bool) {
	for _, name := range []string{" UT", " Z"} {
		if at, ok := strings.CutSuffix(text, name); ok {
			return at, true
		}
	}
	return text, false
}

// fixed gives the moment that a text means whose zone is an abbreviation, and says
// whether it means one. Package time takes the offset of an abbreviation that the zone
// does not have for 0, also where it gives the result another: EST may be of America or
// of Australia, and either is hours from that.
func fixed(t time.Time, layout string, zone *time.Location) (time.Time, bool) {
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
