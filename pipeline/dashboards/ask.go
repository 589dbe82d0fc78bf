package dashboards

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// Time ranges of queries. In LogQL they are Grafana's variables, in jq variables of the program.
const (
	interval = "$__interval" // from one point of a picture to the next
	whole    = "$__range"    // the page's time range
)

// recent is how far back the present state of something is looked for: a line about it comes at least
// once a minute (source.partition.stats), so that one lost line does not make it unknown.
const recent = "2m"

// An ask is a question to the log, which is put in LogQL and in jq: a figure of an event, what becomes of
// its values within a time range, and of the series that come of it.
type ask struct {
	event string
	field string   // whose values are taken; "": the lines are counted
	where []string // labels and the values that they have to have: name, value, name, value …
	has   []string // labels that a line has to have
	over  over
	rng   string   // time range: interval, whole, or a duration
	each  []string // labels of a series beside by, when over is first or last: what has a present state of its own
	fold  string   // what becomes of these series: sum, or max, which is also what "" says
	by    []string // labels of the answer
}

// An over is what becomes of the values of a series within a time range.
type over string

const (
	sum   over = "sum"
	rate  over = "rate" // sum, by second
	most  over = "max"
	first over = "first"
	last  over = "last"
	count over = "count"
)

// instance is what tells two copies of a daemon apart.
const instance = "service_instance_id"

// ofProcess says whether an event belongs to the process, and so to no pipeline.
func ofProcess(event string) bool {
	return strings.HasPrefix(event, "process.") || strings.HasPrefix(event, "config.") || event == "log.suppressed"
}

// named gives the query with a name.
func (a ask) named(name string) Query { return Query{Expr: a.logql(), JQ: a.jq(), Name: name} }

// to gives the query with a name that is made of the labels of the answer.
func (a ask) to(labels ...string) Query {
	names := make([]string, len(labels))
	for i, l := range labels {
		names[i] = "{{" + l + "}}"
	}
	return a.named(strings.Join(names, " "))
}

// logql is the question in LogQL. Its streams are selected by their labels, and only those keys are
// taken out of a line that are asked for: it is much cheaper than all, and a key that is a stream's label too
// keeps its name.
func (a ask) logql() string {
	var b strings.Builder
	b.WriteString(streams(a.event))
	b.WriteString(" | json ")
	keys := slices.Concat(a.by, a.each, a.has)
	for i := 0; i < len(a.where); i += 2 {
		keys = append(keys, a.where[i])
	}
	if !ofProcess(a.event) {
		keys = slices.Insert(keys, 0, "pipeline")
	}
	var taken []string
	for i, k := range keys {
		if !slices.Contains(keys[:i], k) {
			taken = append(taken, k+`="`+k+`"`)
		}
	}
	if a.field != "" {
		taken = append(taken, `value="`+a.field+`"`)
	}
	b.WriteString(strings.Join(taken, ", "))
	if !ofProcess(a.event) {
		b.WriteString(` | pipeline=~"$pipeline"`)
	}
	for i := 0; i < len(a.where); i += 2 {
		b.WriteString(` | ` + a.where[i] + `="` + a.where[i+1] + `"`)
	}
	for _, k := range a.has {
		b.WriteString(` | ` + k + `!=""`)
	}
	if a.field != "" {
		b.WriteString(" | unwrap value")
	}
	b.WriteString(` | __error__=""`) // what cannot be read would make the whole answer an error
	b.WriteString(" [" + a.rng + "]")
	return a.aggregate(b.String())
}

// streams gives the selector of an event's lines.
func streams(event string) string {
	return "{service_name=~\"$service\"} |= `\"event_name\":\"" + event + "\"`"
}

func (a ask) aggregate(lines string) string {
	by := "by (" + strings.Join(a.by, ", ") + ")"
	switch a.over {
	case rate:
		return "sum " + by + " (rate(" + lines + "))"
	case count:
		return "sum " + by + " (count_over_time(" + lines + "))"
	case sum:
		return "sum " + by + " (sum_over_time(" + lines + "))"
	case most:
		return "max " + by + " (max_over_time(" + lines + "))"
	}
	inner := slices.Concat(a.by, a.each)
	return a.foldName() + " " + by + " (" + string(a.over) + "_over_time(" + lines + ") by (" + strings.Join(inner, ", ") + "))"
}

func (a ask) foldName() string {
	if a.fold == "" {
		return "max"
	}
	return a.fold
}

// jq is the question in jq, in the words of penstock.jq.
func (a ask) jq() string {
	var b strings.Builder
	b.WriteString("lines(" + strconv.Quote(a.event) + "; " + jqRange(a.rng) + ")")
	for i := 0; i < len(a.where); i += 2 {
		b.WriteString(" | map(select(." + a.where[i] + " == " + strconv.Quote(a.where[i+1]) + "))")
	}
	for _, k := range a.has {
		b.WriteString(" | map(select(." + k + " != null))")
	}
	by := jqKeys(a.by)
	switch a.over {
	case count:
		b.WriteString(" | count_over(" + by + ")")
	case rate:
		b.WriteString(" | rate_over(" + jqRange(a.rng) + "; " + by + "; ." + a.field + ")")
	case first, last:
		inner := jqKeys(slices.Concat(a.by, a.each))
		b.WriteString(" | " + string(a.over) + "_over(" + inner + "; ." + a.field + ") | " + a.foldName() + "_by(" + by + ")")
	default:
		b.WriteString(" | " + string(a.over) + "_over(" + by + "; ." + a.field + ")")
	}
	return b.String()
}

// jqRange gives a time range in seconds.
func jqRange(r string) string {
	switch r {
	case interval:
		return "$interval"
	case whole:
		return "$range"
	}
	d, err := time.ParseDuration(r)
	if err != nil {
		panic(err) // the time ranges are constants of this package
	}
	return strconv.FormatFloat(d.Seconds(), 'f', -1, 64)
}

func jqKeys(keys []string) string {
	quoted := make([]string, len(keys))
	for i, k := range keys {
		quoted[i] = strconv.Quote(k)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// ratio divides one answer by another, series by series.
func ratio(of, by ask) Query {
	return Query{
		Expr: of.logql() + "\n/\n" + by.logql(),
		JQ:   "ratio(" + of.jq() + "; " + by.jq() + ")",
	}
}
