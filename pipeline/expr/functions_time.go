package expr

import (
	"time"
)

var timeFunctions = map[string]function{
	"now": {params: []mask{mAny}, least: 0, most: 0, kinds: mTime, call: now, varies: true, manual: manual{
		usage: "now()",
		says:  "the time at which the expression is evaluated, as a date; in replay and in cases the record's own time, or the beginning of 1970 when it has none",
		fails: "the record's time is before 1678 or after 2261, in replay and in cases",
		examples: []Example{
			{`type(now())`, `"date"`}, {`now() - now()`, `"0s"`},
		},
	}},
	"duration": {params: []mask{mString}, least: 1, most: 1, kinds: mDuration, call: duration,
		manual: manual{usage: "duration(text)", says: "the duration that a text like 1h30m, 45s or 250ms stands for", fails: "the text is no duration",
			examples: []Example{{`duration("1m30s") > duration("80s")`, `true`}, {`date(created) + duration("1h")`, `"2026-03-01T13:30:00Z"`}, {`duration(order.id)`, `error: the text is no duration`}}}},
	"date": {params: []mask{mString | mNumber, mString, mString}, least: 1, most: 3, kinds: mTime, bind: bindDate,
		manual: manual{usage: "date(value, layout?, zone?)", says: "the date that a text stands for, by a layout that is written with the parts of 2006-01-02 15:04:05, or one of the names that formatTime takes, in a zone (UTC when it is left out; where its clocks go back, and two moments have that time, the first); of an integer the date so many milliseconds after 1970", fails: "the text is no date of that layout, or, without one, none of the forms that are tried, a number has a fraction, or the date is before 1678 or after 2261",
			examples: []Example{{`date(created)`, `"2026-03-01T12:30:00Z"`}, {`date("2026/03/01", "2006/01/02", "Europe/Berlin")`, `"2026-02-28T23:00:00Z"`}, {`date(meta.time)`, `"2026-03-01T12:30:00Z"`}, {`date(order.id)`, `error: none of the forms that are tried without a layout`}}}},
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

func fromTime(t time.Time) (value, error) {
	if y := t.UTC().Year(); y < 1678 || y > 2261 {
		return vNil, errYear
	}
	return value{kind: kTime, num: t.UnixNano()}, nil
}

const errYear = fault("a date before 1678 or after 2261")

// The nanoseconds since 1970 of the first and of the last date.
var firstDate, lastDate = time.Date(1678, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano(), time.Date(2261, 12, 31, 23, 59, 59, 999_999_999, time.UTC).UnixNano()

// moment gives the date so many nanoseconds after 1970.
func moment(n int64) (value, error) {
	if n < firstDate || n > lastDate {
		return vNil, errYear
	}
	return value{kind: kTime, num: n}, nil
}
