//go:build real && workload

package cli

import (
	"context"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/tidwall/gjson"
	"github.com/tidwall/sjson"
	"github.com/twmb/franz-go/pkg/kgo"
)

// The test binary run again is one of these programs: a loop written by hand on
// franz-go, the slow server of W3, or the daemon itself where a profile of it is wanted.
func init() {
	role, arguments, _ := strings.Cut(os.Getenv(roleEnv), " ")
	args := strings.Fields(arguments)
	switch role {
	case "server":
		profiled(func() { slowServer(args[0]) })
	case "loop":
		profiled(func() { handLoop(args[0], args[1:]) })
	case "daemon":
		code := 0
		profiled(func() {
			code = Main()
		})
		os.Exit(code)
	default:
		return
	}
	os.Exit(0)
}

// slowest is the longest latency of W3b.
const slowest = 250 * time.Millisecond

// waits gives the latencies of the slow server, by the number of the call.
var waits = map[string]func(call uint64) time.Duration{
	// W3a: 50 ms, and 500 ms for two of a hundred.
	"w3a": func(call uint64) time.Duration {
		if call%50 == 0 {
			return 500 * time.Millisecond
		}
		return 50 * time.Millisecond
	},
	// W3b: lognormal with a median of 5 ms and a 99th percentile of 100 ms, which is 2.326
	// standard deviations above.
	"w3b": func(call uint64) time.Duration {
		sigma := math.Log(20) / 2.326
		ms := 5 * math.Exp(sigma*rand.New(rand.NewPCG(1, call)).NormFloat64())
		return min(time.Duration(ms*float64(time.Millisecond)), slowest)
	},
	// The slow step of the memory table.
	"slow": func(uint64) time.Duration { return time.Second },
	// And its sink that takes a request and says nothing more.
	"never": func(uint64) time.Duration { return 24 * time.Hour },
}

// slowServer prints its address, answers with the latencies of kind, and prints how many
// calls there were, and the mean that its handler measured in milliseconds, when it is
// told to stop.
func slowServer(kind string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		os.Exit(1)
	}
	fmt.Println(l.Addr())
	wait := waits[kind]
	var calls, answered, spent atomic.Int64
	go func() {
		_ = http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			begin := time.Now()
			<-time.After(wait(uint64(calls.Add(1))))
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"sky":"clear"}`)
			spent.Add(int64(time.Since(begin)))
			answered.Add(1)
		}))
	}()
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	<-stop
	fmt.Println(calls.Load(), float64(spent.Load())/float64(max(answered.Load(), 1))/1e6)
}

// A loop is what a careful programmer writes on franz-go: a group consumer, one
// producer, acks=all, and the marks committed once everything polled is stored.
type loop struct {
	client *kgo.Client
	url    string
	queue  chan asked    // in the order of the records
	slots  chan struct{} // 64 calls under way
	web    *http.Client
}

// An asked is a record whose call is under way.
type asked struct {
	rec   *kgo.Record
	value chan []byte
}

// handLoop runs the loop for one workload until SIGTERM.
func handLoop(kind string, args []string) {
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer cancel()
	broker, in, out, group, url := args[0], args[1], args[2], args[3], args[4]
	// What is best for the input, measured: large fetches where it is as long as it
	// looks; where it is compressed they open out into more than a gigabyte.
	fetch := int32(4 << 20)
	if args[5] != "none" {
		fetch = 1 << 20
	}
	options := []kgo.Opt{
		kgo.SeedBrokers(broker), kgo.ConsumeTopics(in), kgo.ConsumerGroup(group),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.AutoCommitMarks(), kgo.AutoCommitInterval(time.Second),
		kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.DefaultProduceTopic(out), kgo.MaxBufferedRecords(50_000),
		kgo.FetchMaxPartitionBytes(fetch), kgo.BlockRebalanceOnPoll(),
	}
	if kind == "w4" {
		options = append(options, kgo.ProducerLinger(0))
	}
	client, err := kgo.NewClient(options...)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	defer client.Close()
	l := &loop{client: client, url: url}
	waiting := kind == "w3a" || kind == "w3b"
	if waiting {
		l.queue, l.slots = make(chan asked, 4096), make(chan struct{}, 64)
		l.web = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64, MaxConnsPerHost: 64}}
		go l.release()
	}
	each := map[string]func(*kgo.Record){"w1": l.copy, "w2": l.change, "w3a": l.ask, "w3b": l.ask, "w4": l.copy}[kind]
	for ctx.Err() == nil {
		fetches := client.PollFetches(ctx)
		fetches.EachRecord(each)
		if !waiting {
			if err := client.Flush(ctx); err == nil {
				fetches.EachRecord(func(r *kgo.Record) { client.MarkCommitRecords(r) })
			}
		}
		client.AllowRebalance()
	}
	_ = client.CommitMarkedOffsets(context.Background())
}

func (l *loop) produce(r *kgo.Record, value []byte) {
	l.client.Produce(context.Background(), &kgo.Record{Key: r.Key, Value: value, Headers: r.Headers, Timestamp: r.Timestamp}, mustWork)
}

// mustWork ends the loop when a record could not be produced: it may not go on without
// that record, and a restart reads it again.
func mustWork(_ *kgo.Record, err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func (l *loop) copy(r *kgo.Record) { l.produce(r, r.Value) }

func (l *loop) change(r *kgo.Record) {
	delay := gjson.GetBytes(r.Value, "delay")
	if delay.Int() < 15 {
		return
	}
	v, _ := sjson.SetRawBytes(r.Value, "late_minutes", []byte(delay.Raw))
	v, _ = sjson.SetBytes(v, "route", gjson.GetBytes(r.Value, "origin").String()+"-"+gjson.GetBytes(r.Value, "destination").String())
	v, _ = sjson.DeleteBytes(v, "delay")
	l.produce(r, v)
}

func (l *loop) ask(r *kgo.Record) {
	a := asked{r, make(chan []byte, 1)}
	l.queue <- a
	l.slots <- struct{}{}
	go func() {
		defer func() { <-l.slots }()
		response, err := l.web.Get(l.url + gjson.GetBytes(r.Value, "origin").String() + "/" + strconv.FormatInt(r.Offset, 10))
		mustWork(r, err)
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		mustWork(r, err)
		v, _ := sjson.SetRawBytes(r.Value, "weather", body)
		a.value <- v
	}()
}

// release produces the answers in the order of the records.
func (l *loop) release() {
	for a := range l.queue {
		l.client.Produce(context.Background(), &kgo.Record{Key: a.rec.Key, Value: <-a.value, Headers: a.rec.Headers, Timestamp: a.rec.Timestamp},
			func(_ *kgo.Record, err error) {
				mustWork(nil, err)
				l.client.MarkCommitRecords(a.rec)
			})
	}
}
