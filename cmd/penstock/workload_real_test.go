//go:build real && workload

package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/tidwall/gjson"
	"github.com/tidwall/sjson"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
)

// The test binary run again is one of these programs: a loop written by hand on
// franz-go, or the slow server of W3a.
func init() {
	role, arguments, _ := strings.Cut(os.Getenv(roleEnv), " ")
	switch role {
	case "server":
		slowServer()
	case "w1", "w2", "w3a":
		handLoop(role, strings.Fields(arguments))
	default:
		return
	}
	os.Exit(0)
}

// slowServer answers after 50 ms, two of a hundred after 500 ms, and prints the mean
// latency that it gave when it is told to stop.
func slowServer() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		os.Exit(1)
	}
	fmt.Println(l.Addr())
	var calls, spent atomic.Int64
	go func() {
		_ = http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			begin := time.Now()
			wait := 50 * time.Millisecond
			if calls.Add(1)%50 == 0 {
				wait = 500 * time.Millisecond
			}
			<-time.After(wait)
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"sky":"clear"}`)
			spent.Add(int64(time.Since(begin)))
		}))
	}()
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	<-stop
	fmt.Println(float64(spent.Load()) / float64(max(calls.Load(), 1)) / 1e6)
}

// handLoop is what a careful programmer writes on franz-go: a group consumer, one
// producer, acks=all, the marks committed once everything polled is stored.
func handLoop(kind string, args []string) {
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer cancel()
	broker, out, group, url := args[0], args[1], args[2], args[3]
	in := args[4]
	client, err := kgo.NewClient(kgo.SeedBrokers(broker), kgo.ConsumeTopics(in), kgo.ConsumerGroup(group),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.AutoCommitMarks(), kgo.AutoCommitInterval(time.Second),
		kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.DefaultProduceTopic(out), kgo.MaxBufferedRecords(50_000),
		kgo.FetchMaxPartitionBytes(4<<20), kgo.BlockRebalanceOnPoll())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	defer client.Close()
	failed := func(_ *kgo.Record, err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	produce := func(r *kgo.Record, value []byte) {
		client.Produce(context.Background(), &kgo.Record{Key: r.Key, Value: value, Headers: r.Headers, Timestamp: r.Timestamp}, failed)
	}
	type answer struct {
		rec   *kgo.Record
		value chan []byte
	}
	queue, slots := make(chan answer, 4096), make(chan struct{}, 64)
	web := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64, MaxConnsPerHost: 64}}
	if kind == "w3a" {
		go func() {
			for a := range queue {
				produce(a.rec, <-a.value)
				client.MarkCommitRecords(a.rec)
			}
		}()
	}
	for ctx.Err() == nil {
		fetches := client.PollFetches(ctx)
		fetches.EachRecord(func(r *kgo.Record) {
			switch kind {
			case "w1":
				produce(r, r.Value)
			case "w2":
				if gjson.GetBytes(r.Value, "delay").Int() >= 15 {
					v, _ := sjson.SetRawBytes(r.Value, "late_minutes", []byte(gjson.GetBytes(r.Value, "delay").Raw))
					v, _ = sjson.SetBytes(v, "route", gjson.GetBytes(r.Value, "origin").String()+"-"+gjson.GetBytes(r.Value, "destination").String())
					v, _ = sjson.DeleteBytes(v, "delay")
					produce(r, v)
				}
			case "w3a":
				a := answer{r, make(chan []byte, 1)}
				queue <- a
				slots <- struct{}{}
				go func() {
					defer func() { <-slots }()
					response, err := web.Get(url + gjson.GetBytes(r.Value, "origin").String())
					if err != nil {
						failed(nil, err)
					}
					body, _ := io.ReadAll(response.Body)
					response.Body.Close()
					v, _ := sjson.SetRawBytes(r.Value, "weather", body)
					a.value <- v
				}()
			}
		})
		if kind != "w3a" {
			if err := client.Flush(ctx); err == nil {
				fetches.EachRecord(func(r *kgo.Record) { client.MarkCommitRecords(r) })
			}
		}
		client.AllowRebalance()
	}
	_ = client.CommitMarkedOffsets(context.Background())
}

// A run is one timed process.
type run struct {
	rate float64 // records a second, from the first output to the last
	cpu  float64 // microseconds of CPU a record, the whole process
	rss  int64
}

// timed runs c until out holds want records, counted by another client.
func timed(t *testing.T, a *kadm.Client, c *exec.Cmd, out string, in, want int64) run {
	t.Helper()
	var stderr strings.Builder
	c.Stderr = &stderr
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	count := func() (n int64) {
		ends, err := a.ListEndOffsets(t.Context(), out)
		if err != nil {
			t.Fatal(err)
		}
		ends.Each(func(o kadm.ListedOffset) { n += o.Offset })
		return n
	}
	var first time.Time
	var had int64
	deadline := time.Now().Add(3 * time.Minute)
	for {
		n := count()
		if n >= want {
			if first.IsZero() {
				t.Fatalf("%s: too few records to time", c.Path)
			}
			break
		}
		if n > 0 && first.IsZero() {
			first, had = time.Now(), n
		}
		if time.Now().After(deadline) {
			_ = c.Process.Kill()
			t.Fatalf("%d of %d records out after 3 minutes\n%s", n, want, stderr.String()[max(0, stderr.Len()-4000):])
		}
		pass(t, 5*time.Millisecond)
	}
	seconds := time.Since(first).Seconds()
	// Not from the child's accounting: that begins with its parent's memory.
	peak := memory(c.Process.Pid, "VmHWM:")
	_ = c.Process.Signal(syscall.SIGTERM)
	_ = c.Wait()
	if n := count(); n != want {
		t.Fatalf("%d records out, want %d", n, want)
	}
	cpu := c.ProcessState.UserTime() + c.ProcessState.SystemTime()
	scale := float64(in) / float64(want)
	return run{
		rate: float64(want-had) * scale / seconds, cpu: float64(cpu.Microseconds()) / float64(in), rss: peak,
	}
}

func median(runs []run, f func(run) float64) float64 {
	v := make([]float64, len(runs))
	for i, r := range runs {
		v[i] = f(r)
	}
	slices.Sort(v)
	return v[len(v)/2]
}

// TestWorkloads times W1, W2 and W3a of the targets, ours and the hand-written loop in
// turn, on one broker.
func TestWorkloads(t *testing.T) {
	const rounds, records, slow = 3, 1_000_000, 20_000
	k := cluster(t, kafkatest.RealOptions{Throughput: true, Heap: "1g"})
	a := adminOf(t, k.Addrs())
	broker := k.Addrs()[0]
	topics(t, a, 8, 1, "flights")
	topics(t, a, 1, 1, "flights1")
	late := loadFlights(t, broker, "flights", records)
	loadFlights(t, broker, "flights1", slow)
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}

	head := func(name, in string) string {
		return fmt.Sprintf("pipeline: %s\nsource:\n  kafka: {brokers: [%s], topics: [%s], start: earliest}\nlog: {format: json, stats_every: 5s}\n", name, broker, in)
	}
	sink := func(out string) string {
		return fmt.Sprintf("sinks:\n  - kafka: {topic: %s, compression: none}\n", out)
	}
	const change = "stages:\n  - filter: delay >= 15\n  - map:\n      set: {late_minutes: delay, route: origin + \"-\" + destination}\n      remove: [delay]\n"

	for _, w := range []struct {
		name, in   string
		partitions int
		in64, want int64
		stages     string
	}{
		{"w1", "flights", 8, records, records, ""},
		{"w2", "flights", 8, records, late, change},
		{"w3a", "flights1", 1, slow, slow, ""},
	} {
		var ours, theirs []run
		var share, theirShare []float64
		for round := range rounds {
			for _, who := range []string{"hand", "penstock"} {
				out := fmt.Sprintf("%s-%s-%d", w.name, who, round)
				topics(t, a, w.partitions, 1, out)
				server, addr := (*exec.Cmd)(nil), "-"
				var answers *bufio.Reader
				if w.name == "w3a" {
					server, addr, answers = startServer(t)
				}
				var c *exec.Cmd
				if who == "hand" {
					c = exec.Command(os.Args[0])
					c.Env = append(os.Environ(), fmt.Sprintf("%s=%s %s %s %s http://%s/ %s", roleEnv, w.name, broker, out, out, addr, w.in))
				} else {
					stages := w.stages
					if w.name == "w3a" {
						stages = fmt.Sprintf("stages:\n  - http: {url: \"http://%s/{origin}\", into: weather}\n    workers: 64\n", addr)
					}
					file := filepath.Join(t.TempDir(), out+".yaml")
					if err := os.WriteFile(file, []byte(head(out, w.in)+stages+sink(out)), 0o600); err != nil {
						t.Fatal(err)
					}
					c = exec.Command(path, "run", file)
				}
				r := timed(t, a, c, out, w.in64, w.want)
				ideal := 0.0
				if server != nil {
					_ = server.Process.Signal(syscall.SIGTERM)
					text, _ := answers.ReadString('\n')
					_ = server.Wait()
					var mean float64
					_, _ = fmt.Sscan(text, &mean)
					ideal = r.rate / (64 / (mean / 1000))
				}
				t.Logf("%s round %d %-8s %9.0f records/s  %6.2f µs CPU a record  %4d MiB  of ideal %.3f", w.name, round, who, r.rate, r.cpu, r.rss>>20, ideal)
				if who == "hand" {
					theirs, theirShare = append(theirs, r), append(theirShare, ideal)
				} else {
					ours, share = append(ours, r), append(share, ideal)
				}
			}
		}
		slices.Sort(share)
		slices.Sort(theirShare)
		rate, cpu := func(r run) float64 { return r.rate }, func(r run) float64 { return r.cpu }
		t.Logf("%s MEDIANS: rate %.2fx, CPU %.2fx of the hand-written loop (ours %.0f/s %.2f µs; loop %.0f/s %.2f µs); of ideal: ours %.3f, loop %.3f", w.name,
			median(ours, rate)/median(theirs, rate), median(ours, cpu)/median(theirs, cpu),
			median(ours, rate), median(ours, cpu), median(theirs, rate), median(theirs, cpu), share[rounds/2], theirShare[rounds/2])
	}
}

func startServer(t *testing.T) (*exec.Cmd, string, *bufio.Reader) {
	t.Helper()
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), roleEnv+"=server")
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Process.Kill() })
	r := bufio.NewReader(out)
	addr, err := r.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return c, strings.TrimSpace(addr), r
}

// loadFlights writes n flights of 200 bytes, key = origin, and says how many are late.
func loadFlights(t *testing.T, broker, topic string, n int) (late int64) {
	t.Helper()
	text, err := os.ReadFile("../../testdata/flights/flights.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	c, err := kgo.NewClient(kgo.SeedBrokers(broker), kgo.DefaultProduceTopic(topic), kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.ProducerLinger(5*time.Millisecond), kgo.MaxBufferedRecords(100_000))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for i := range n {
		l := lines[i%len(lines)]
		if gjson.Get(l, "delay").Int() >= 15 {
			late++
		}
		v := l[:len(l)-1] + `,"pad":"`
		v += strings.Repeat("x", max(0, 198-len(v))) + `"}`
		c.Produce(t.Context(), &kgo.Record{Key: []byte(gjson.Get(l, "origin").String()), Value: []byte(v)}, func(_ *kgo.Record, err error) {
			if err != nil {
				t.Errorf("loading %s: %v", topic, err)
			}
		})
	}
	if err := c.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	return late
}
