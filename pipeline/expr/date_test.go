package expr

import (
	"fmt"
	"strings"
	"testing"
)

// A date whose zone is an abbreviation is the moment that it means, or none: package
// time takes an abbreviation that it does not know for UTC.
func TestZonesOfDates(t *testing.T) {
	const day = "Fri, 02 Jan 2026 "
	for _, c := range []struct{ call, text, want string }{ // a want that starts with ! is of the error
		{`date(d)`, day + "15:04:05 GMT", `"2026-01-02T15:04:05Z"`},
		{`date(d)`, day + "15:04:05 UTC", `"2026-01-02T15:04:05Z"`},
		{`date(d)`, day + "15:04:05 -0500", `"2026-01-02T20:04:05Z"`},
		{`date(d)`, day + "15:04:05 GMT+5", `"2026-01-02T10:04:05Z"`},
		{`date(d)`, day + "15:04:05 GMT-11", `"2026-01-03T02:04:05Z"`},
		{`date(d)`, day + "15:04:05 EST", `!does not say how far`},
		{`date(d)`, day + "15:04:05 CET", `!does not say how far`},
		{`date(d)`, "Friday, 02-Jan-26 15:04:05 PDT", `!does not say how far`},
		{`date(d)`, "02 Jan 26 15:04 MST", `!does not say how far`},
		{`date(d)`, "02 Jan 26 15:04 +0100", `"2026-01-02T14:04:00Z"`},
		{`date(d, "2006-01-02 15:04 MST")`, "2026-01-02 15:04 EST", `!does not say how far`},
		{`date(d, "2006-01-02 15:04 MST", "America/New_York")`, "2026-01-02 15:04 EST", `"2026-01-02T20:04:00Z"`},
		{`date(d, "2006-01-02 15:04 MST", "America/New_York")`, "2026-07-02 15:04 EDT", `"2026-07-02T19:04:00Z"`},
		{`date(d, "2006-01-02 15:04 MST", "Europe/Berlin")`, "2026-01-02 15:04 EST", `!does not say how far`},
		{`date(d, "2006-01-02 15:04 -0700 MST")`, "2026-01-02 15:04 -0500 EST", `"2026-01-02T20:04:00Z"`},
		{`date(d)`, "Friday, 02-Jan-26 15:04:05 GMT", `"2026-01-02T15:04:05Z"`},
		{`date(d)`, "2026-01-02T15:04:05+05:30", `"2026-01-02T09:34:05Z"`},
		{`date(d)`, "2026-01-02T15:04:05Z", `"2026-01-02T15:04:05Z"`},
		{`date(d)`, day + "15:04:05 est", `!no date`},
		{`date(d)`, day + "15:04:05 +03", `"2026-01-02T12:04:05Z"`},
		{`date(d)`, "Fri Jan  2 15:04:05 2026", `!no date`},
		{`date(d)`, day + "15:04:05", `!no date`},
		{`date(d, "2006-01-02 15:04 Z07")`, "2026-01-02 15:04 -05", `"2026-01-02T20:04:00Z"`},
		{`date(d, "2006-01-02 15:04 MST")`, "2026-01-02 15:04 +05", `"2026-01-02T10:04:00Z"`},
		{`date(d, "2006-01-02 15:04 MST", "America/New_York")`, "2026-07-02 15:04 EST", `"2026-07-02T20:04:00Z"`},
		{`date(d, "2006-01-02 15:04 MST", "America/New_York")`, "2026-01-02 15:04 +05", `"2026-01-02T10:04:00Z"`},
		{`date(d, "2006-01-02 15:04 MST", "Asia/Kolkata")`, "2026-01-02 15:04 IST", `"2026-01-02T09:34:00Z"`},
		{`date(d, "2006-01-02 15:04 MST", "Europe/London")`, "2026-07-02 15:04 GMT", `"2026-07-02T15:04:00Z"`},
		{`date(d, "2006-01-02 15:04 MST", "Europe/London")`, "2026-07-02 15:04 BST", `"2026-07-02T14:04:00Z"`},
		{`date(d, "2006-01-02 15:04", "America/New_York")`, "2026-01-02 15:04", `"2026-01-02T20:04:00Z"`},
	} {
		got, err := mustCompile(t, c.call).Bytes(record(fmt.Sprintf(`{"d":%q}`, c.text)))
		switch want, fails := strings.CutPrefix(c.want, "!"); {
		case fails && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s of %s: %s, %v, want an error with %s", c.call, c.text, got, err, want)
		case !fails && (err != nil || `"`+string(got)+`"` != want):
			t.Errorf("%s of %s: %s, %v, want %s", c.call, c.text, got, err, want)
		case err != nil && strings.Contains(err.Error(), "2026"):
			t.Errorf("the error quotes the value: %v", err)
		}
	}
}
