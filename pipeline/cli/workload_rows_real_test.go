//go:build real && workload

package cli

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

var (
	rowsFlag    = flag.String("workload.rows", "", "which rows, by the beginnings of their names: w1-snappy,w4; empty: all")
	roundsFlag  = flag.Int("workload.rounds", 5, "how often each side runs")
	recordsFlag = flag.Int64("workload.records", 12_000_000, "records of W1 and W2; a run should take ten seconds")
	controlFlag = flag.Bool("workload.control", false, "run the loop, or the other version, a second time in each round, to see what noise looks like")
	baseFlag    = flag.String("workload.base", "", "a penstock of another version, run in place of the loop")
	profileFlag = flag.String("workload.profile", "", "folder for profiles of one more run of each side, which does not count")
)

// The two sides of a table, and the second run of the first. With -workload.base the first is
// not the loop but another version of penstock.
const (
	byHand  = "hand"
	ours    = "penstock"
	control = "control"
)

// A row is one line of the tables.
type row struct {
	name, kind string
	codec      string // of the input
	partitions int
	stages     string // of our pipeline; %s is the slow server's address
	settings   string // of our sink, beside the topic

	cpu, rate float64 // targets: at most, at least, of the loop's
	ideal     float64 // target: at least, of the ideal
	p50, p99  float64 // targets: at most, of the loop's
	records   int64   // 0: as many as the flag says
}

const (
	changeStages = "stages:\n  - filter: delay >= 15\n  - map:\n      set: {late_minutes: delay, route: origin + \"-\" + destination}\n      remove: [delay]\n"
	// Calls that differ, as those of the loops are made one for each record: equal ones that are under way would be one.
	askStages = "stages:\n  - http: {url: \"http://%s/{origin}/{meta.offset}\", into: weather}\n    workers: 64\n"
	plain     = ", compression: none"
)

// rows gives the rows that are asked for.
func rows() (chosen []row) {
	var all []row
	for _, codec := range codecs {
		all = append(all, row{name: "w1-" + codec, kind: "w1", codec: codec, partitions: 8, settings: plain, cpu: 0.65, rate: 1.2})
	}
	for _, codec := range codecs {
		all = append(all, row{name: "w2-" + codec, kind: "w2", codec: codec, partitions: 8, stages: changeStages, settings: plain, cpu: 0.6, rate: 1.5})
	}
	// So many records that they take most of twenty seconds at the ideal rate.
	all = append(all,
		row{name: "w3a", kind: "w3a", codec: "none", partitions: 1, stages: askStages, settings: plain, ideal: 0.95, cpu: 1.2, records: 20_000},
		row{name: "w3b", kind: "w3b", codec: "none", partitions: 1, stages: askStages, settings: plain, ideal: 0.93, cpu: 1.2, records: 100_000},
		row{name: "w4", kind: "w4", codec: "none", partitions: 4, p50: 0.9, p99: 1.2})
	for _, r := range all {
		if r.records == 0 {
			r.records = *recordsFlag
		}
		if *baseFlag != "" { // a few parts of a hundred are this machine's noise: the control says how many
			r.cpu, r.rate, r.p50, r.p99 = 1.05, 0.95, 1.05, 1.05
		}
		if chosenBy(*rowsFlag, r.name) {
			chosen = append(chosen, r)
		}
	}
	return chosen
}

// chosenBy says whether name begins like one of the parts of choice, which are parted by
// commas; without any, everything is chosen.
func chosenBy(choice, name string) bool {
	return choice == "" || slices.ContainsFunc(strings.Split(choice, ","), func(part string) bool { return strings.HasPrefix(name, part) })
}

// workloadFile is a file for our side; its sink stands on one line.
func workloadFile(group, broker, in, stages, sink string) string {
	return fmt.Sprintf("pipeline: %s\nsource:\n  kafka: {brokers: [%q], topics: [%s], start: earliest}\n%ssinks:\n  - %s\nlog: {format: json, stats_every: 5s}\n",
		group, broker, in, stages, sink)
}

// toKafka is a sink for that, with settings that begin with a comma.
func toKafka(topic, settings string) string {
	return fmt.Sprintf("kafka: {topic: %s%s}", topic, settings)
}

// TestWorkloads measures W1 to W4, ours and the loop written by hand in turn on one
// broker, and prints the tables.
func TestWorkloads(t *testing.T) {
	chosen := rows()
	if len(chosen) == 0 {
		t.Fatalf("no row begins like %s", *rowsFlag)
	}
	b := newBench(t)
	inputs := map[string]input{}
	results := map[string]results{}
	start := time.Now()
	for _, w := range chosen {
		t.Run(w.name, func(t *testing.T) {
			if w.kind != "w4" {
				w.load(t, b, inputs)
			}
			results[w.name] = w.rounds(t, b, inputs[w.topic()])
		})
	}
	fmt.Printf("\n%d rounds, %d records in W1 and W2, in all %v; medians, and in brackets the least and the most of the rounds\n%s",
		*roundsFlag, *recordsFlag, time.Since(start).Round(time.Second), tables(chosen, results))
}

// topic is the row's input.
func (w row) topic() string { return fmt.Sprintf("in-%d-%s-%d", w.partitions, w.codec, w.records) }

// load loads the row's input, unless a row before it did.
func (w row) load(t *testing.T, b bench, inputs map[string]input) {
	if _, there := inputs[w.topic()]; there {
		return
	}
	in := load(t, b, w.topic(), w.codec, w.partitions, flights(t, 10_000, 200), w.records, 5*time.Millisecond)
	if w.partitions > 1 && slices.Max(in.byPartition) < slices.Min(in.byPartition)*3/2 {
		t.Errorf("the partitions are all of a size, which those of real keys are not: %d", in.byPartition)
	}
	inputs[w.topic()] = in
}

// A results is the runs of a row, by side.
type results map[string][]run

// rounds runs both sides in turn. Who is first changes from round to round, so that
// nobody always has the quieter moment.
func (w row) rounds(t *testing.T, b bench, in input) results {
	sides := []string{byHand, ours}
	if *controlFlag {
		sides = append(sides, control)
	}
	all := results{}
	for round := range *roundsFlag {
		for _, side := range sides {
			r := w.once(t, b, in, side, fmt.Sprintf("%s-%s-%d", w.name, side, round), "")
			t.Logf("%s round %d %-8s %v", w.name, round+1, side, r)
			all[side] = append(all[side], r)
		}
		slices.Reverse(sides)
	}
	if *profileFlag != "" {
		for _, side := range sides[:2] {
			w.once(t, b, in, side, fmt.Sprintf("%s-%s-profiled", w.name, side), profileName(t, w.name+"-"+side))
		}
	}
	return all
}

// profileName is where the profiles of a run go.
func profileName(t *testing.T, run string) string {
	t.Helper()
	if err := os.MkdirAll(*profileFlag, 0o755); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(*profileFlag, run)
}

// once is one run of one side.
func (w row) once(t *testing.T, b bench, in input, side, name, profile string) run {
	t.Helper()
	b.topic(t, w.partitions, name)
	defer remove(t, b.admin, name)
	if w.kind == "w4" {
		source := name + "-in"
		b.topic(t, w.partitions, source)
		defer remove(t, b.admin, source)
		return b.latency(t, w.command(t, b, side, source, name, "-", profile), source, name)
	}
	want := in.records
	if w.kind == "w2" {
		want = in.late
	}
	if w.ideal == 0 {
		return b.timed(t, w.command(t, b, side, in.topic, name, "-", profile), name, in.records, want)
	}
	server := startSlow(t, w.kind)
	r := b.timed(t, w.command(t, b, side, in.topic, name, server.addr, profile), name, in.records, want)
	_, mean := server.stop(t)
	r.ideal = 64 / mean.Seconds()
	return r
}

// command is one side of the row as a process; out is its group, too.
func (w row) command(t *testing.T, b bench, side, in, out, addr, profile string) *exec.Cmd {
	t.Helper()
	if side != ours && *baseFlag == "" {
		return program(profile, "loop", w.kind, b.broker, in, out, out, "http://"+addr+"/", w.codec)
	}
	stages := w.stages
	if w.ideal != 0 {
		stages = fmt.Sprintf(stages, addr)
	}
	path := b.path
	if side != ours {
		path = *baseFlag
	}
	return b.daemon(t, path, workloadFile(out, b.broker, in, stages, toKafka(out, w.settings)), profile)
}
