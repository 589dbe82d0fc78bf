package expr

import (
	"time"

	"github.com/penstockio/penstock/pipeline/textformat"
)

var calendarFunctions = map[string]function{
	"formatTime": {params: []mask{mTime, mString}, least: 2, most: 3, kinds: mString, bind: bindFormatTime, manual: manual{
		usage: "formatTime(date, layout, zone?)",
		says:  "a date as text: by a layout that is written with the parts of Mon Jan 2 15:04:05 2006 -0700, or by RFC3339, RFC3339Nano, RFC1123, RFC1123Z, RFC822, RFC822Z, RFC850, ANSIC, UnixDate, RubyDate, Kitchen, DateTime, DateOnly or TimeOnly, in upper or lower case; in the zone, or in UTC",
		fails: "layout or zone are not constant, or unknown",
		examples: []Example{
			{`formatTime(date("2024-07-06T22:08:09Z"), "Monday, 02.01.2006 15:04", "Europe/Berlin")`, `"Sunday, 07.07.2024 00:08"`},
			{`formatTime(date("2024-05-06"), "DateOnly")`, `"2024-05-06"`},
		},
	}},
	"zone": {params: []mask{mTime, mString}, least: 2, most: 2, kinds: mString, bind: bindZone, manual: manual{
		usage:    "zone(date, zone)",
		says:     "a date as text, as RFC 3339 has it, with the time and the offset of a zone; a date itself has no zone, and is written in UTC",
		fails:    "the zone is not constant, or unknown",
		examples: []Example{{`zone(date("2024-01-06T22:08:09.5Z"), "Asia/Kolkata")`, `"2024-01-07T03:38:09.5+05:30"`}},
	}},
	"truncateTime": {params: []mask{mTime, mString | mDuration, mString}, least: 2, most: 3, kinds: mTime, bind: bindTruncateTime, manual: manual{
		usage: "truncateTime(date, unit, zone?)",
		says:  `the beginning of the unit of time that a date is in: of a constant duration like "15m", counted from 1970, or of its "day", "week" (which begins on Monday), "month", "quarter" or "year" in the zone, or in UTC`,
		fails: "the unit is not constant, is none of these or is not above 0, or the beginning is before 1678",
		examples: []Example{
			{`truncateTime(date("2024-05-06T07:38:09Z"), "15m")`, `"2024-05-06T07:30:00Z"`},
			{`truncateTime(date("2024-05-06T22:38:09Z"), "day", "Europe/Berlin")`, `"2024-05-06T22:00:00Z"`},
			{`truncateTime(date("2024-05-08T01:00:00Z"), "week")`, `"2024-05-06T00:00:00Z"`},
		},
	}},
	"addDate": {params: []mask{mTime, mInt, mInt, mInt, mString}, least: 4, most: 5, kinds: mTime, bind: bindAddDate, manual: manual{
		usage: "addDate(date, years, months, days, zone?)",
		says:  "a date so many years, months and days later, at the same time of the day in the zone, or in UTC; a day that the month does not have becomes its last; of two moments with that time of the day, where clocks go back, the first; hours are added with + duration(\"36h\")",
		fails: "the result is before 1678 or after 2261",
		examples: []Example{
			{`addDate(date("2024-01-31"), 0, 1, 0)`, `"2024-02-29T00:00:00Z"`},
			{`addDate(date("2024-03-30T11:00:00Z"), 0, 0, 1, "Europe/Berlin")`, `"2024-03-31T10:00:00Z"`},
		},
	}},
	"unix":       {params: []mask{mTime}, least: 1, most: 1, kinds: 1 << kInt, call: sinceEpoch(time.Second), manual: manual{usage: "unix(date)", says: "the seconds of a date since 1970, rounded down", examples: []Example{{`unix(date("2024-05-06T12:53:20Z"))`, `1715000000`}}}},
	"unixMilli":  {params: []mask{mTime}, least: 1, most: 1, kinds: 1 << kInt, call: sinceEpoch(time.Millisecond), manual: manual{usage: "unixMilli(date)", says: "the milliseconds of a date since 1970, rounded down: the reverse of date(number)", examples: []Example{{`unixMilli(date("2024-05-06T12:53:20.5Z"))`, `1715000000500`}}}},
	"unixMicro":  {params: []mask{mTime}, least: 1, most: 1, kinds: 1 << kInt, call: sinceEpoch(time.Microsecond), manual: manual{usage: "unixMicro(date)", says: "the microseconds of a date since 1970, rounded down", examples: []Example{{`unixMicro(date("1970-01-01T00:00:01Z"))`, `1000000`}}}},
	"unixNano":   {params: []mask{mTime}, least: 1, most: 1, kinds: 1 << kInt, call: sinceEpoch(1), manual: manual{usage: "unixNano(date)", says: "the nanoseconds of a date since 1970", examples: []Example{{`unixNano(date("1970-01-01T00:00:01Z"))`, `1000000000`}}}},
	"year":       partOfTime("year", "the year of a date", `2024`, time.Time.Year),
	"quarter":    partOfTime("quarter", "the quarter of a date, 1 to 4", `2`, func(t time.Time) int { return (int(t.Month()) + 2) / 3 }),
	"month":      partOfTime("month", "the month of a date, 1 to 12", `5`, func(t time.Time) int { return int(t.Month()) }),
	"week":       partOfTime("week", "the week of a date within its year as ISO 8601 counts them, 1 to 53", `19`, func(t time.Time) int { _, w := t.ISOWeek(); return w }),
	"day":        partOfTime("day", "the day of a date within its month, 1 to 31", `6`, time.Time.Day),
	"yearDay":    partOfTime("yearDay", "the day of a date within its year, 1 to 366", `127`, time.Time.YearDay),
	"weekday":    partOfTime("weekday", "the day of a date within its week, from 1 for Monday to 7 for Sunday", `1`, func(t time.Time) int { return (int(t.Weekday())+6)%7 + 1 }),
	"hour":       partOfTime("hour", "the hour of a date, 0 to 23", `7`, time.Time.Hour),
	"minute":     partOfTime("minute", "the minute of a date, 0 to 59", `8`, time.Time.Minute),
	"second":     partOfTime("second", "the second of a date, 0 to 59", `9`, time.Time.Second),
	"nanosecond": partOfTime("nanosecond", "the part of a date below a second, in nanoseconds", `500000000`, time.Time.Nanosecond),
}

// partOfTime makes a function that gives a part of a date in a zone.
func partOfTime(name, says, example string, part func(time.Time) int) function {
	return function{params: []mask{mTime, mString}, least: 1, most: 2, kinds: 1 << kInt, manual: manual{
		usage: name + "(date, zone?)", says: says + ", in the constant zone, or in UTC", fails: "the zone is unknown",
		examples: []Example{{name + `(date("2024-05-06T07:08:09.5Z"))`, example}},
	}, bind: func(c *compiler, what string, parts []code) caller {
		zone := c.zone(what, parts, 1)
		return func(_ *machine, args []value) (value, error) {
			return vInt(int64(part(args[0].time(zone)))), nil
		}
	}}
}

// time gives a date in a zone.
func (v value) time(zone *time.Location) time.Time { return time.Unix(0, v.num).In(zone) }

// zone reads argument i, the constant name of a zone; UTC when it is left out.
func (c *compiler) zone(what string, parts []code, i int) *time.Location {
	if len(parts) <= i {
		return time.UTC
	}
	k := parts[i].constant
	if k == nil || k.kind != kString {
		c.fail(parts[i].at, "the time zone of "+what+" must be constant", `write it in quotes: "Europe/Berlin"`)
	}
	zone, err := textformat.LoadZone(string(k.text))
	if err != nil {
		c.fail(parts[i].at, "an unknown time zone", `use a name like "Europe/Berlin" or "UTC"`)
	}
	return zone
}

func sinceEpoch(unit time.Duration) caller {
	return func(_ *machine, args []value) (value, error) {
		return vInt(floorDiv(args[0].num, int64(unit))), nil
	}
}

// maxLayout bounds a layout: each of its parts gives at most nine times its own bytes.
const maxLayout = 1000

func bindFormatTime(c *compiler, name string, parts []code) caller {
	k := parts[1].constant
	if k == nil || k.kind != kString {
		c.fail(parts[1].at, "the layout of "+name+" must be constant", `write it in quotes: "2006-01-02 15:04:05"`)
	}
	layout := layoutOf(k.text)
	switch {
	case len(layout) > maxLayout:
		c.fail(parts[1].at, "a layout of more than 1,000 bytes", "")
	case textformat.OtherName(layout):
		c.fail(parts[1].at, textformat.OtherNameMessage, textformat.OtherNameHint)
	case !textformat.HasParts(layout):
		c.fail(parts[1].at, "the layout has no part of a date", `a layout is written with the parts of 2006-01-02 15:04:05, or is a name like "RFC3339"`)
	}
	zone := c.zone(name, parts, 2)
	return func(m *machine, args []value) (value, error) {
		out := args[0].time(zone).AppendFormat(nil, layout)
		if err := m.grow(len(out)); err != nil {
			return vNil, err
		}
		return vText(out), m.step(len(layout))
	}
}

func bindZone(c *compiler, name string, parts []code) caller {
	zone := c.zone(name, parts, 1)
	return func(m *machine, args []value) (value, error) {
		if err := m.grow(len(time.RFC3339Nano)); err != nil {
			return vNil, err
		}
		return vText(args[0].time(zone).AppendFormat(nil, time.RFC3339Nano)), nil
	}
}

// beginnings give the first day of the unit that a day is in.
var beginnings = map[string]func(t time.Time) (y int, m time.Month, d int){
	"day":     func(t time.Time) (int, time.Month, int) { return t.Date() },
	"week":    func(t time.Time) (int, time.Month, int) { y, m, d := t.Date(); return y, m, d - (int(t.Weekday())+6)%7 },
	"month":   func(t time.Time) (int, time.Month, int) { return t.Year(), t.Month(), 1 },
	"quarter": func(t time.Time) (int, time.Month, int) { return t.Year(), t.Month() - (t.Month()-1)%3, 1 },
	"year":    func(t time.Time) (int, time.Month, int) { return t.Year(), 1, 1 },
}

func bindTruncateTime(c *compiler, name string, parts []code) caller {
	k := parts[1].constant
	if k == nil || !k.is(mString|mDuration) {
		c.fail(parts[1].at, "the unit of "+name+" must be constant", `write it in quotes: "1h", "15m", "day" or "month"`)
	}
	zone := c.zone(name, parts, 2)
	if first, ok := beginnings[string(k.text)]; ok && k.kind == kString {
		return func(_ *machine, args []value) (value, error) {
			y, m, d := first(args[0].time(zone))
			return fromTime(beginning(y, m, d, zone))
		}
	}
	length := time.Duration(k.num)
	if k.kind == kString {
		var err error
		if length, err = time.ParseDuration(string(k.text)); err != nil {
			c.fail(parts[1].at, name+" does not know this unit", `write "1h", "15m", "day", "week", "month", "quarter" or "year"`)
		}
	}
	if length <= 0 {
		c.fail(parts[1].at, "the unit of "+name+" is not above 0", "")
	}
	if zone != time.UTC {
		c.fail(parts[2].at, "a duration is counted from 1970 and has no zone", `leave the zone out, or write "day" for 24h`)
	}
	return func(_ *machine, args []value) (value, error) {
		n := args[0].num % int64(length)
		if n < 0 {
			n += int64(length)
		}
		if args[0].num < firstDate+n {
			return vNil, errYear
		}
		return moment(args[0].num - n)
	}
}

// beginning gives the first moment of a day in a zone. time.Date gives another where clocks change
// at midnight, which is then skipped or comes twice.
func beginning(y int, m time.Month, d int, zone *time.Location) time.Time {
	t := time.Date(y, m, d, 0, 0, 0, 0, zone)
	noon := time.Date(y, m, d, 12, 0, 0, 0, zone)
	start, end := t.ZoneBounds()
	sameDay := func(t time.Time) bool { return t.YearDay() == noon.YearDay() && t.Year() == noon.Year() }
	if !sameDay(t) && !end.IsZero() { // the evening before: midnight was left out
		return end
	}
	if start.IsZero() {
		return t
	}
	if sameDay(start) && start.Before(t) {
		return start // clocks went forward from the evening before, beyond midnight
	}
	_, now := t.Zone()
	_, before := start.Add(-1).Zone()
	if first := t.Add(time.Duration(now-before) * time.Second); before > now && first.Before(start) && sameDay(first.In(zone)) {
		return first
	}
	return t
}

func bindAddDate(c *compiler, name string, parts []code) caller {
	zone := c.zone(name, parts, 4)
	return func(_ *machine, args []value) (value, error) {
		if err := allSmall(args[1:4]); err != nil {
			return vNil, err
		}
		const most = 1_000_000
		for _, a := range args[1:4] {
			if a.num < -most || a.num > most {
				return vNil, errYear
			}
		}
		if args[1].num == 0 && args[2].num == 0 && args[3].num == 0 {
			return args[0], nil // and not the other moment of that time of day, where clocks went back
		}
		t := args[0].time(zone)
		months := int64(t.Year())*12 + int64(t.Month()) - 1 + args[1].num*12 + args[2].num
		y, m := int(floorDiv(months, 12)), time.Month(months-floorDiv(months, 12)*12+1)
		last := time.Date(y, m+1, 0, 0, 0, 0, 0, time.UTC).Day()
		d := min(t.Day(), last) + int(args[3].num)
		return fromTime(textformat.FirstOf(time.Date(y, m, d, t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), zone)))
	}
}
