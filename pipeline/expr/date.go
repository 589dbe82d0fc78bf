package expr

import (
	"time"

	"github.com/penstockio/penstock/pipeline/textformat"
)

// bindDate makes date(text), date(text, layout), date(text, layout, zone) and
// date(milliseconds). The zone must be constant: it is looked up here.
func bindDate(c *compiler, called string, parts []code) caller {
	zone := c.zone(called, parts, 2)
	known := len(parts) > 1 && parts[1].constant != nil
	if known {
		layout := layoutOf(parts[1].constant.text)
		if wrong, instead := textformat.CheckLayout(layout, zone); wrong != "" {
			if !textformat.HasParts(layout) || textformat.OtherName(layout) {
				instead += ", or is one of " + textformat.GoLayoutNames()
			}
			c.fail(parts[1].at, wrong, instead)
		}
	}
	return func(m *machine, args []value) (value, error) { return date(m, args, zone, known) }
}

// layoutOf gives the layout that a text stands for: that of a name, or its own.
func layoutOf(text []byte) string {
	if layout, ok := textformat.GoLayout(string(text)); ok {
		return layout
	}
	return string(text)
}

// date evaluates a call; known says that the layout was checked when the call was compiled.
func date(m *machine, args []value, zone *time.Location, known bool) (value, error) {
	if args[0].kind == kInt && len(args) == 1 {
		n, err := integers("*", args[0].num, int64(time.Millisecond))
		if err != nil {
			return vNil, errYear
		}
		return moment(n)
	}
	if args[0].kind == kFloat {
		return vNil, fault("a number with a fraction is no date: milliseconds are an integer, int(n)")
	}
	if args[0].kind != kString {
		return vNil, faultf("%s is no date", args[0].kind)
	}
	text, err := m.text(args[0])
	if err != nil {
		return vNil, err
	}
	t, err := readDate(m, text, args[1:], zone, known)
	if err != nil {
		return vNil, err
	}
	return fromTime(t)
}

// readDate reads a text in the layout that is the first of rest, or in a usual one without it.
func readDate(m *machine, text []byte, rest []value, zone *time.Location, known bool) (t time.Time, err error) {
	if len(rest) == 0 {
		t, err = textformat.ReadDate(text, zone)
	} else {
		raw, failed := m.text(rest[0])
		if failed != nil {
			return t, failed
		}
		layout := layoutOf(raw)
		if !known {
			if wrong, instead := textformat.CheckLayout(layout, zone); wrong != "" {
				return t, faultf("%s: %s", wrong, instead)
			}
		}
		t, err = textformat.ReadLayout(text, layout, zone)
	}
	if err != nil {
		return t, fault(err.Error())
	}
	return t, nil
}
