package dashboards

import "strings"

// words are the keys of a line that a panel of lines shows, one behind the other: what people read. The
// whole line is a click away.
type words []string

func (w words) logql() string {
	keys, shown := make([]string, len(w)), make([]string, len(w))
	for i, k := range w {
		keys[i], shown[i] = k+`="`+k+`"`, "{{."+k+"}}"
	}
	return " | json " + strings.Join(keys, ", ") + ` | pipeline=~"$pipeline" | line_format "` + strings.Join(shown, " ") + `"`
}

func (w words) jq() string { return " | shown(" + jqKeys(w) + ")" }

// logLines gives the lines of some events.
func logLines(w words, events ...string) Query {
	tests := make([]string, len(events))
	for i, e := range events {
		tests[i] = `.event_name == "` + e + `"`
	}
	q := Query{Expr: streams(events[0]), JQ: "within($range) | map(select(" + strings.Join(tests, " or ") + "))" + w.jq()}
	if len(events) > 1 {
		q.Expr = "{service_name=~\"$service\"} |~ `\"event_name\":\"(" + strings.Join(events, "|") + ")\"`"
	}
	q.Expr += w.logql()
	return q
}
