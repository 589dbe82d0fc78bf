package query

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// lines of a log a second apart: two copies, of which b says something odd.
const answerLog = `{"timestamp":"2026-01-05T08:00:01.000Z","event_name":"e.one","copy":"a","n":2,"state":"open"}
{"timestamp":"2026-01-05T08:00:02.000Z","event_name":"e.one","copy":"b","n":5,"state":"open"}
{"timestamp":"2026-01-05T08:00:03.000Z","event_name":"e.one","copy":"a","n":4,"state":"shut"}
{"timestamp":"2026-01-05T08:00:04.000Z","event_name":"e.two","copy":"a","of":"x","n":"many"}
{"timestamp":"2026-01-05T08:00:05.000Z","event_name":"e.two","copy":"b"}
`

// TestAnswer: what LogQL's words mean, with ranges that end at the last line.
func TestAnswer(t *testing.T) {
	log, err := ReadLog([]byte(answerLog), map[string]string{"app": "s"})
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 1, 5, 8, 0, 5, 0, time.UTC)
	one := "{app=\"s\"} |= `\"event_name\":\"e.one\"` | json copy=\"copy\", n=\"n\", state=\"state\""
	count := func(by, more string) string {
		return "sum by (" + by + ") (count_over_time(" + one + more + " [10s]))"
	}
	for logql, want := range map[string]string{
		count("copy", ""): "copy=a 2, copy=b 1",
		`sum by (copy) (count_over_time({app="s"} | json copy="copy" [2s]))`:                                         "copy=a 1, copy=b 1", // the beginning of a range is not in it
		`sum(count_over_time({app="t"} [10s]))`:                                                                      "",
		`sum(count_over_time({app=~"s|t", app!="t"} !~ "one" [10s]))`:                                                " 2",
		`absent_over_time({app="s"} |= "e.three" [10s])`:                                                             " 1",
		`absent_over_time({app="s"} |= "e.two" [10s])`:                                                               "",
		count("copy", ` | n > 3`):                                                                                    "copy=a 1, copy=b 1",
		count("copy", ` | n > 3, state="open"`):                                                                      "copy=b 1",
		count("copy", ` | copy="b" or n <= 2 and state="open"`):                                                      "copy=a 1, copy=b 1",
		count("copy", ` | (copy="b" or n <= 2) and state="shut"`):                                                    "",
		count("state", ` | state=~"op.*"`):                                                                           "state=open 2",
		"sum by (copy) (sum_over_time(" + one + ` | unwrap n | __error__="" [10s]))`:                                 "copy=a 6, copy=b 5",
		"max by (copy) (rate(" + one + ` | unwrap n [10s]))`:                                                         "copy=a 0.4, copy=b 0.5",
		"last_over_time(" + one + ` | unwrap n [10s]) by (copy)`:                                                     "copy=a 4, copy=b 5",
		"first_over_time(" + one + ` | unwrap n [10s]) by (copy) == 2`:                                               "copy=a 2",
		"sum(sum_over_time({app=\"s\"} | json n=\"n\" | unwrap n | __error__=\"\" [10s]))":                           " 11",
		"sum by (kind) (count_over_time(" + one + " | label_format kind=`{{ if eq .copy \"a\" }}x{{ end }}` [10s]))": " 1, kind=x 2",
		count("copy", "") + " / " + count("copy", ` | state="open"`):                                                 "copy=a 2, copy=b 1",
		count("copy", "") + " unless " + count("copy", ` | state="shut"`):                                            "copy=b 1",
		count("copy", "") + " and on (copy) " + count("copy, state", ` | state="shut"`):                              "copy=a 2",
		count("copy", ` | copy="a"`) + " or " + count("copy", "") + " * 10":                                          "copy=a 2, copy=b 10",
		count("copy, state", "") + " / on (copy) group_left () " + count("copy", ""):                                 "copy=a state=open 0.5, copy=a state=shut 0.5, copy=b state=open 1",
		"(" + count("copy", "") + " - " + count("copy", "") + ") == 0 ":                                              "copy=a 0, copy=b 0",
		count("copy", "") + " / (" + count("copy", "") + " * 0) > 0":                                                 "", // no number, and not infinity
		"count by (copy) (" + count("copy, state", "") + ") > 1":                                                     "copy=a 2",
	} {
		all, err := log.Answer(logql, at)
		if err != nil {
			t.Errorf("%s: %v", logql, err)
			continue
		}
		var got []string
		for _, s := range all {
			var labels []string
			for _, k := range slices.Sorted(maps.Keys(s.Labels)) {
				if k != "app" {
					labels = append(labels, k+"="+s.Labels[k])
				}
			}
			got = append(got, strings.Join(labels, " ")+" "+fmt.Sprint(s.Value))
		}
		slices.Sort(got)
		if text := strings.Join(got, ", "); text != want {
			t.Errorf("%s:\ngot  %s\nwant %s", logql, text, want)
		}
	}
}

// TestAnswerRefuses: what is not answered is an error, and no answer of its own making.
func TestAnswerRefuses(t *testing.T) {
	log, err := ReadLog([]byte(answerLog), map[string]string{"app": "s"})
	if err != nil {
		t.Fatal(err)
	}
	for logql, want := range map[string]string{
		`sum(sum_over_time({app="s"} | json n="n" | unwrap n [10s]))`:                                                        "SampleExtractionErr",
		`sum(count_over_time({app="s"} | json n="n" | n > 3 [10s])) 5`:                                                       "behind the end",
		`quantile_over_time(0.9, {app="s"} | unwrap n [10s])`:                                                                "nothing that is answered here",
		`count_over_time({app="s"} | json copy="copy" [10s]) + on (app) count_over_time({app="s"} | json copy="copy" [10s])`: "the same labels",
		`sum(count_over_time({app="s"} | logfmt [10s]))`:                                                                     "a word of LogQL",
		`5`: "a number without a series",
	} {
		if got, err := log.Answer(logql, time.Date(2026, 1, 5, 8, 0, 5, 0, time.UTC)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, %v, want %q", logql, got, err, want)
		}
	}
	if _, err := ReadLog([]byte("{\"timestamp\":\"yesterday\"}\n"), nil); err == nil || !strings.Contains(err.Error(), "line 1") {
		t.Errorf("%v", err)
	}
}

// TestLines: a query of lines shows what its template makes of each.
func TestLines(t *testing.T) {
	log, err := ReadLog([]byte(answerLog), map[string]string{"app": "s"})
	if err != nil {
		t.Fatal(err)
	}
	lines, err := log.Lines("{app=\"s\"} |~ `e\\.(one|two)` | json copy=\"copy\", of=\"of\", n=\"n\" | copy=\"a\" | line_format `{{.copy}} {{.of}}{{.n}}`")
	if want := []string{"a 2", "a 4", "a xmany"}; err != nil || !slices.Equal(lines, want) {
		t.Errorf("%v, %q, want %q", err, lines, want)
	}
}
