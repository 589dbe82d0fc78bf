package httpstage

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidwall/gjson"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/calls"
	"github.com/penstockio/penstock/pipeline/client"
	"github.com/penstockio/penstock/pipeline/engine"
)

// The rows of the table: what a server may do to those who call it, and what comes of the records.

const many = 1000

// brisk is of a step whose file does not leave all to the defaults.
var brisk = engine.Wait{Timeout: time.Second, Deadline: 20 * time.Second, Retry: engine.Retry{Attempts: 5, Backoff: 100 * time.Millisecond, MaxBackoff: 5 * time.Second}}

// A server that asks to wait is left alone until then, while others are asked as before.
func TestCallsToAServerThatAsksToWait(t *testing.T) {
	for _, workers := range []int{1, 16, 256} {
		t.Run(fmt.Sprintf("%d workers", workers), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x := table{workers: workers}
				var told []time.Duration // when it has asked to be left alone for 10 s
				var mu sync.Mutex
				var busy *host
				busy = x.serve("busy.example", func(w http.ResponseWriter, r *http.Request, number int, at time.Duration) {
					if number%200 == 100 {
						time.Sleep(20 * time.Millisecond)
						mu.Lock()
						told = append(told, time.Since(busy.began))
						mu.Unlock()
						w.Header().Set("Retry-After", "10")
						w.WriteHeader(http.StatusTooManyRequests)
						return
					}
					well(w, r)
				})
				idle := x.serve("idle.example", func(w http.ResponseWriter, r *http.Request, _ int, _ time.Duration) { well(w, r) })
				n := many + 10*workers // so many that the other host has calls left when it asks
				x.run(t, n, "busy.example", "idle.example")
				x.all(t, n)
				if len(told) < 2 {
					t.Fatalf("it has asked to wait %d times", len(told))
				}
				for _, at := range told {
					if n := within(busy.asked, at, at+10*time.Second); n > 0 {
						t.Errorf("%d requests within the 10 s after %v, in which it was to be left alone", n, at)
					}
				}
				if n := within(idle.asked, told[0], told[0]+10*time.Second); n == 0 {
					t.Error("the other host waited too")
				}
				if states := x.circuit(); len(states) > 0 {
					t.Errorf("circuits changed: %v", states)
				}
			})
		})
	}
}

// For a minute a server does no good: it is left alone but for a few calls that try it, and no
// record is lost, rejected or out of its place for it.
func TestCallsToAServerThatIsOutForAMinute(t *testing.T) {
	const from, to = 500 * time.Millisecond, 60500 * time.Millisecond
	out := func(at time.Duration) bool { return from <= at && at < to }
	type handler = func(w http.ResponseWriter, r *http.Request, number int, at time.Duration)
	for name, tt := range map[string]struct {
		down bool
		bad  handler // while it is out
	}{
		"down": {down: true},
		"hangs": {bad: func(_ http.ResponseWriter, r *http.Request, _ int, _ time.Duration) {
			<-r.Context().Done()
		}},
		"a byte a second": {bad: func(w http.ResponseWriter, r *http.Request, _ int, _ time.Duration) {
			w.Header().Set("Content-Type", "application/json")
			for range 60 {
				_, _ = w.Write([]byte(" "))
				w.(http.Flusher).Flush()
				select {
				case <-time.After(time.Second):
				case <-r.Context().Done():
					return
				}
			}
		}},
		"answers 503": {bad: func(w http.ResponseWriter, _ *http.Request, _ int, _ time.Duration) {
			time.Sleep(5 * time.Millisecond)
			w.WriteHeader(http.StatusServiceUnavailable)
		}},
		"dies half-way": {bad: func(w http.ResponseWriter, _ *http.Request, _ int, _ time.Duration) {
			time.Sleep(5 * time.Millisecond)
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write([]byte(`{"id":`))
			panic(http.ErrAbortHandler)
		}},
	} {
		for _, workers := range []int{1, 8, 64} {
			for wait, timeout := range map[engine.Wait]time.Duration{brisk: time.Second, {}: 10 * time.Second} {
				if workers == 1 && timeout > time.Second {
					continue // while another call hangs in the one slot, the deadline of the record that waits for it is over
				}
				t.Run(fmt.Sprintf("%s with %d workers and %v", name, workers, timeout), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						x := table{workers: workers, wait: wait}
						h := x.serve("api.example", func(w http.ResponseWriter, r *http.Request, number int, at time.Duration) {
							if tt.bad != nil && out(at) {
								tt.bad(w, r, number, at)
								return
							}
							well(w, r)
						})
						if tt.down {
							h.down = out
							go func() { // the connections of before end too
								time.Sleep(from)
								h.cut()
							}()
						}
						n := 50 * workers // 1 s of work
						x.run(t, n, "api.example")
						x.all(t, n)
						asked := h.asked
						if tt.down {
							asked = h.dialed
						}
						// Those under way when it began, those until 20 in a row have failed (answers that
						// were on their way come between), and a try after 1, 2, 4, 8, 16 and 30 s. Without
						// the breaker it would be 3,000 for each worker.
						if n, most := within(asked, from-1, to), 5*workers+60; n > most {
							t.Errorf("%d requests within the minute, want %d at most", n, most)
						}
						states := x.circuit()
						if len(states) == 0 || states[0] != "open" || states[len(states)-1] != "closed" || !slices.Contains(states, "half_open") {
							t.Errorf("the circuit came to %v", states)
						}
						if last := h.asked[len(h.asked)-1]; last > to+60*time.Second {
							t.Errorf("the last request came at %v, long after the server was well", last)
						}
					})
				})
			}
		}
	}
}

// A server that fails now and then is asked again, no more than a share of the calls.
func TestCallsToAServerThatFailsEveryTenth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := table{wait: brisk}
		x.wait.Retry.Attempts = 10 // of 1,000 records one may well have five such answers in a row
		h := x.serve("api.example", func(w http.ResponseWriter, r *http.Request, number int, _ time.Duration) {
			if number%10 == 0 {
				w.WriteHeader(http.StatusInternalServerError)
				return
			}
			well(w, r)
		})
		x.run(t, many, "api.example")
		x.all(t, many)
		if n := len(h.asked); n < many*10/9 || n > many*12/10 {
			t.Errorf("%d requests for %d records", n, many)
		}
		if states := x.circuit(); len(states) > 0 {
			t.Errorf("circuits changed: %v", states)
		}
	})
}

// Half of the answers end too early: each is asked for again.
func TestCallsToAServerThatDiesHalfWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var x table
		var mu sync.Mutex
		once := map[string]bool{}
		h := x.serve("api.example", func(w http.ResponseWriter, r *http.Request, number int, _ time.Duration) {
			mu.Lock()
			cut := number%7 == 0 && !once[r.URL.Path]
			once[r.URL.Path] = cut || once[r.URL.Path]
			mu.Unlock()
			if cut {
				w.Header().Set("Content-Type", "application/json")
				w.Header().Set("Content-Length", "100")
				fmt.Fprint(w, `{"id":`)
				panic(http.ErrAbortHandler)
			}
			well(w, r)
		})
		x.run(t, many, "api.example")
		x.all(t, many)
		short := 0
		for _, cut := range once {
			if cut {
				short++
			}
		}
		if n := len(h.asked); n != many+short || short < many/10 {
			t.Errorf("%d requests for %d records, of which %d were cut short once", n, many, short)
		}
	})
}

// What no further attempt would cure rejects its record at once, holds up no other and says
// nothing of the host.
func TestCallsThatNoFurtherAttemptCures(t *testing.T) {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	zeros := make([]byte, 1<<20)
	for range 100 {
		_, _ = z.Write(zeros)
	}
	_ = z.Close()
	bomb := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(packed.Bytes())
	}
	for name, tt := range map[string]struct {
		bad      func(w http.ResponseWriter, r *http.Request)
		requests int // of each such record
		reason   string
	}{
		"redirects in circles": {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, http.StatusFound) }, 6, client.TypeRedirect},
		"a compressed bomb":    {bomb, 1, client.TypeTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x := table{settings: func(s *Settings) { s.MaxBytes = 64 << 10 }}
				h := x.serve("api.example", func(w http.ResponseWriter, r *http.Request, _ int, _ time.Duration) {
					if r.URL.Path[len(r.URL.Path)-1]%2 == 1 {
						tt.bad(w, r)
						return
					}
					well(w, r)
				})
				const n = 100
				x.run(t, n, "api.example")
				if out, dead := x.out.Records(), x.dead.Records(); len(out) != n/2 || len(dead) != n/2 {
					t.Errorf("%d records came out and %d were rejected", len(out), len(dead))
				}
				for _, rec := range x.dead.Records() {
					if got := headers(rec); got["penstock-reason"] != tt.reason || got["penstock-attempts"] != "1" {
						t.Fatalf("rejected with %v", got)
					}
				}
				if got, want := len(h.asked), n/2+n/2*tt.requests; got != want {
					t.Errorf("%d requests, want %d", got, want)
				}
				if states := x.circuit(); len(states) > 0 {
					t.Errorf("circuits changed: %v", states)
				}
			})
		})
	}
}

// Equal calls are one while they are under way, and none while their answer is kept.
func TestCallsThatAreEqual(t *testing.T) {
	for name, tt := range map[string]struct {
		calls       func(*calls.Env)
		least, most int // requests for 1,000 records of 10 kinds
	}{
		"shared": {nil, 10, many / 10}, // all of the window wait, and join
		"kept": {func(e *calls.Env) {
			e.Settings.Cache = &calls.CacheSettings{TTL: time.Hour, Entries: 100, Bytes: 1 << 20}
		}, 10, 10},
		"neither": {func(e *calls.Env) { e.Settings.Share = new(bool) }, many, many},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x := table{workers: 256, calls: tt.calls}
				x.settings = func(s *Settings) { s.URL = template(t, "http://{host}/{id % 10}") }
				h := x.serve("api.example", func(w http.ResponseWriter, r *http.Request, _ int, _ time.Duration) { well(w, r) })
				x.run(t, many, "api.example")
				for i, v := range x.out.Values() {
					if id := gjson.GetBytes(v, "id").Int(); id != int64(i) || gjson.GetBytes(v, "got.id").Int() != id%10 {
						t.Fatalf("place %d has %s", i, v)
					}
				}
				if n := len(x.out.Values()); n != many {
					t.Errorf("%d records came out", n)
				}
				if n := len(h.asked); n < tt.least || n > tt.most {
					t.Errorf("%d requests, want from %d to %d", n, tt.least, tt.most)
				}
			})
		})
	}
}

// A record that can take no answer is rejected alone, and not those that wait for the same answer.
func TestCallsThatAreEqualForRecordsThatAreNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := table{workers: 16}
		x.settings = func(s *Settings) { s.URL, s.Into = template(t, "http://api.example/7"), "way.got"; s.Hosts = nil }
		x.value = func(i int) string {
			if i%10 == 0 {
				return fmt.Sprintf(`{"id":%d,"way":"canary"}`, i)
			}
			return fmt.Sprintf(`{"id":%d}`, i)
		}
		x.serve("api.example", func(w http.ResponseWriter, r *http.Request, _ int, _ time.Duration) { well(w, r) })
		x.run(t, 100, "api.example")
		if out, dead := len(x.out.Values()), len(x.dead.Records()); out != 90 || dead != 10 {
			t.Errorf("%d records came out and %d were rejected, want 90 and 10", out, dead)
		}
		for _, rec := range x.dead.Records() {
			if reason := headers(rec)["penstock-reason"]; reason != pipeline.ReasonNoPath {
				t.Errorf("rejected for %s", reason)
			}
		}
		for _, v := range x.out.Values() {
			if gjson.GetBytes(v, "way.got.id").Int() != 7 {
				t.Errorf("%s came out", v)
			}
		}
	})
}
