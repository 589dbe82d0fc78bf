//go:build unix

package cli

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/tidwall/gjson"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstockio/penstock/pipeline/deadletter"
	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
)

// An outage is a server that the pipeline of a test calls, and which can be down.
type outage struct {
	t       *testing.T
	address string
	server  *http.Server
	fail    atomic.Bool // it answers, and says that it cannot
}

// newOutage gives a server that is up.
func newOutage(t *testing.T) *outage {
	o := &outage{t: t, address: "127.0.0.1:0"}
	o.up()
	t.Cleanup(o.down)
	return o
}

// up mends the server: it answers from now on, at the address that it had.
func (o *outage) up() {
	l, err := net.Listen("tcp", o.address)
	if err != nil {
		o.t.Fatal(err)
	}
	o.address = l.Addr().String()
	o.server = &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if o.fail.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"seen":%q}`, r.URL.Path)
	})}
	go func() { _ = o.server.Serve(l) }()
}

// down ends the server: nobody listens at its address.
func (o *outage) down() {
	if o.server != nil {
		_ = o.server.Close()
		o.server = nil
	}
}

// A redriveRun is a daemon that calls a server, with its topics.
type redriveRun struct {
	t                   *testing.T
	c                   *kafkatest.Cluster
	in, out, dead, file string
	name                string
}

func newRedriveRun(t *testing.T, o *outage) *redriveRun {
	c := kafkatest.Start(t)
	r := &redriveRun{t: t, c: c, in: c.Topic(t, 4), out: c.Topic(t, 3), dead: c.Topic(t, 2), name: strings.ToLower(c.Group(t))}
	r.file = filepath.Join(t.TempDir(), "outage.yaml")
	text := fmt.Sprintf(`pipeline: %s
source:
  kafka: {brokers: [%s], topics: [%s], start: earliest}
stages:
  - map: {set: {mark: n + 1}}
  - http: {url: "http://%s/{n}", into: answer}
    name: weather
    breaker: off
    retry: {attempts: 2, backoff: 1ms}
sinks:
  - kafka: {topic: %s}
    name: done
dead_letter:
  kafka: {topic: %s}
log: {format: json, stats_every: 1s}
`, r.name, c.Addrs()[0], r.in, o.address, r.out, r.dead)
	if err := os.WriteFile(r.file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return r
}

// produce writes records numbered from one on, of a hundred keys, each in one partition.
func (r *redriveRun) produce(from, n int) {
	recs := make([]*kgo.Record, n)
	for i := range recs {
		key := fmt.Sprintf("key-%d", (from+i)%100)
		recs[i] = &kgo.Record{
			Key: []byte(key), Value: fmt.Appendf(nil, `{"n":%d}`, from+i), Partition: int32((from + i) % 100 % 4),
			Headers: []kgo.RecordHeader{{Key: "trace", Value: fmt.Appendf(nil, "t-%d", from+i)}},
		}
	}
	r.c.Produce(r.t, r.in, recs...)
}

// run starts the daemon and gives what stops it.
func (r *redriveRun) run() (stop func()) {
	d := startDaemon(r.t, r.file)
	d.read(`"event_name":"process.ready"`)
	read := make(chan struct{})
	go func() { defer close(read); d.follow(`"event_name":"process.stopping"`) }() // a full pipe would hold it up
	r.t.Cleanup(func() {
		if r.t.Failed() {
			r.t.Log(d.log.String())
		}
	})
	return func() {
		r.t.Helper()
		d.signal(syscall.SIGTERM)
		<-read
		if code := d.end(); code != exitDone {
			r.t.Fatalf("exit code %d after SIGTERM\n%s", code, d.log.String())
		}
	}
}

func header(rec *kgo.Record, name string) string {
	found := ""
	for _, h := range rec.Headers {
		if h.Key == name {
			found = string(h.Value)
		}
	}
	return found
}

// replay runs dead-letter replay and gives what it says.
func (r *redriveRun) replay(want int, flags ...string) string {
	r.t.Helper()
	code, out, log := penstock(r.t, append([]string{"dead-letter", "replay", r.file}, flags...)...)
	if code != want {
		r.t.Fatalf("replay %v ended with %d, not %d\n%s%s", flags, code, want, out, log)
	}
	return out
}

// eachOnce checks that the records from..to came out once each, mended and without a header of
// penstock, and those of a key in order within each of the runs that begin at the given numbers.
func (r *redriveRun) eachOnce(recs []*kgo.Record, to int, runs ...int) {
	r.t.Helper()
	type keyRun struct {
		key string
		run int
	}
	seen, last := map[int]bool{}, map[keyRun]int{}
	for _, rec := range recs {
		n := int(gjson.GetBytes(rec.Value, "n").Int())
		if seen[n] {
			r.t.Fatalf("record %d came out twice", n)
		}
		seen[n] = true
		if gjson.GetBytes(rec.Value, "answer.seen").String() != fmt.Sprintf("/%d", n) || gjson.GetBytes(rec.Value, "mark").Int() != int64(n+1) {
			r.t.Fatalf("record %d came out as %s", n, rec.Value)
		}
		if len(rec.Headers) != 1 || header(rec, "trace") != fmt.Sprintf("t-%d", n) {
			r.t.Fatalf("record %d has the headers %v", n, rec.Headers)
		}
		run := 0
		for run+1 < len(runs) && n >= runs[run+1] {
			run++
		}
		k := keyRun{string(rec.Key), run}
		if before, ok := last[k]; ok && before > n {
			r.t.Fatalf("record %d of %s came out behind %d", n, rec.Key, before)
		}
		last[k] = n
	}
	if len(seen) != to {
		r.t.Fatalf("%d records came out, not %d", len(seen), to)
	}
}

// TestOutageIsSentBack has an outage reject a thousand records. When it is mended they are sent back
// through the running daemon while other records come in: each comes out once, those of a key in
// the order of the letters. A second replay changes nothing. When it fails again the attempts add up.
func TestOutageIsSentBack(t *testing.T) {
	o := newOutage(t)
	r := newRedriveRun(t, o)
	stop := r.run()
	o.down()
	r.produce(0, 1000)
	for _, rec := range r.c.ConsumeN(t, r.dead, 1000) {
		if header(rec, deadletter.Reason) != "attempts" || header(rec, deadletter.Attempts) != "2" || header(rec, deadletter.Replays) != "" {
			t.Fatalf("a letter has the headers %v", rec.Headers)
		}
	}
	if _, out, _ := penstock(t, "dead-letter", "ls", r.file, "--by", "reason"); !strings.Contains(out, "\n1000     attempts") {
		t.Fatalf("before the replay:\n%s", out)
	}
	if got := r.replay(exitDone, "--dry-run"); !strings.HasPrefix(got, "1000 letters would go back to the topics they were read from\n") {
		t.Fatalf("a dry run says\n%s", got)
	}

	o.up()
	replayed := make(chan string, 1)
	go func() {
		_, out, _ := penstock(t, "dead-letter", "replay", r.file)
		replayed <- out
	}()
	for n := 1000; n < 2000; n += 50 { // beside the replay, and a part of it before or behind
		r.produce(n, 50)
	}
	got := <-replayed
	if !strings.HasPrefix(got, "1000 of 1000 letters replayed back to the topics they were read from\n  1000     weather (attempts)\n") {
		t.Fatalf("the replay says\n%s", got)
	}
	r.eachOnce(r.c.ConsumeN(t, r.out, 2000), 2000, 0, 1000)

	if got := r.replay(exitDone); !strings.HasPrefix(got, "0 of 0 letters replayed") {
		t.Fatalf("a second replay says\n%s", got)
	}
	if _, out, _ := penstock(t, "dead-letter", "ls", r.file, "--waiting"); out != "" {
		t.Fatalf("after the replay these wait:\n%s", out)
	}

	o.down()
	r.produce(2000, 10)
	r.c.ConsumeN(t, r.dead, 1010)
	for life := 2; life <= 4; life++ {
		if got := r.replay(exitDone); !strings.HasPrefix(got, "10 of 10 letters replayed") {
			t.Fatalf("replay %d says\n%s", life, got)
		}
		letters := r.c.ConsumeN(t, r.dead, 1000+10*life)
		n := 0
		for _, rec := range letters {
			if header(rec, deadletter.Replays) == fmt.Sprint(life-1) {
				if header(rec, deadletter.Attempts) != fmt.Sprint(2*life) || header(rec, deadletter.Replayed) != "" {
					t.Fatalf("in its life %d a letter has the headers %v", life, rec.Headers)
				}
				n++
			}
		}
		if n != 10 {
			t.Fatalf("%d letters were replayed %d times, not 10", n, life-1)
		}
	}
	if got := r.replay(exitExpectation); !strings.Contains(got, "10 refused\n  10       max_replays\n") {
		t.Fatalf("beyond --max-replays\n%s", got)
	}
	o.up()
	r.replay(exitDone, "--max-replays", "4")
	r.eachOnce(r.c.ConsumeN(t, r.out, 2010), 2010, 0, 1000, 2000)
	stop()
	if n := len(r.c.Consume(t, r.out)); n != 2010 {
		t.Fatalf("at the end %d records are there", n)
	}
}
