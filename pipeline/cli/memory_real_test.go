//go:build real && workload

package cli

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
)

var (
	cellsFlag   = flag.String("memory.cells", "", "which cells, by the beginnings of their names: w1,slow-4KB-zstd; empty: all")
	budgetsFlag = flag.String("memory.budgets", "64,128,256", "budgets in MiB")
)

const (
	aboveTheBudget = 64 << 20 // resident memory may be so much more
	cellInput      = 1 << 30  // bytes of keys and values before compression
	cellTime       = 20 * time.Second
	stalledTime    = 60 * time.Second
	// Few flights over and over again, and much padding: each batch of 1 MiB shrinks to a
	// tenth of that and far less, so a small fetch opens out into a large one.
	cellFlights = 100
	leastRatio  = 10
)

// A cell is one line of the memory table: a workload on records of one size and codec.
type cell struct {
	kind  string
	size  int
	codec string
}

func (c cell) String() string { return fmt.Sprintf("%s-%s-%s", c.kind, sizeName(c.size), c.codec) }

// topic is the cell's input.
func (c cell) topic() string { return fmt.Sprintf("in-%s-%s", sizeName(c.size), c.codec) }

func sizeName(size int) string {
	if size < 1<<10 {
		return fmt.Sprintf("%dB", size)
	}
	return fmt.Sprintf("%dKB", size>>10)
}

// cells gives the cells that are asked for.
func cells() (chosen []cell) {
	for _, kind := range []string{"w1", "w2", "w3a", "stalled", "slow", "hanging"} {
		if kind == "hanging" && *cellsFlag == "" {
			continue // another sink that stalls: where somebody asks for it
		}
		for _, size := range []int{200, 4 << 10, 100 << 10} {
			for _, codec := range []string{"none", "zstd"} {
				if c := (cell{kind, size, codec}); chosenBy(*cellsFlag, c.String()) {
					chosen = append(chosen, c)
				}
			}
		}
	}
	return chosen
}

// budgets gives the budgets that are asked for, in MiB.
func budgets(t *testing.T) (all []int) {
	for text := range strings.SplitSeq(*budgetsFlag, ",") {
		mib, err := strconv.Atoi(text)
		if err != nil {
			t.Fatalf("a budget of %q MiB: %v", text, err)
		}
		all = append(all, mib)
	}
	return all
}

// A vault is the broker of the stalled sink: it takes the first records, and from then
// on it keeps its connections open and answers nothing.
type vault struct {
	cluster *kafkatest.Real
	bench   bench
}

// TestMemory runs each cell with each budget: the daemon's resident memory is at no time
// more than the budget and 64 MiB.
func TestMemory(t *testing.T) {
	chosen, budgets := cells(), budgets(t)
	if len(chosen) == 0 {
		t.Fatalf("no cell begins like %s", *cellsFlag)
	}
	b := newBench(t)
	var v *vault
	if slices.ContainsFunc(chosen, func(c cell) bool { return c.kind == "stalled" }) {
		k := cluster(t, kafkatest.RealOptions{})
		v = &vault{k, benchOf(t, k)}
	}
	inputs, peaks := map[string]input{}, map[string]int64{}
	start := time.Now()
	for _, c := range chosen {
		for _, mib := range budgets {
			name := fmt.Sprintf("%v-%dMiB", c, mib)
			t.Run(name, func(t *testing.T) {
				in := c.load(t, b, inputs)
				peak := c.peak(t, b, v, in, name, mib)
				peaks[name] = peak
				if bound := int64(mib)<<20 + aboveTheBudget; peak > bound {
					t.Errorf("%d MiB resident with a budget of %d MiB: at most %d", peak>>20, mib, bound>>20)
				}
			})
		}
	}
	fmt.Printf("\nPeak resident memory in MiB, in all %v\n\n%s", time.Since(start).Round(time.Second), memoryTable(chosen, budgets, peaks))
}

// load loads the cell's input, unless a cell before it did.
func (c cell) load(t *testing.T, b bench, inputs map[string]input) input {
	t.Helper()
	if in, there := inputs[c.topic()]; there {
		return in
	}
	in := load(t, b, c.topic(), c.codec, 8, flights(t, cellFlights, c.size), cellInput/int64(c.size), 100*time.Millisecond)
	if c.codec != "none" && in.ratio() < leastRatio {
		t.Fatalf("the input is compressed %.1f to 1: less than %d", in.ratio(), leastRatio)
	}
	inputs[c.topic()] = in
	return in
}

// peak runs the daemon on the cell's input to its end, or for the cell's time, and gives
// the largest resident memory.
func (c cell) peak(t *testing.T, b bench, v *vault, in input, name string, mib int) int64 {
	t.Helper()
	to, sink, server := b, toKafka(name, plain), (*slow)(nil)
	switch c.kind {
	case "stalled":
		to, sink = v.bench, toKafka(name, fmt.Sprintf("%s, brokers: [%q]", plain, v.bench.broker))
	case "hanging":
		server = startSlow(t, "never")
		sink = fmt.Sprintf("http: {url: \"http://%s/\"}", server.addr)
	}
	to.topic(t, 8, name)
	defer remove(t, to.admin, name)
	if c.kind == "stalled" {
		defer v.cluster.Thaw(1)
	}
	file := workloadFile(strings.ToLower(name), b.broker, in.topic, c.stages(t), sink) +
		fmt.Sprintf("limits: {in_flight_bytes: %dMiB}\n", mib)
	profile := ""
	if *profileFlag != "" {
		profile = profileName(t, name)
	}
	p := begin(t, b.daemon(t, b.path, file, profile))
	var out int64
	switch c.kind {
	case "stalled":
		out = v.stall(t, p, in, name)
	case "hanging":
		p.pause(t, stalledTime)
		server.stop(t) // says when it was never called
	default:
		out = c.follow(t, b.admin, p, in, name)
	}
	peak := p.peak()
	t.Logf("%4d MiB, %d of %d records out", peak>>20, out, in.records)
	// Not asked to end: a stalled sink would take the whole drain budget.
	_ = p.command.Process.Kill()
	<-p.done
	if profile != "" {
		_ = os.Remove(profile + ".cpu") // cut off, and nobody asks for it here
	}
	return peak
}

// stages is what the cell does to its records.
func (c cell) stages(t *testing.T) string {
	t.Helper()
	switch c.kind {
	case "w2":
		return changeStages
	case "stalled", "hanging": // steps in front of the sink hold records, too
		return "stages:\n  - map:\n      set: {late_minutes: delay}\n  - map:\n      set: {route: origin + \"-\" + destination}\n"
	case "w3a":
		return fmt.Sprintf(askStages, startSlow(t, "w3a").addr)
	case "slow": // few calls, a second each
		return fmt.Sprintf("stages:\n  - http: {url: \"http://%s/{origin}/{meta.offset}\", into: weather}\n    workers: 4\n", startSlow(t, "slow").addr)
	default:
		return ""
	}
}

// follow waits for the end of the input or of the cell's time, and says how many records
// came out.
func (c cell) follow(t *testing.T, a *kadm.Client, p *child, in input, out string) (n int64) {
	t.Helper()
	want := in.records
	if c.kind == "w2" {
		want = in.late
	}
	n = awaitOut(t, a, p, out, 1)
	for deadline := time.Now().Add(cellTime); n < want && time.Now().Before(deadline); {
		p.pause(t, 10*time.Millisecond)
		n = stored(t, a, out)
	}
	return n
}

// awaitOut waits until at least so many records have come out.
func awaitOut(t *testing.T, a *kadm.Client, p *child, out string, least int64) (n int64) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; {
		if n = stored(t, a, out); n >= least {
			return n
		}
		if p.pause(t, 2*time.Millisecond); time.Now().After(deadline) {
			t.Fatalf("%d records out in a minute, want %d\n%s", n, least, p.tail())
		}
	}
}

// stall freezes the broker of the sink when everything flows, and waits. The daemon must
// have much left to read then, or nothing was put to the test.
func (v *vault) stall(t *testing.T, p *child, in input, out string) int64 {
	t.Helper()
	n := awaitOut(t, v.bench.admin, p, out, in.records/20)
	v.cluster.Freeze(1)
	if n > in.records/2 {
		t.Fatalf("%d of %d records were out before the sink stalled", n, in.records)
	}
	p.pause(t, stalledTime)
	return n
}

// memoryTable gives the table in Markdown: a line for each cell, a column for each
// budget, and in bold what is more than is promised. A cell without a figure has failed.
func memoryTable(chosen []cell, budgets []int, peaks map[string]int64) string {
	var b strings.Builder
	b.WriteString("| Workload | Record | Input |")
	for _, mib := range budgets {
		fmt.Fprintf(&b, " Budget %d: at most %d |", mib, mib+aboveTheBudget>>20)
	}
	fmt.Fprintf(&b, "\n|---|---|---|%s\n", strings.Repeat("---|", len(budgets)))
	for _, c := range chosen {
		fmt.Fprintf(&b, "| %s | %s | %s |", c.kind, sizeName(c.size), c.codec)
		for _, mib := range budgets {
			switch peak := peaks[fmt.Sprintf("%v-%dMiB", c, mib)]; {
			case peak == 0:
				b.WriteString(" **failed** |")
			case peak > int64(mib)<<20+aboveTheBudget:
				fmt.Fprintf(&b, " **%d** |", peak>>20)
			default:
				fmt.Fprintf(&b, " %d |", peak>>20)
			}
		}
		b.WriteString("\n")
	}
	return b.String()
}
