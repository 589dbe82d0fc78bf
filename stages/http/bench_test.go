//go:build unix

package httpstage

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tidwall/gjson"
	"github.com/tidwall/sjson"

	"github.com/penstockio/penstock/pipeline"
)

// BenchmarkHTTP is the last part of P12: the CPU of a look-up through the stage, as a
// ratio to that of a loop over net/http written by hand, 64 calls at once. The server
// is another process; the third row is the control, the same loop once more.
func BenchmarkHTTP(b *testing.B) {
	const slots, calls, rounds = 64, 4000, 5
	base := benchServer(b)
	s := Defaults()
	s.URL, s.Into = template(b, base+"/weather/{origin}/{id}"), "weather" // calls that differ: equal ones would be one
	h, err := New(s, "pipe/step", env(slots))
	if err != nil {
		b.Fatal(err)
	}
	defer h.Close()
	transport := &http.Transport{MaxIdleConnsPerHost: slots, MaxConnsPerHost: slots, DisableCompression: true}
	defer transport.CloseIdleConnections()
	byHand := handLoop(b, &http.Client{Transport: transport}, base)
	byStage := func(ctx context.Context, value []byte) {
		var rec pipeline.Record
		rec.Init(pipeline.Position{}, nil, value, nil, 0)
		if err := h.Process(ctx, &rec); err != nil || len(rec.Value()) < 150 {
			b.Error(err)
		}
	}
	var hand, stage, control []float64
	for b.Loop() {
		inSlots(slots, 500, byHand) // connections, and what is made once
		inSlots(slots, 500, byStage)
		for range rounds {
			hand = append(hand, cpu(func() { inSlots(slots, calls, byHand) })/calls)
			stage = append(stage, cpu(func() { inSlots(slots, calls, byStage) })/calls)
			control = append(control, cpu(func() { inSlots(slots, calls, byHand) })/calls)
		}
	}
	b.ReportMetric(0, "ns/op") // of no meaning here
	b.ReportMetric(median(hand), "hand-cpu-ns/call")
	b.ReportMetric(median(stage), "stage-cpu-ns/call")
	b.ReportMetric(median(stage)/median(hand), "stage/hand")
	b.ReportMetric(median(control)/median(hand), "control")
}

// handLoop is what one writes without a pipeline.
func handLoop(b *testing.B, client *http.Client, base string) func(context.Context, []byte) {
	return func(ctx context.Context, value []byte) {
		req, err := http.NewRequestWithContext(ctx, "GET", base+"/weather/"+gjson.GetBytes(value, "origin").String()+"/"+gjson.GetBytes(value, "id").String(), nil)
		if err != nil {
			b.Error(err)
			return
		}
		resp, err := client.Do(req)
		if err != nil {
			b.Error(err)
			return
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != 200 {
			b.Error(err, resp.StatusCode)
			return
		}
		if out, err := sjson.SetRawBytes(value, "weather", body); err != nil || len(out) < 150 {
			b.Error(err)
		}
	}
}

// inSlots makes calls in as many goroutines as there are slots, each with the deadline
// that a waiting step gives.
func inSlots(slots, calls int, call func(context.Context, []byte)) {
	next := make(chan int, slots)
	var all sync.WaitGroup
	for range slots {
		all.Go(func() {
			for i := range next {
				ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
				call(ctx, fmt.Appendf(nil, `{"id":%d,"origin":"OSL","destination":"BGO","delay":17,"carrier":"SK","flight":"SK4711"}`, i))
				cancel()
			}
		})
	}
	for i := range calls {
		next <- i
	}
	close(next)
	all.Wait()
}

// cpu gives the nanoseconds of CPU, user and system, of this process while f runs.
func cpu(f func()) float64 {
	used := func() time.Duration {
		var r syscall.Rusage
		_ = syscall.Getrusage(syscall.RUSAGE_SELF, &r) // cannot fail for the process itself
		return time.Duration(r.Utime.Nano() + r.Stime.Nano())
	}
	before := used()
	f()
	return float64(used() - before)
}

func median(v []float64) float64 {
	v = slices.Clone(v)
	slices.Sort(v)
	return v[len(v)/2]
}

// benchServer starts the server; it ends with the benchmark.
func benchServer(b *testing.B) string {
	b.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), asServer+"=1")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { in.Close(); _ = cmd.Wait() })
	addr, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return "http://" + strings.TrimSpace(addr)
}
