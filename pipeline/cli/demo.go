package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/term"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/catalog"
	"github.com/penstockio/penstock/pipeline/config"
	"github.com/penstockio/penstock/pipeline/engine"
	"github.com/penstockio/penstock/pipeline/event"
	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
	"github.com/penstockio/penstock/testdata"
)

const demoPartitions = 4

// A demo runs the main job on real data with nothing but the binary: 10,000 real flights go through an embedded broker and the
// pipeline of testdata/demo, and a client and a program that are not penstock's check the result.
type demo struct {
	streams
	keep bool
	dir  string // with what the demo brings along, and what it writes
}

func newDemo(g *globals) *cobra.Command {
	d := demo{streams: g.streams}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run the main job on 10,000 real flights, with everything inside this process, and check the result",
		Long: `Run the main job on real data, with everything inside this process: 10,000 flights are written to an embedded broker, the late ones
are looked up, asked about at a slow HTTP server that sometimes refuses, and written to a topic and to files. A client that is not
penstock's then reads the result, which is compared with what it must be: complete, and in order per origin.

It needs a folder for temporary files (TMPDIR), and listens on 127.0.0.1 alone.`,
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer cancel()
			return d.run(ctx)
		},
	}
	cmd.Flags().BoolVar(&d.keep, "keep", false, "leave the broker up until interrupted")
	return cmd
}

func (d *demo) path(parts ...string) string {
	return filepath.Join(append([]string{d.dir}, parts...)...)
}

func (d *demo) run(ctx context.Context) error {
	var err error
	if d.dir, err = os.MkdirTemp("", "penstock-demo-"); err != nil {
		return &pipeline.EnvironmentError{Err: fmt.Errorf("making a folder for the demo: %w; TMPDIR says where one may be", err)}
	}
	if err := os.CopyFS(d.dir, testdata.Demo); err != nil {
		return &pipeline.EnvironmentError{Err: fmt.Errorf("writing the flights of the demo: %w", err)}
	}
	if err := d.runIn(ctx); err != nil {
		return fmt.Errorf("%w (its files and its log are in %s)", err, d.dir)
	}
	return os.RemoveAll(d.dir)
}

func (d *demo) runIn(ctx context.Context) error {
	broker, err := kafkatest.Embedded(kafkatest.Settings{Topics: map[string]int32{"flights": demoPartitions, "late-flights": demoPartitions}})
	if err != nil {
		return &pipeline.EnvironmentError{Err: err}
	}
	defer broker.Close()
	weather, err := startWeather()
	if err != nil {
		return &pipeline.EnvironmentError{Err: err}
	}
	defer weather.close()
	n, err := d.load(ctx, broker.Addrs())
	if err != nil {
		return err
	}
	fmt.Fprintf(d.out, "%d flights are in the topic flights, %d partitions, keyed by origin\n", n, demoPartitions)

	snapshot, err := d.pipeline(ctx, map[string]string{"BROKERS": broker.Addrs()[0], "WEATHER": weather.addr, "OUT": d.dir}, int64(n))
	if err != nil {
		return err
	}
	d.summarize(snapshot, weather)
	if err := d.check(ctx, broker.Addrs()); err != nil {
		return fmt.Errorf("the result is WRONG: %w", err)
	}
	if d.keep {
		fmt.Fprintf(d.out, "\nthe broker stays up; read the result with\n  kcat -C -e -q -b %s -t late-flights -o beginning\nand end it with Ctrl-C (files and log are in %s)\n", broker.Addrs()[0], d.dir)
		<-ctx.Done()
	}
	return nil
}

// load writes the flights into the topic, keyed by origin, and says how many.
func (d *demo) load(ctx context.Context, addrs []string) (int, error) {
	lines, err := os.ReadFile(d.path("flights", "flights.jsonl"))
	if err != nil {
		return 0, err
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(addrs...), kgo.DefaultProduceTopic("flights"))
	if err != nil {
		return 0, err
	}
	defer client.Close()
	n := 0
	var failed error
	for line := range strings.Lines(string(lines)) {
		value := strings.TrimRight(line, "\n")
		_, rest, _ := strings.Cut(value, `"origin":"`)
		origin, _, _ := strings.Cut(rest, `"`)
		client.Produce(ctx, &kgo.Record{Key: []byte(origin), Value: []byte(value)}, func(_ *kgo.Record, err error) {
			if err != nil && failed == nil {
				failed = fmt.Errorf("loading the flights: %w", err)
			}
		})
		n++
	}
	if err := client.Flush(ctx); err != nil {
		return 0, err
	}
	return n, failed
}

// pipeline runs the pipeline file to its end, and gives its last state.
func (d *demo) pipeline(ctx context.Context, variables map[string]string, expect int64) (engine.Snapshot, error) {
	loader := config.Loader{Kinds: catalog.Kinds(), Env: func(name string) (string, bool) {
		v, ok := variables[name]
		return v, ok
	}}
	set, err := loader.Load(d.path("demo", "late-flights.yaml"))
	if err != nil {
		var invalid *config.InvalidError
		if errors.As(err, &invalid) {
			return engine.Snapshot{}, errors.New(invalid.Problems.Detail())
		}
		return engine.Snapshot{}, err
	}
	log, err := os.Create(d.path("penstock.log"))
	if err != nil {
		return engine.Snapshot{}, err
	}
	defer log.Close()
	events := event.New(log, event.Options{})
	defer events.Close()
	options, err := catalog.Build(set.Pipelines[0], catalog.Env{Events: events})
	if err != nil {
		return engine.Snapshot{}, err
	}
	p, err := engine.New(options)
	if err != nil {
		return engine.Snapshot{}, err
	}
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	err = d.watch(p, done, expect)
	return p.Snapshot(), err
}

// watch draws a progress line on a terminal until the pipeline ends.
func (d *demo) watch(p *engine.Pipeline, done <-chan error, expect int64) error {
	file, _ := d.err.(*os.File)
	terminal := file != nil && term.IsTerminal(int(file.Fd()))
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			if terminal {
				demoProgress(d.err, p.Snapshot(), expect)
				fmt.Fprintln(d.err)
			}
			return err
		case <-tick.C:
			if terminal {
				demoProgress(d.err, p.Snapshot(), expect)
			}
		}
	}
}

func demoProgress(w io.Writer, s engine.Snapshot, expect int64) {
	const width = 30
	done := int(width * (s.In - s.InFlight) / max(expect, 1))
	done = min(max(done, 0), width)
	fmt.Fprintf(w, "\r[%s%s] %d of %d read, %d out, %d filtered, %d in flight ", strings.Repeat("=", done), strings.Repeat(" ", width-done),
		s.In, expect, s.Out, s.Filtered, s.InFlight)
}

func (d *demo) summarize(s engine.Snapshot, w *weatherServer) {
	seconds := s.At.Sub(s.Started).Seconds()
	fmt.Fprintf(d.out, "\n%-22s %d in, %d out, %d filtered, %d rejected in %.1f s (%.0f records/s)\n", "records", s.In, s.Out, s.Filtered, s.Rejected,
		seconds, float64(s.In)/max(seconds, 0.001))
	for _, step := range s.Steps {
		fmt.Fprintf(d.out, "%-22s %6d in %6d out   p50 %9s   p99 %9s   %d retries\n", "step "+step.Name, step.In, step.Out,
			demoTook(step.Latency.P50), demoTook(step.Latency.P99), step.Retries)
	}
	for _, sink := range s.Sinks {
		fmt.Fprintf(d.out, "%-22s %6d in %6d out   p50 %9s   p99 %9s   %d writes\n", "sink "+sink.Name, sink.In, sink.Out,
			demoTook(sink.Write.P50), demoTook(sink.Write.P99), sink.Batches)
	}
	fmt.Fprintf(d.out, "%-22s %d calls, %d told to come back (429), up to %d at once\n", "weather server", w.calls.Load(), w.refused.Load(), w.most.Load())
}

// demoTook prints milliseconds.
func demoTook(ms float64) string {
	switch {
	case ms < 0.001:
		return "< 1 µs"
	case ms < 1:
		return fmt.Sprintf("%.0f µs", ms*1000)
	}
	return fmt.Sprintf("%.1f ms", ms)
}

// check compares the result, as others read it, with what it must be.
func (d *demo) check(ctx context.Context, addrs []string) error {
	all, severe, err := expectedFlights(d.path("flights", "flights.jsonl"), d.path("flights", "airports.csv"))
	if err != nil {
		return err
	}
	found, n, err := readFlightsOf(ctx, addrs, "late-flights", all.count())
	if err != nil {
		return err
	}
	if d := found.differ(all); d != "" {
		return fmt.Errorf("topic late-flights: %s", d)
	}
	inFiles, m, err := readFlightFiles(d.dir)
	if err != nil {
		return err
	}
	if d := inFiles.differ(severe); d != "" {
		return fmt.Errorf("files: %s", d)
	}
	fmt.Fprintf(d.out, "\nchecked: the topic late-flights holds %d records, the files %d severe ones: right, complete, in order per origin\n", n, m)
	return nil
}
