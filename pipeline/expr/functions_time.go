package expr

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/expr-lang/expr/ast"
)

var timeFunctions = map[string]function{
	"duration": {[]mask{mString}, 1, 1, mDuration, duration},
	"date":     {[]mask{mString | mNumber, mString, mString}, 1, 3, mTime, nil},
}

func duration(m *machine, args []value) (value, error) {
	text, err := m.text(args[0])
	if err != nil {
		return vNil, err
	}
	d, err := time.ParseDuration(string(text[:min(len(text), 100)]))
	if err != nil || len(text) > 100 {
		return vNil, fault("the text is no duration")
	}
	return value{kind: kDuration, num: int64(d)}, nil
}

// layouts are tried in turn when date gets none.
var layouts = []string{
	time.RFC3339, time.DateOnly, time.DateTime, "2006-01-02T15:04:05",
	time.RFC822Z, time.RFC822, time.RFC850, time.RFC1123Z, time.RFC1123,
}

// date compiles date(text), date(text, layout), date(text, layout, zone) and
// date(milliseconds). The zone must be constant: it is looked up here.
func (c *compiler) date(n ast.Node, args []ast.Node) code {
	f := functions["date"]
	parts := c.arguments(n, "date", f, args)
	zone := time.UTC
	if len(parts) == 3 {
		k := parts[2].konst
		if k == nil {
			c.fail(args[2], "the time zone of date must be constant", `write it in quotes: "Europe/Berlin"`)
		}
		loaded, err := time.LoadLocation(string(k.text))
		if err != nil || string(k.text) == "Local" {
			c.fail(args[2], "an unknown time zone", `use a name like "Europe/Berlin" or "UTC"`)
		}
		zone = loaded
	}
	f.call = func(m *machine, args []value) (value, error) { return date(m, args, zone) }
	return c.fold(n, code{can: f.can, run: func(m *machine) (value, error) {
		return invoke(m, "date", f, parts)
	}}, parts...)
}

func date(m *machine, args []value, zone *time.Location) (value, error) {
	if args[0].kind == kInt && len(args) == 1 {
		n, err := integers("*", args[0].num, int64(time.Millisecond))
		return value{kind: kTime, num: n}, err
	}
	if args[0].kind != kString {
		return vNil, faultf("%s is no date", args[0].kind.name())
	}
	text, err := m.text(args[0])
	if err != nil {
		return vNil, err
	}
	if len(text) > 200 {
		return vNil, fault("the text is no date")
	}
	try := layouts
	if len(args) > 1 {
		layout, err := m.text(args[1])
		if err != nil {
			return vNil, err
		}
		try = []string{string(layout)}
	}
	for _, layout := range try {
		t, err := time.ParseInLocation(layout, string(text), zone)
		if err != nil {
			continue
		}
		if t, ok := fixed(t, layout, zone); ok {
			return fromTime(t)
		}
		return vNil, fault("the date's zone does not say how far it is from UTC: give the zone to date, or have the offset written")
	}
	return vNil, fault("the text is no date of that layout")
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
	case strings.HasPrefix(name, "+"), strings.HasPrefix(name, "-"): // hours, as zones without an abbreviation are written
		hours, err := strconv.Atoi(name)
		return t.Add(-time.Duration(hours) * time.Hour), err == nil
	}
	return t, false
}

func fromTime(t time.Time) (value, error) {
	s := t.Unix()
	if s < math.MinInt64/int64(time.Second)+1 || s > math.MaxInt64/int64(time.Second)-1 {
		return vNil, fault("a date before 1678 or after 2261")
	}
	return value{kind: kTime, num: t.UnixNano()}, nil
}
