package query

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/penstockio/penstock/pipeline/event"
)

var labels = []string{"service_name", "namespace"}

func TestRead(t *testing.T) {
	for _, c := range []struct {
		logql string
		want  Query
	}{
		{`{service_name="$service"} |= ` + "`\"event_name\":\"pipeline.stats\"`", Query{Selections: []Selection{
			{Labels: []string{"service_name"}, Events: []string{"pipeline.stats"}, Keys: []Key{{Name: "event_name", Needed: true, Values: []string{"pipeline.stats"}}}},
		}}},
		{`sum by (step) (rate({service_name="a", namespace=~"x|y"} |~ "\"event_name\":\"(step.stats|sink\\.stats)\"" | json step="step", v="records_out" | unwrap v | __error__="" [$__interval])) / 2`, Query{
			Groups: []string{"step"},
			Selections: []Selection{{Labels: []string{"service_name", "namespace"}, Events: []string{"step.stats", "sink.stats"}, Keys: []Key{
				{Name: "event_name", Needed: true, Values: []string{"step.stats", "sink.stats"}},
				{Name: "step", Label: "step"}, {Name: "records_out", Label: "v", Number: true, Needed: true},
			}}}}},
		{`{service_name="a"} | json state, n="count" | state=~"open|half_open" and (n > 5 or n < -1), state!="" | line_format "{{.state}} {{ .n | printf }}.{{.__error__}}" != "\"reason\":\"$reason\""`, Query{
			Selections: []Selection{{Labels: []string{"service_name"}, Keys: []Key{
				{Name: "state", Label: "state", Needed: true, Values: []string{"open", "half_open"}},
				{Name: "count", Label: "n", Needed: true, Number: true},
				{Name: "reason"},
			}}}}},
		{`count_over_time({a="b"} | json | event_name="source.gap" | label_format x=topic, y="{{.reason}}" | drop y, cluster [5m] offset 1h) > 0 or vector(0)`, Query{
			Selections: []Selection{{Labels: []string{"a"}, Events: []string{"source.gap"}, Keys: []Key{
				{Name: "event_name", Label: "event_name", Needed: true, Values: []string{"source.gap"}},
				{Name: "topic", Label: "topic"}, {Name: "topic", Label: "x"}, {Name: "reason", Label: "reason"}, {Name: "cluster", Label: "cluster"},
			}}}}},
	} {
		got, err := Read(c.logql)
		if err != nil {
			t.Errorf("%s: %v", c.logql, err)
			continue
		}
		if !reflect.DeepEqual(*got, c.want) {
			t.Errorf("%s:\ngot  %+v\nwant %+v", c.logql, *got, c.want)
		}
	}
}

func TestReadRefuses(t *testing.T) {
	for logql, want := range map[string]string{
		`sum(rate(x[5m]))`:                                              "no stream is selected",
		`{a="b"} |= "out of memory"`:                                    "names no key",
		`{a="b"} |~ "\"event_name\":\"(step|sink).stalled\""`:           "write them out",
		`{a="b"} | json event_name="event_name" | event_name=~"step.+"`: "write them out",
		`{a="b"} | json offset="offset"`:                                "a word of LogQL: give the label another name",
		`sum by (offset) (rate({a="b"} [5m]))`:                          "a word of LogQL",
		`{a="b"} | logfmt`:                                              "the lines are JSON",
		`{a="b"} | json v="n" | unwrap`:                                 "the end stands where a label belongs",
		`{a="b"} | json v=n`:                                            "a key belongs",
		`{a "b"}`:                                                       "at 3: \"b\" stands where =, !=",
		`{a="b"} | frobnicate`:                                          "a comparison of \"frobnicate\"",
		`{a="b"} | json a="a" | (a="x"`:                                 ") belongs",
		`{a="b"} ; `:                                                    "nothing that LogQL has",
		`label_replace({a="b"}, "x", "$1", "y", "")`:                    "not read here",
	} {
		if _, err := Read(logql); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", logql, err, want)
		}
	}
}

func TestCheck(t *testing.T) {
	const p99 = `max by (step) (max_over_time({service_name="s"} |= ` + "`\"event_name\":\"step.stats\"`" + ` | json step="step", v="lat_p99_ms" | unwrap v [1m]))`
	for _, c := range []struct{ logql, want string }{
		{p99, ""},
		{`{service_name="s"} | json level="level", event_name="event_name" | level=~"warn|error"`, ""},
		{`{service_name="s"} | json event_name="event_name", state="state" | event_name="circuit.changed", state="open"`, ""},
		{`{service_name="s"} |= "\"event_name\":\"process.stopped\"" | json exit="exit_code" | exit!="0"`, ""},
		{`{service_name="s"} |~ "\"event_name\":\"(step.stalled|sink.stalled)\"" | json step="step", sink="sink"`, ""},
		// One part of an or is enough, and a text within a template is no label.
		{`{service_name="s"} |~ "\"event_name\":\"(record.rejected|log.suppressed)\"" | json e="event_name", of="suppressed_event" | e="record.rejected" or of="record.rejected"`, ""},
		{`{service_name="s"} |~ "\"event_name\":\"(record.rejected|log.suppressed)\"" | json e="event_name", of="suppressed_event" | e="record.rejected" and of="record.rejected"`,
			"the event record.rejected has no key suppressed_event"},
		{"{service_name=\"s\"} |= `\"event_name\":\"record.rejected\"` | json e=\"event_name\" | label_format n=`{{ if eq .e \"record.rejected\" }}1{{ end }}`", ""},
		{"{service_name=\"s\"} |= `\"event_name\":\"record.rejected\"` | json e=\"event_name\" | label_format n=`{{ if eq .of \"record.rejected\" }}1{{ end }}`", "of is neither a label"},
		{strings.Replace(p99, "step.stats", "stage.stats", 1), "there is no event stage.stats"},
		{strings.Replace(p99, "lat_p99_ms", "lat_p99", 1), "the event step.stats has no key lat_p99"},
		{strings.Replace(p99, "lat_p99_ms", "step_kind", 1), "the key step_kind of step.stats is a string, not a number"},
		{strings.Replace(p99, `step="step"`, `step="stage"`, 1), "no key stage in step.stats"},
		{strings.Replace(p99, "by (step)", "by (sink)", 1), "the label sink, by which is grouped"},
		{strings.Replace(p99, "service_name", "host", 1), "host is neither a label"},
		{strings.Replace(p99, "unwrap v", "unwrap w", 1), "w is neither a label"},
		{`{service_name="s"} |= "\"event_name\":\"circuit.changed\"" | json state="state" | state="opened"`, `the key state of circuit.changed is never "opened"`},
		{`{service_name="s"} |= "\"event_name\":\"circuit.changed\"" |= "\"state\":\"opened\""`, `never "opened"`},
		{`{service_name="s"} |= "\"event_name\":\"circuit.changed\"" | json level="level" | level="error"`, `the key level of circuit.changed is never "error"`},
		{`{service_name="s"} |~ "\"event_name\":\"(step.stats|sink.stats)\"" | json v="lat_p99_ms" | unwrap v`, "the event sink.stats has no key lat_p99_ms"},
		{`{service_name="s"} | json a="no_such_key"`, "no key no_such_key in any event"},
		{`{service_name="s"} |= "\"event_name\":\"process.stopped\"" | json exit="exit_code" | exit!="none"`, `never "none"`},
	} {
		err := Check(c.logql, event.Registry, labels...)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s:\ngot %v, want %q", c.logql, err, c.want)
		}
	}
}

// renamed gives the Registry with another struct for an event.
func renamed(name string, to any) []event.Definition {
	all := slices.Clone(event.Registry)
	for i := range all {
		if all[i].Name == name {
			all[i].Struct = to
		}
	}
	return all
}

// TestARenamedKeyIsSeen: queries that hold today fail when the contract loses what they name.
func TestARenamedKeyIsSeen(t *testing.T) {
	const logql = `{service_name="s"} |= "\"event_name\":\"replay.progress\"" | json v="rate_in" | unwrap v`
	const jq = `select(.event_name == "replay.progress") | .rate_in`
	now := renamed("replay.progress", struct {
		Rate float64 `json:"rate"`
	}{})
	for _, name := range []string{"pipeline.stats", "step.stats", "replay.finished"} { // the others with rate_in
		for i := range now {
			if now[i].Name == name {
				now[i].Struct = struct{}{}
			}
		}
	}
	if err := Check(logql, event.Registry, labels...); err != nil {
		t.Error(err)
	}
	if err := CheckJQ(jq, event.Registry); err != nil {
		t.Error(err)
	}
	if err := Check(logql, now, labels...); err == nil || !strings.Contains(err.Error(), "replay.progress has no key rate_in") {
		t.Errorf("LogQL: %v", err)
	}
	if err := CheckJQ(jq, now); err == nil || !strings.Contains(err.Error(), "no event has a key rate_in") {
		t.Errorf("jq: %v", err)
	}
}
