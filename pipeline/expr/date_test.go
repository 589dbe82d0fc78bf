package expr

import (
	"errors"
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
		{`date(d)`, "Fri Jan  2 15:04:05 2026", `"2026-01-02T15:04:05Z"`},
		{`date(d)`, day + "15:04:05", `!no date`},
		{`date(d, "2006-01-02 15:04 Z07")`, "2026-01-02 15:04 -05", `"2026-01-02T20:04:00Z"`},
		{`date(d, "2006-01-02 15:04 MST")`, "2026-01-02 15:04 +05", `"2026-01-02T10:04:00Z"`},
		{`date(d, "2006-01-02 15:04 MST", "America/New_York")`, "2026-07-02 15:04 EST", `"2026-07-02T20:04:00Z"`},
		{`date(d, "2006-01-02 15:04 MST", "America/New_York")`, "2026-01-02 15:04 +05", `"2026-01-02T10:04:00Z"`},
		{`date(d, "2006-01-02 15:04 MST", "Asia/Kolkata")`, "2026-01-02 15:04 IST", `"2026-01-02T09:34:00Z"`},
		{`date(d, "2006-01-02 15:04 MST", "Europe/London")`, "2026-07-02 15:04 GMT", `"2026-07-02T15:04:00Z"`},
		{`date(d, "2006-01-02 15:04 MST", "Europe/London")`, "2026-07-02 15:04 BST", `"2026-07-02T14:04:00Z"`},
		{`date(d, "2006-01-02 15:04", "America/New_York")`, "2026-01-02 15:04", `"2026-01-02T20:04:00Z"`},
		// The forms that are tried without a layout.
		{`date(d)`, "Fri, 2 Jan 2026 15:04:05 GMT", `"2026-01-02T15:04:05Z"`}, {`date(d)`, "Fri, 2 Jan 2026 15:04:05 +0530", `"2026-01-02T09:34:05Z"`},
		{`date(d)`, day + "15:04:05 UT", `"2026-01-02T15:04:05Z"`}, {`date(d)`, day + "15:04:05 Z", `"2026-01-02T15:04:05Z"`},
		{`date(d)`, day + "15:04:05 +05", `"2026-01-02T10:04:05Z"`}, {`date(d)`, day + "15:04:05 -03", `"2026-01-02T18:04:05Z"`},
		{`date(d)`, "Friday, 02-Jan-26 15:04:05 GMT", `"2026-01-02T15:04:05Z"`}, {`date(d)`, "Friday, 02-Jan-26 15:04:05 GMT-3", `"2026-01-02T18:04:05Z"`},
		{`date(d)`, "Fri Jan  2 15:04:05 2026", `"2026-01-02T15:04:05Z"`}, {`date(d)`, "Fri Jan  2 15:04:05 UTC 2026", `"2026-01-02T15:04:05Z"`}, {`date(d)`, "Fri Jan  2 15:04:05 EST 2026", `!does not say how far`},
		{`date(d)`, "2026-01-02T15:04:05+0530", `"2026-01-02T09:34:05Z"`}, {`date(d)`, "2026-01-02T15:04:05+05", `"2026-01-02T10:04:05Z"`}, {`date(d)`, "2026-01-02 15:04:05Z", `"2026-01-02T15:04:05Z"`}, {`date(d)`, "2026-01-02 15:04:05-05:00", `"2026-01-02T20:04:05Z"`},
		{`date(d)`, "2026-01-02T15:04:05.250Z", `"2026-01-02T15:04:05.25Z"`}, {`date(d)`, "2026-01-02T15:04:05-00:00", `"2026-01-02T15:04:05Z"`},
		{`date(d)`, "2026-01-02T15:04:05+24:00", `!the text is no date`}, {`date(d)`, "2026-01-02T15:04:05+99:00", `!the text is no date`}, {`date(d)`, day + "15:04:05 UTC+5", `!the text is no date`}, {`date(d)`, day + "15:04:05 est", `!the text is no date`}, {`date(d)`, "1767366245", `!the text is no date`},
		// Layouts with zones.
		{`date(d, "2006-01-02 15:04 -07")`, "2026-01-02 15:04 +05", `"2026-01-02T10:04:00Z"`}, {`date(d, "2006-01-02 15:04Z07:00")`, "2026-01-02 15:04Z", `"2026-01-02T15:04:00Z"`}, {`date(d, "2006-01-02 15:04 MST")`, "2026-01-02 15:04 +05", `"2026-01-02T10:04:00Z"`},
		{`date(d, "2006-01-02 15:04 MST", "Asia/Dubai")`, "2026-01-02 15:04 +04", `"2026-01-02T11:04:00Z"`}, {`date(d, "2006-01-02 15:04 MST", "Asia/Dubai")`, "2026-01-02 15:04 +05", `"2026-01-02T10:04:00Z"`},
		{`date(d, "2006-01-02 15:04 MST", "America/New_York")`, "2026-01-02 15:04 UTC", `"2026-01-02T15:04:00Z"`}, {`date(d, "2006-01-02 15:04 MST", "America/New_York")`, "2026-01-02 15:04 GMT+3", `"2026-01-02T12:04:00Z"`}, {`date(d, "2006-01-02 15:04 MST", "Europe/London")`, "2026-07-02 15:04 BST", `"2026-07-02T14:04:00Z"`}, {`date(d, "2006-01-02 15:04 MST", "Europe/London")`, "2026-07-02 15:04 GMT", `"2026-07-02T15:04:00Z"`},
		{`date(d, "2006-01-02 15:04 MST", "Europe/Berlin")`, "2026-10-25 02:30 CET", `"2026-10-25T01:30:00Z"`}, {`date(d, "2006-01-02 15:04 MST", "Europe/Berlin")`, "2026-10-25 02:30 CEST", `"2026-10-25T00:30:00Z"`},
		{`date(d, "2006-01-02", "Europe/Berlin")`, "2026-07-02", `"2026-07-01T22:00:00Z"`}, {`date(d, "2006-01-02 15:04 UTC")`, "2026-01-02 15:04 UTC", `"2026-01-02T15:04:00Z"`}, {`date(d, "2006-01-02-15:04")`, "2026-01-02-15:04", `"2026-01-02T15:04:00Z"`}, {`date(d, "02-01-2006")`, "02-01-2026", `"2026-01-02T00:00:00Z"`},
		// A layout of the record is known when the record is there.
		{`date(d, d)`, "2006-01-02 15:04 EST", `!the layout`}, {`date(d, d, "Europe/Berlin")`, "2006-01-02T15:04:05Z", `!the layout`},
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

// What a layout says of the zone in letters and figures of its own is not read: the
// moment would be another than the text says.
func TestLayoutsThatHideAZone(t *testing.T) {
	for call, want := range map[string]string{
		`date(d, "2006-01-02T15:04:05+01:00")`:              `-07:00`,
		`date(d, "2006-01-02T15:04:05-05:00")`:              `-07:00`,
		`date(d, "2006-01-02T15:04:05+0000")`:               `-0700`,
		`date(d, "2006-01-02 15:04 -0500")`:                 `-0700`,
		`date(d, "2006-01-02 15:04 EST")`:                   `MST`,
		`date(d, "2006-01-02 15:04 mst")`:                   `MST`,
		`date(d, "2006-01-02 15:04 CEST", "Europe/Berlin")`: `MST`,
		`date(d, "2006-01-02T15:04:05Z", "Europe/Berlin")`:  `Z07:00`,
		`date(d, "2006-01-02 15:04 GMT", "Europe/Berlin")`:  `MST`,
		`date(d, "yyyy-MM-dd")`:                             `2006-01-02`,
		`date(d, "%Y-%m-%d")`:                               `2006-01-02`,
		`date(d, "15:04")`:                                  `2006-01-02`,
		`date(d, "")`:                                       `2006-01-02`,
		`date(d, "2006", "GMT+5")`:                          `Europe/Berlin`,
		`date(d, "2006", "")`:                               `Europe/Berlin`,
		`date(d, "2006", "europe/nowhere")`:                 `Europe/Berlin`,
	} {
		err := new(Expr).UnmarshalText([]byte(call))
		var e *Error
		if !errors.As(err, &e) || !strings.Contains(e.Suggestion, want) || e.Column < 8 {
			t.Errorf("%s: %+v, want an error at the argument that says %s", call, err, want)
		}
	}
}
