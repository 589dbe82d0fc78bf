//go:build unix

package cli

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/tidwall/gjson"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstockio/penstock/pipeline/deadletter"
)

// TestReplayStoppedAgainAndAgain stops the replay of one topic of letters at many places, and each time the next one goes on. After
// SIGTERM each letter is delivered once. After SIGKILL each is, and none of them more often than the replay was killed.
func TestReplayStoppedAgainAndAgain(t *testing.T) {
	for _, how := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		t.Run(signalName(how), func(t *testing.T) {
			const stops, all = 4, 1200
			var asked, until atomic.Int64
			reached := make(chan struct{}, 1)
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				time.Sleep(time.Duration(rand.IntN(3)) * time.Millisecond)
				if asked.Add(1) == until.Load() {
					reached <- struct{}{}
				}
				w.Header().Set("Content-Type", "application/json")
				fmt.Fprintf(w, `{"seen":%q}`, r.URL.Path)
			}))
			t.Cleanup(server.Close)
			s := newSentBack(t, "stages:\n  - http: {url: \""+server.URL+"/{n}\", into: answer}\n    name: ask\n    workers: 16\nsinks:\n  - kafka: {topic: OUT}\n")
			out := s.c.Topic(t, 2)
			s.replaceInFile("OUT", out)
			var recs []*kgo.Record
			for n := range all {
				rec := &kgo.Record{Key: fmt.Append(nil, n%50), Value: fmt.Appendf(nil, `{"n":%d}`, n)}
				for _, h := range [][2]string{{deadletter.Pipeline, s.name}, {deadletter.Step, "ask"}, {deadletter.Reason, "attempts"},
					{deadletter.Topic, s.in}, {deadletter.Partition, "0"}, {deadletter.Offset, fmt.Sprint(n)}} {
					rec.Headers = append(rec.Headers, kgo.RecordHeader{Key: h[0], Value: []byte(h[1])})
				}
				recs = append(recs, rec)
			}
			s.c.Produce(t, s.dead, recs...)
			for range stops {
				until.Store(asked.Load() + 1 + rand.Int64N(all/stops))
				r := startCommand(t, nil, nil, "dead-letter", "replay", s.file, "--to", "step")
				select {
				case <-reached:
				case <-r.dumped:
					t.Fatal("the replay does not come so far")
				}
				r.signal(how)
				r.follow("\x00") // to the end of its log
				if code := r.end(); how == syscall.SIGTERM && code != exitDone {
					t.Fatalf("exit code %d after SIGTERM\n%s", code, r.log.String())
				}
			}
			until.Store(-1)
			s.replay(exitDone, "--to", "step")
			times, most := make([]int, all), 0
			for _, rec := range s.c.Consume(t, out) {
				n := gjson.GetBytes(rec.Value, "n").Int()
				times[n]++
				most = max(most, times[n])
			}
			for n, k := range times {
				if k == 0 {
					t.Fatalf("letter %d is lost", n)
				}
			}
			if how == syscall.SIGTERM && most > 1 || most > stops+1 {
				t.Errorf("a letter came %d times", most)
			}
			t.Logf("%d of %d requests were repeated", asked.Load()-all, all)
		})
	}
}
