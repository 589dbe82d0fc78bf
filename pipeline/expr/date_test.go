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
		`date(d, "clf")`:                                    `, or is one of ANSIC, DateOnly`,
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

// TestDatesAtTheEdge: the years that a date may have, the hour that comes twice, and names of
// layouts.
func TestDatesAtTheEdge(t *testing.T) {
	for text, want := range map[string]string{
		`date("1678-01-01")`: `"1678-01-01T00:00:00Z"`, `date("2261-12-31T23:59:59.999999999Z")`: `"2261-12-31T23:59:59.999999999Z"`,
		`date(string("2262-01-01") + s[:0])`: "!before 1678 or after 2261", `date("1677-12-31" + s[:0])`: "!before 1678", `date(n * 0 + 9223286400000)`: "!after 2261", `date(9223372036854775807 - n)`: "!after 2261",
		`addDate(date("2261-12-31"), 0, 0, n - 6)`: "!after 2261", `date("2261-12-31") + duration(string(n * 4) + "h")`: "!after 2261", `date("1678-01-01") - duration(string(n) + "ns")`: "!before 1678",
		`truncateTime(addDate(date("1678-01-01"), 0, 0, n), "10000h")`: "!before 1678", `truncateTime(addDate(date("1678-01-02"), 0, 0, n - 7), "week")`: "!before 1678",
		// The night in which 02:30 comes twice, at 00:30 and 01:30 UTC.
		`date("2024-10-27 02:30", "2006-01-02 15:04", "Europe/Berlin")`: `"2024-10-27T00:30:00Z"`, `date("2024-11-03 01:30", "2006-01-02 15:04", "America/New_York")`: `"2024-11-03T05:30:00Z"`, `date("2024-10-27 01:30", "2006-01-02 15:04", "Europe/London")`: `"2024-10-27T00:30:00Z"`,
		`date("2024-10-27 02:30 CET", "2006-01-02 15:04 MST", "Europe/Berlin")`: `"2024-10-27T01:30:00Z"`, `date("2024-10-27 02:30 +0100", "2006-01-02 15:04 -0700", "Europe/Berlin")`: `"2024-10-27T01:30:00Z"`, `date("2024-10-27 03:30", "2006-01-02 15:04", "Europe/Berlin")`: `"2024-10-27T02:30:00Z"`, `date("2024-10-27 01:59", "2006-01-02 15:04", "Europe/Berlin")`: `"2024-10-26T23:59:00Z"`, `date("2024-03-31 12:00", "2006-01-02 15:04", "Europe/Berlin")`: `"2024-03-31T10:00:00Z"`,
		`addDate(date("2024-10-27T01:30:00Z"), 0, 0, 0, "Europe/Berlin")`: `"2024-10-27T01:30:00Z"`, `addDate(date("2024-10-27T00:30:00Z"), 0, 0, 0, "Europe/Berlin")`: `"2024-10-27T00:30:00Z"`, `addDate(date("2024-10-26T00:30:00Z"), 0, 0, 1, "Europe/Berlin")`: `"2024-10-27T00:30:00Z"`, `addDate(date("2024-10-28T01:30:00Z"), 0, 0, -1, "Europe/Berlin")`: `"2024-10-27T00:30:00Z"`,
		`formatTime(date("2024-05-06"), "rfc3339")`: `"2024-05-06T00:00:00Z"`, `formatTime(date("2024-05-06"), "dateonly")`: `"2024-05-06"`, `date("2024-05-06", "DATEONLY")`: `"2024-05-06T00:00:00Z"`, `formatTime(date("2024-05-06"), "2006")`: `"2024"`, `formatTime(date("2024-05-06"), "events20060102.log")`: `"events20240506.log"`, `formatTime(date("2024-05-06T03:04:05Z"), "15h4m5s")`: `"03h4m5s"`, `formatTime(date("2024-05-06"), "2Jan2006")`: `"6May2024"`, `formatTime(date("2024-05-06"), "20060102T150405Z0700")`: `"20240506T000000Z"`,
		`formatTime(date("2024-05-06"), "ISO8601")`: "~no name that is known", `formatTime(date("2024-05-06"), "rfc2822")`: "~no name that is known", `formatTime(date("2024-05-06"), "ISO 8601")`: "~no name", `date(s, "iso8601")`: "~no year", `date(s, "iso8601 2006")`: "~no name", `formatTime(date("2024-05-06"), "rfc-3339")`: "~no name",
		`date("today" + s)`: "!none of the forms that are tried without a layout", `date(s, "2006-01-02")`: "!no date of that layout",
	} {
		e := new(Expr)
		err := e.UnmarshalText([]byte(text))
		if message, refused := strings.CutPrefix(want, "~"); refused {
			if err == nil || !strings.Contains(err.Error(), message) {
				t.Errorf("%s: %v, want %q", text, err, message)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		got, err := e.JSON(record(everything))
		if message, fails := strings.CutPrefix(want, "!"); fails != (err != nil) || fails && !strings.Contains(err.Error(), message) || !fails && string(got) != want {
			t.Errorf("%s: %s, %v; want %s", text, got, err, want)
		}
	}
}
