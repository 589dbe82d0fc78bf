// SPDX-License-Identifier: Apache-2.0

// Command demo runs the main job on real data with nothing but itself: 10,000 real
// flights go through an embedded broker and the pipeline of testdata/demo, and a
// client and a program that are not penstock's check the result.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/term"

	"github.com/penstockio/penstock/pipeline/catalog"
	"github.com/penstockio/penstock/pipeline/config"
	"github.com/penstockio/penstock/pipeline/engine"
	"github.com/penstockio/penstock/pipeline/event"
	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
)

const partitions = 4

func main() {
	keep := flag.Bool("keep", false, "leave the broker up until interrupted")
	flag.Parse()
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	if err := demo(ctx, *keep); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// testdata finds the repository's testdata from this file, or from the folder that
// the demo is run in.
func testdata() string {
	if _, file, _, ok := runtime.Caller(0); ok {
		if dir := filepath.Join(filepath.Dir(file), "..", "..", "testdata"); isDir(dir) {
			return dir
		}
	}
	return "testdata"
}

func isDir(name string) bool { i, err := os.Stat(name); return err == nil && i.IsDir() }

func demo(ctx context.Context, keep bool) error {
	data := testdata()
	flights, airports := filepath.Join(data, "flights", "flights.jsonl"), filepath.Join(data, "flights", "airports.csv")
	out, err := os.MkdirTemp("", "penstock-demo-")
	if err != nil {
		return err
	}
	broker, err := kafkatest.Embedded(kafkatest.Settings{Topics: map[string]int32{"flights": partitions, "late-flights": partitions}})
	if err != nil {
		return err
	}
	defer broker.Close()
	weather, err := startWeather()
	if err != nil {
		return err
	}
	defer weather.close()
	n, err := load(ctx, broker.Addrs(), flights)
	if err != nil {
		return err
	}
	fmt.Printf("%d flights are in the topic flights, %d partitions, keyed by origin\n", n, partitions)

	snapshot, err := run(ctx, filepath.Join(data, "demo", "late-flights.yaml"), map[string]string{
		"BROKERS": broker.Addrs()[0], "WEATHER": weather.addr, "OUT": out,
	}, filepath.Join(out, "penstock.log"), int64(n))
	if err != nil {
		return fmt.Errorf("%w (its log is in %s)", err, out)
	}
	summarize(snapshot, weather)
	if err := check(ctx, broker.Addrs(), flights, airports, out); err != nil {
		return fmt.Errorf("the result is WRONG: %w", err)
	}
	if keep {
		fmt.Printf("\nthe broker stays up; read the result with\n  kcat -C -e -q -b %s -t late-flights -o beginning\nand end it with Ctrl-C (files and log are in %s)\n", broker.Addrs()[0], out)
		<-ctx.Done()
	}
	return os.RemoveAll(out)
}

// load writes the flights into the topic, keyed by origin, and says how many.
func load(ctx context.Context, addrs []string, name string) (int, error) {
	lines, err := os.ReadFile(name)
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

// run runs the pipeline file to its end, and gives its last state.
func run(ctx context.Context, file string, variables map[string]string, logName string, expect int64) (engine.Snapshot, error) {
	loader := config.Loader{Kinds: catalog.Kinds(), Env: func(name string) (string, bool) {
		v, ok := variables[name]
		return v, ok
	}}
	set, err := loader.Load(file)
	if err != nil {
		var invalid *config.InvalidError
		if errors.As(err, &invalid) {
			return engine.Snapshot{}, errors.New(invalid.Problems.Detail())
		}
		return engine.Snapshot{}, err
	}
	log, err := os.Create(logName)
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
	err = watch(p, done, expect)
	return p.Snapshot(), err
}

// watch draws a progress line on a terminal until the pipeline ends.
func watch(p *engine.Pipeline, done <-chan error, expect int64) error {
	terminal := term.IsTerminal(int(os.Stderr.Fd()))
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			if terminal {
				progress(os.Stderr, p.Snapshot(), expect)
				fmt.Fprintln(os.Stderr)
			}
			return err
		case <-tick.C:
			if terminal {
				progress(os.Stderr, p.Snapshot(), expect)
			}
		}
	}
}

func progress(w io.Writer, s engine.Snapshot, expect int64) {
	const width = 30
	done := int(width * (s.In - s.InFlight) / max(expect, 1))
	done = min(max(done, 0), width)
	fmt.Fprintf(w, "\r[%s%s] %d of %d read, %d out, %d filtered, %d in flight ", strings.Repeat("=", done), strings.Repeat(" ", width-done),
		s.In, expect, s.Out, s.Filtered, s.InFlight)
}

func summarize(s engine.Snapshot, w *weatherServer) {
	seconds := s.At.Sub(s.Started).Seconds()
	fmt.Printf("\n%-22s %d in, %d out, %d filtered, %d rejected in %.1f s (%.0f records/s)\n", "records", s.In, s.Out, s.Filtered, s.Rejected,
		seconds, float64(s.In)/max(seconds, 0.001))
	for _, step := range s.Steps {
		fmt.Printf("%-22s %6d in %6d out   p50 %9s   p99 %9s   %d retries\n", "step "+step.Name, step.In, step.Out,
			took(step.Latency.P50), took(step.Latency.P99), step.Retries)
	}
	for _, sink := range s.Sinks {
		fmt.Printf("%-22s %6d in %6d out   p50 %9s   p99 %9s   %d writes\n", "sink "+sink.Name, sink.In, sink.Out,
			took(sink.Write.P50), took(sink.Write.P99), sink.Batches)
	}
	fmt.Printf("%-22s %d calls, %d told to come back (429), up to %d at once\n", "weather server", w.calls.Load(), w.refused.Load(), w.most.Load())
}

// took prints milliseconds.
func took(ms float64) string {
	switch {
	case ms < 0.001:
		return "< 1 µs"
	case ms < 1:
		return fmt.Sprintf("%.0f µs", ms*1000)
	}
	return fmt.Sprintf("%.1f ms", ms)
}

// check compares the result, as others read it, with what it must be.
func check(ctx context.Context, addrs []string, flights, airports, out string) error {
	all, severe, err := expected(flights, airports)
	if err != nil {
		return err
	}
	found, n, err := readTopic(ctx, addrs, "late-flights", count(all))
	if err != nil {
		return err
	}
	if d := differ(found, all); d != "" {
		return fmt.Errorf("topic late-flights: %s", d)
	}
	inFiles, m, err := readFiles(out)
	if err != nil {
		return err
	}
	if d := differ(inFiles, severe); d != "" {
		return fmt.Errorf("files: %s", d)
	}
	fmt.Printf("\nchecked: the topic late-flights holds %d records, the files %d severe ones: right, complete, in order per origin\n", n, m)
	return nil
}
