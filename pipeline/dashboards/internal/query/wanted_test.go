package query_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// An expectation is what the answers to a question have to be: one for each of the lines, with these keys, and
// what a function says of them.
type expectation struct {
	lines string
	that  func(t *testing.T, r *answered, answers []map[string]any)
	// What LogQL answers is the same: sameFigure is the key in which jq has the figure, and sameLines compares lines.
	sameFigure string
	sameLines  func(t *testing.T, answers []map[string]any, lines []string)
}

const (
	in       = partitions * orders
	rejected = partitions * (odd + unknown)
	out      = in - rejected - partitions*skipped
	failed   = rejected + partitions*flaky // attempts
)

// wanted are the answers, by the questions of the page.
var wanted = map[string]expectation{
	"How many records come in a second?": {that: func(t *testing.T, _ *answered, answers []map[string]any) {
		sum := map[string]float64{}
		for _, a := range answers {
			sum[a["pipeline"].(string)] += a["records"].(float64)
			if n, s := a["records"].(float64), a["seconds"].(float64); s > 60.1 || s > 0 && a["per_second"] != n/s {
				t.Errorf("%v", a)
			}
			if a["pipeline"] == "rare" && a["seconds"] != 15.0 {
				t.Errorf("a minute with one line about 15 s: %v", a)
			}
		}
		if len(sum) != 3 || sum["orders"] != in || sum["invoices"] != invoices || sum["rare"] != 0 {
			t.Errorf("%v", sum)
		}
	}},
	"What became of them?": {lines: fmt.Sprintf(`{"pipeline":"orders","in":%d,"created":0,"out":%d,"filtered":%d,"rejected":%d,"abandoned":0}
{"pipeline":"invoices","in":%d,"created":%[5]d,"out":%[6]d,"filtered":0,"rejected":0,"abandoned":0}
{"pipeline":"rare","in":0}`, in, out, partitions*skipped, rejected, invoices, 2*invoices)},
	"Where do records get fewer, or more?": {lines: fmt.Sprintf(`{"pipeline":"orders","step":"filter","in":%d,"created":0,"out":%d,"filtered":%d,"rejected":0}
{"pipeline":"orders","step":"priced","in":%[2]d,"out":%[4]d,"filtered":0,"rejected":%[5]d}
{"pipeline":"orders","step":"weather","in":%[4]d,"out":%[6]d,"filtered":0,"rejected":%[7]d}
{"pipeline":"invoices","step":"split","in":%[8]d,"created":%[8]d,"out":%[9]d}
{"pipeline":"rare","step":"stuck","in":0,"out":0}`, in, in-partitions*skipped, partitions*skipped, in-partitions*(skipped+odd), partitions*odd,
		out, partitions*unknown, invoices, 2*invoices)},
	"How much arrives at each sink, and in how many writes?": {lines: fmt.Sprintf(`{"pipeline":"orders","sink":"out","records":%d}
{"pipeline":"orders","sink":"dead_letter","records":%d}
{"pipeline":"invoices","sink":"file","records":%d}`, out, rejected, 2*invoices),
		that: func(t *testing.T, _ *answered, answers []map[string]any) {
			for _, a := range answers {
				if w := a["writes"].(float64); w < 1 || w > a["records"].(float64) {
					t.Errorf("%v", a)
				}
			}
		}},
	"How long does a record take, at worst?":        {that: worst},
	"How long did records take over the whole run?": {that: wholeRun},
	"Which step takes long?":                        {that: slowest},
	"Which step is the bottleneck?":                 {that: busiest},
	"What do limits hold back?":                     {that: heldBack},
	"How many records behind are we?": {lines: fmt.Sprintf(`{"pipeline":"orders","topic":"TOPIC","partitions":%d,"lag":0}
{"pipeline":"rare","topic":"late","partitions":2,"lag":10,"worst":0}
{"pipeline":"rarer","topic":"late","partitions":2,"lag":120,"worst":1}`, partitions)},
	"How far behind in time?": {that: oldest},
	"Do commits get through?": {that: committing},
	"Does the broker answer?": {that: brokers},
	"Were records skipped, or gone before they were read?": {lines: `{"topic":"late","partition":1,"from":5,"to":9,"reason":"deleted","policy":"earliest"}
{"topic":"late","partition":0,"from":2,"to":3,"reason":"crc","policy":"skip"}`},
	"Who took partitions, and who lost them?": {lines: `{"instance":"FIRST","event":"source.assigned","partitions":"TOPIC:0-3"}
{"instance":"FIRST","event":"source.revoked","partitions":"TOPIC:0-3","reason":"closed","abandoned":0}
{"instance":"SECOND","event":"source.assigned","partitions":"TOPIC:0-3"}
{"instance":"SECOND","event":"source.revoked","partitions":"TOPIC:0-3","reason":"closed","abandoned":0}
{"instance":"rare-1","event":"source.assigned","partitions":"late:0-1"}`},
	"What share of the records fails?": {lines: fmt.Sprintf(`{"pipeline":"orders","in":%d,"errors":%d,"rejected":%d,"error_ratio":%v,"rejected_ratio":%v}
{"pipeline":"invoices","in":%d,"errors":0,"rejected":0,"error_ratio":0,"rejected_ratio":0}`, in, failed, rejected, float64(failed)/in, float64(rejected)/in, invoices)},
	"What is rejected, and why?": {lines: fmt.Sprintf(`{"pipeline":"orders","step":"priced","error_type":"expression","reason":"expression","records":%d}
{"pipeline":"orders","step":"weather","error_type":"http_4xx","reason":"no_match","records":%d}`, partitions*odd, partitions*unknown), sameFigure: "records"},
	"Which records?": {that: coordinates},
	"Which errors come how often?": {lines: fmt.Sprintf(`{"pipeline":"orders","step":"weather","error_type":"http_4xx","count":%d}
{"pipeline":"orders","step":"weather","error_type":"http_5xx","count":%d}
{"pipeline":"orders","step":"priced","error_type":"expression","count":%d,"example":"setting \"price\": evaluating amount * 2: * on a string and a number"}`,
		partitions*unknown, partitions*flaky, partitions*odd)},
	"What makes no progress now?": {lines: `{"pipeline":"rare","where":"stuck","topic":"late","partition":1,"offset":4,"attempt":3,"attempts":5,"target":"api.example","cause":"retry"}
{"pipeline":"rare","where":"out","error_type":"timeout","cause":"sink","attempts":null}`},
	"Which hosts are left alone?": {lines: `{"pipeline":"rare","step":"stuck","target":"api.example","opened":2,"now":"open"}
{"pipeline":"rare","step":"stuck","target":"b.example","opened":1,"now":"closed"}`},
	"Is a pipeline paused, since too much was rejected?": {lines: `{"pipeline":"rare","pauses":2,"now":true}`},
	"Does the source wait for the steps?":                {that: pressure},
	"Who started, and how did each end?": {lines: `{"instance":"FIRST","exit_code":0,"reason":"completed"}
{"instance":"SECOND","exit_code":0,"reason":"completed"}
{"instance":"rare-1","version":"1.2.3","ended":null,"exit_code":null}
{"instance":"rare-2","version":"1.2.4","exit_code":1,"reason":"failed","error_message":"1 of 2 pipelines failed"}
{"instance":"pod-1","started":null,"exit_code":0,"reason":"signal"}
{"instance":"pod-1","version":"1.2.5","ended":null,"exit_code":null}
{"instance":"pod-1","version":"1.2.6","exit_code":3,"reason":"environment"}
{"instance":"pod-1","version":"1.2.7","ended":null}`, sameLines: startsAndEnds},
	"What did it fail with?": {lines: `{"pipeline":"rare","reason":"environment","error_message":"no broker"}
{"pipeline":null,"reason":"environment"}
{"pipeline":null,"reason":"failed","error_message":"1 of 2 pipelines failed"}`},
	"Did the configuration change?": {lines: `{"config_hash":"aaaaaaaaaaaa","times":2}
{"times":1}
{"times":1}`},
	"Is somebody silent?": {lines: `{"instance":"FIRST","pipeline":"orders","state":"stopped"}
{"instance":"FIRST","pipeline":"invoices","state":"stopped"}
{"instance":"SECOND","pipeline":"orders","state":"stopped"}
{"instance":"rare-1","pipeline":"rare","state":"paused"}`},
	"Is the log whole?": {lines: `{"reason":"queue_full","event":"step.stats","lines":7}
{"reason":"repeated","event":"record.rejected"}`, that: suppressed},
	"Which warnings and errors are there?": {that: warnings},
	"How much memory does it take?": {lines: `{"instance":"FIRST"}
{"instance":"SECOND"}
{"instance":"rare-1","heap_mib":5,"goroutines":9,"inflight":0}`},
}

func worst(t *testing.T, r *answered, answers []map[string]any) {
	if len(answers) != 3 {
		t.Errorf("%d pipelines", len(answers))
	}
	for _, a := range answers {
		lines := r.of("pipeline.stats", a["pipeline"].(string))
		p99, most := most(lines, "e2e_p99_ms"), most(lines, "e2e_max_ms")
		if a["pipeline"] == "rare" {
			if a["p99_ms"] != nil || a["max_ms"] != nil {
				t.Errorf("figures that nobody has: %v", a)
			}
		} else if a["p99_ms"] != p99 || a["max_ms"] != most || most <= 0 {
			t.Errorf("%v, want %v and %v", a, p99, most)
		}
	}
}

// wholeRun: of several pipelines each has its own, and the process has those of all records together.
func wholeRun(t *testing.T, r *answered, answers []map[string]any) {
	of := map[string]map[string]any{}
	for _, a := range answers {
		name, _ := a["pipeline"].(string)
		if a["instance"] == r.names.Replace("FIRST") {
			of[name] = a
		}
	}
	if len(answers) != 8 || len(of) != 3 {
		t.Fatalf("%v", answers)
	}
	orders, invoiced, all := of["orders"], of["invoices"], of[""]
	if orders["records"] != 1.0*in || invoiced["records"] != 1.0*invoices || all["records"] != 1.0*(in+invoices) {
		t.Errorf("%v", answers)
	}
	first := func(l map[string]any) bool { return l["service_instance_id"] == r.names.Replace("FIRST") }
	for name, a := range of {
		longest := 0.0
		for _, l := range r.of("pipeline.stats", name) {
			if first(l) {
				longest = max(longest, most([]map[string]any{l}, "e2e_max_ms"))
			}
		}
		if a["max"] != longest {
			t.Errorf("%s: the longest of the run is %v, of its intervals %v", name, a["max"], longest)
		}
		p50, p95, p99 := a["p50"].(float64), a["p95"].(float64), a["p99"].(float64)
		if p50 <= 0 || p50 > p95 || p95 > p99 || p99 > longest {
			t.Errorf("%s: %v", name, a)
		}
	}
	for _, p := range []string{"p50", "p95", "p99"} {
		a, b, c := orders[p].(float64), invoiced[p].(float64), all[p].(float64)
		if c < min(a, b) || c > max(a, b) {
			t.Errorf("%s of all is %v, of the pipelines %v and %v", p, c, a, b)
		}
	}
}

func slowest(t *testing.T, r *answered, answers []map[string]any) {
	if len(answers) != 5 || answers[0]["step"] != "stuck" || answers[0]["p99_ms"] != 900.0 {
		t.Fatalf("%v", answers)
	}
	for i, a := range answers {
		var lines []map[string]any
		for _, l := range r.of("step.stats", a["pipeline"].(string)) {
			if l["step"] == a["step"] {
				lines = append(lines, l)
			}
		}
		if a["p99_ms"] != most(lines, "lat_p99_ms") || i > 0 && a["p99_ms"].(float64) > answers[i-1]["p99_ms"].(float64) {
			t.Errorf("%v", answers)
		}
	}
}

func busiest(t *testing.T, _ *answered, answers []map[string]any) {
	if len(answers) != 5 || answers[0]["step"] != "stuck" || answers[0]["busy_ratio"] != 0.75 || answers[0]["blocked_ratio"] != 0.0 {
		t.Fatalf("%v", answers)
	}
	for _, a := range answers {
		busy, blocked := a["busy_ratio"].(float64), a["blocked_ratio"].(float64)
		if busy < 0 || blocked < 0 || busy+blocked > 1 {
			t.Errorf("%v", a)
		}
	}
}

// heldBack: of the run, a call that failed may have had to wait for its next attempt.
func heldBack(t *testing.T, r *answered, answers []map[string]any) {
	sum := map[string]float64{}
	for _, l := range r.of("step.stats", "") {
		sum[l["step"].(string)] += l["throttle_wait_ms"].(float64)
	}
	for _, a := range answers {
		name := a["step"].(string)
		if a["waited_ms"] != sum[name] || name == "stuck" && (a["waited_ms"] != 1500.0 || a["most_at_once"] != 7.0) {
			t.Errorf("%v, want %v", a, sum[name])
		}
		delete(sum, name)
	}
	for name, waited := range sum {
		if waited != 0 {
			t.Errorf("%s waited for %v ms, and no answer names it", name, waited)
		}
	}
}

func oldest(t *testing.T, r *answered, answers []map[string]any) {
	late := map[string]string{}
	for _, a := range answers {
		if a["topic"] == "late" {
			late[a["pipeline"].(string)] += fmt.Sprintf("%v: %v s", a["partition"], a["age_s"])
		}
	}
	if len(late) != 2 || late["rare"] != "0: 4 s" || late["rarer"] != "1: 60 s" {
		t.Errorf("%v", answers)
	}
}

// committing: a commit that hangs has no line of its own, and shows in the age of what is not committed.
func committing(t *testing.T, r *answered, answers []map[string]any) {
	if len(answers) != 3 {
		t.Errorf("%d pipelines", len(answers))
	}
	for _, a := range answers {
		name := a["pipeline"].(string)
		failed, times := a["failed"].([]any), 0.0
		for _, f := range failed {
			times += f.(map[string]any)["times"].(float64)
		}
		if a["age_max_ms"] != most(r.of("pipeline.stats", name), "commit_age_max_ms") || times != float64(len(r.of("commit.failed", name))) {
			t.Errorf("%v", a)
		}
		if name == "rare" && (a["age_max_ms"] != 45000.0 || times != 2) {
			t.Errorf("%v", a)
		}
	}
}

func brokers(t *testing.T, _ *answered, answers []map[string]any) {
	found := map[string]string{}
	for _, a := range answers {
		found[a["broker"].(string)] = fmt.Sprint(a["gone"], a["connected"])
	}
	if found["a:9092"] != "2 true" || found["b:9092"] != "1 false" || len(found) != 3 {
		t.Errorf("%v", answers)
	}
}

// startsAndEnds: each line of LogQL is a start or an end of jq, and there are no others.
func startsAndEnds(t *testing.T, answers []map[string]any, lines []string) {
	var want []string
	text := func(v any) string { return strings.TrimSuffix(fmt.Sprint(v), "<nil>") }
	for _, a := range answers {
		if a["started"] != nil {
			want = append(want, fmt.Sprintf("%s %s process.started %s  ", a["instance"], a["started"], text(a["version"])))
		}
		if a["ended"] != nil {
			want = append(want, fmt.Sprintf("%s %s process.stopped %s %v %s", a["instance"], a["ended"], a["reason"], a["exit_code"], text(a["error_message"])))
		}
	}
	slices.Sort(want)
	slices.Sort(lines)
	if !slices.Equal(want, lines) {
		t.Errorf("LogQL:\n%s\njq:\n%s", strings.Join(lines, "\n"), strings.Join(want, "\n"))
	}
}

// coordinates: lines of single records are limited; what each of them says is right.
func coordinates(t *testing.T, r *answered, answers []map[string]any) {
	form := regexp.MustCompile(`^(.*)/([0-9]+)@([0-9]+) (priced|weather): (expression|no_match)$`)
	for _, a := range answers {
		m := form.FindStringSubmatch(a["text"].(string))
		if m == nil || m[1] != r.names.Replace("TOPIC") {
			t.Errorf("%v", a)
			continue
		}
		var offset int
		fmt.Sscan(m[3], &offset)
		isOdd := offset >= plain+skipped && offset < plain+skipped+odd
		isUnknown := offset >= plain+skipped+odd && offset < plain+skipped+odd+unknown
		if !isOdd && !isUnknown || isOdd != (m[4] == "priced") {
			t.Errorf("%v", a)
		}
	}
	if len(answers) != len(r.of("record.rejected", "")) || len(answers) < 10 {
		t.Errorf("%d answers", len(answers))
	}
}

func pressure(t *testing.T, r *answered, answers []map[string]any) {
	intervals := 0.0
	for _, a := range answers {
		intervals += a["intervals"].(float64)
		if isRare := a["pipeline"] == "rare"; isRare != (fmt.Sprint(a["backpressure"], a["bottlenecks"]) == "high[stuck]") {
			t.Errorf("%v", a)
		}
	}
	if n := len(r.of("pipeline.stats", "")); intervals != float64(n) {
		t.Errorf("%v intervals of %d", intervals, n)
	}
}

// suppressed: what was held back and what was written are all that was rejected.
func suppressed(t *testing.T, r *answered, answers []map[string]any) {
	for _, a := range answers {
		if n := a["lines"].(float64) + float64(len(r.of("record.rejected", ""))); a["reason"] == "repeated" && n != rejected {
			t.Errorf("%v of %d", n, rejected)
		}
	}
}

func warnings(t *testing.T, r *answered, answers []map[string]any) {
	n := 0.0
	for _, a := range answers {
		n += a["lines"].(float64)
		if a["last"] == "" || a["level"] == "info" {
			t.Errorf("%v", a)
		}
	}
	want := 0.0
	for _, l := range r.lines {
		if l["level"] != "info" && l["level"] != "debug" {
			want++
		}
	}
	if n != want || want < 20 {
		t.Errorf("%v lines, want %v", n, want)
	}
}
