package httpstage

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/calls"
	"github.com/penstockio/penstock/pipeline/engine"
	"github.com/penstockio/penstock/pipeline/pipelinetest"
	"github.com/penstockio/penstock/pipeline/settings"
)

// Eight ways in which a partition is held up. Of each, Why names the record, the step, the host, the cause and the
// attempt, and an event of a stall names them too.

// hold has n records on their way through the table, and gives what Why says of their one lane as soon as it is
// what is waited for.
func (x *table) hold(t *testing.T, n int, until func(h engine.Hold) bool, hosts ...string) (found engine.Hold) {
	t.Helper()
	p := x.pipeline(t, n, hosts...)
	x.inFlight = p.InFlight
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	ok := false
	for range 120_000 { // of two minutes
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if all := p.Why(); len(all) == 1 && until(all[0]) {
			found, ok = all[0], true
			break
		}
	}
	if !ok {
		t.Errorf("it does not come to that: %v", p.Why())
	}
	cancel()
	p.Abort()
	<-ended
	x.close()
	time.Sleep(time.Minute) // servers end what they are at
	return found
}

// check compares what is fixed of a hold with what it is to be, and the line for people.
func check(t *testing.T, got, want engine.Hold, line string) {
	t.Helper()
	if want.Root == (pipeline.Position{}) {
		want.Root = want.Position
	}
	want.Since, want.Age, want.Behind, want.ErrorMessage, want.Until = got.Since, got.Age, got.Behind, got.ErrorMessage, got.Until
	if got != want {
		t.Errorf("Why says\n%+v, want\n%+v", got, want)
	}
	since := fmt.Sprintf("%.1f s", got.Since.Truncate(100*time.Millisecond).Seconds())
	if got.Since < time.Second {
		since = fmt.Sprintf("%d ms", got.Since.Milliseconds())
	}
	line = strings.Replace(line, "SINCE", since, 1) // where it is drawn how long that is
	line = strings.Replace(line, "AGAIN", got.Until.UTC().Format(time.TimeOnly)+"Z", 1)
	line = strings.Replace(line, "UNTIL", "until "+got.Until.UTC().Format(time.TimeOnly)+"Z", 1)
	if got.Age-got.Since >= time.Second { // it has been there for longer than in this state
		line = strings.Replace(line, ": ", fmt.Sprintf(" (in flight for %.1f s): ", got.Age.Truncate(100*time.Millisecond).Seconds()), 1)
	}
	if got := got.String(); got != line {
		t.Errorf("in a line %q, want %q", got, line)
	}
}

// at is the position of a record of the table.
func at(offset int64) pipeline.Position { return pipeline.Position{Topic: "values", Offset: offset} }

// patient is of a step whose records have time for all their attempts.
var patient = engine.Wait{Timeout: time.Minute, Deadline: time.Hour, Retry: engine.Retry{Attempts: 5, Backoff: 30 * time.Second, MaxBackoff: 30 * time.Second}}

// isSeventh says whether a request is for record 7.
func isSeventh(r *http.Request) bool { return r.URL.Path == "/7" }

// slowly takes its time, unless nobody waits any more.
func slowly(r *http.Request, d time.Duration) {
	select {
	case <-time.After(d):
	case <-r.Context().Done():
	}
}

func TestWhyASlowServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := table{wait: patient}
		x.serve("api.example", func(w http.ResponseWriter, r *http.Request, _ int, _ time.Duration) {
			if isSeventh(r) {
				slowly(r, 30*time.Second)
			}
			well(w, r)
		})
		h := x.hold(t, 100, func(h engine.Hold) bool { return h.Since >= 5*time.Second }, "api.example")
		check(t, h, engine.Hold{
			Lane: "values/0", Position: at(7), Where: "step", Kind: "http", Host: "api.example", State: "running",
			Cause: engine.CauseCall, Attempt: 1, Attempts: 5,
		}, "values/0@7: step, host api.example: attempt 1 of 5 has been under way for 5.0 s; 92 records behind it")
	})
}

func TestWhyADeadServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := table{wait: patient, calls: func(e *calls.Env) { e.Settings.Breaker.Off = true }}
		h := x.serve("api.example", func(http.ResponseWriter, *http.Request, int, time.Duration) {})
		h.down = func(time.Duration) bool { return true }
		got := x.hold(t, 100, func(h engine.Hold) bool {
			return h.Cause == engine.CauseRetry && h.Attempt == 2
		}, "api.example")
		check(t, got, engine.Hold{
			Lane: "values/0", Position: at(0), Where: "step", Kind: "http", Host: "api.example", State: "retrying",
			Cause: engine.CauseRetry, Attempt: 2, Attempts: 5, ErrorType: "network",
		}, "values/0@0: step, host api.example: attempt 2 of 5 fails with network (calling GET http://api.example: dial: connection refused); has waited SINCE for its next attempt; 99 records behind it")
	})
}

func TestWhyARate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := table{wait: patient, calls: func(e *calls.Env) {
			e.Shared = calls.NewShared(map[string]calls.RateSettings{"api": {Rate: settings.Rate{N: 1, Per: 10 * time.Second}, Burst: 1, Per: "host"}})
			e.Settings.Limit = []string{"api"}
		}}
		x.serve("api.example", func(w http.ResponseWriter, r *http.Request, _ int, _ time.Duration) { well(w, r) })
		h := x.hold(t, 100, func(h engine.Hold) bool { return h.Position == at(2) && h.Since >= 15*time.Second }, "api.example")
		check(t, h, engine.Hold{
			Lane: "values/0", Position: at(2), Where: "step", Kind: "http", Host: "api.example", State: "throttled",
			Cause: engine.CauseRate, For: "rate api of api.example", Attempts: 5,
		}, "values/0@2: step, host api.example: has waited 15.0 s for rate api of api.example, UNTIL; 97 records behind it")
	})
}

func TestWhyABreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := table{wait: patient}
		x.serve("api.example", func(w http.ResponseWriter, _ *http.Request, _ int, _ time.Duration) {
			time.Sleep(5 * time.Millisecond)
			w.WriteHeader(http.StatusServiceUnavailable)
		})
		h := x.hold(t, 100, func(h engine.Hold) bool { return h.Cause == engine.CauseBreaker && h.Since >= time.Second }, "api.example")
		attempt := h.Attempt
		if attempt < 1 || attempt > 4 {
			t.Errorf("attempt %d", attempt)
		}
		check(t, h, engine.Hold{
			Lane: "values/0", Position: at(0), Where: "step", Kind: "http", Host: "api.example", State: "throttled",
			Cause: engine.CauseBreaker, For: "circuit of api.example", Attempt: attempt, Attempts: 5, ErrorType: "http_5xx",
		}, fmt.Sprintf("values/0@0: step, host api.example: has waited 1.0 s for circuit of api.example, UNTIL; attempt %d of 5 failed with http_5xx (calling GET http://api.example: answered status 503); 99 records behind it", attempt))
	})
}

func TestWhyAPoisonRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := table{wait: patient}
		x.serve("api.example", func(w http.ResponseWriter, r *http.Request, _ int, _ time.Duration) {
			if isSeventh(r) {
				w.WriteHeader(http.StatusInternalServerError)
				return
			}
			well(w, r)
		})
		h := x.hold(t, 100, func(h engine.Hold) bool {
			return h.Cause == engine.CauseRetry && h.Attempt == 3
		}, "api.example")
		check(t, h, engine.Hold{
			Lane: "values/0", Position: at(7), Where: "step", Kind: "http", Host: "api.example", State: "retrying",
			Cause: engine.CauseRetry, Attempt: 3, Attempts: 5, ErrorType: "http_5xx",
		}, "values/0@7: step, host api.example: attempt 3 of 5 fails with http_5xx (calling GET http://api.example: answered status 500); has waited SINCE for its next attempt; 92 records behind it")
	})
}

// bad is a sink that stores nothing.
type bad struct {
	pipelinetest.Memory
	err error // nil: its Writes hang until their time is over
}

func (b *bad) Write(ctx context.Context, _ []*pipeline.Record) error {
	if b.err != nil {
		return b.err
	}
	<-ctx.Done()
	return ctx.Err()
}

func (*bad) Host() string { return "store.example" }

func TestWhyAStalledSink(t *testing.T) {
	for name, tt := range map[string]struct {
		err     error
		attempt int
		state   string
		kind    string
		line    string
	}{
		"hangs": {nil, 1, "writing", "", "values/0@0: out, host store.example: a write has been under way for 5.0 s; 99 records behind it"},
		"fails": {errors.New("storing: no space left"), 3, "retrying", "_other",
			"values/0@0: out, host store.example: attempt 3 of a write fails with _other (storing: no space left); no progress for SINCE; is tried again at AGAIN; 99 records behind it"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x := table{wait: patient, options: func(o *engine.Options) {
					o.Sinks[0] = engine.Output{Name: "out", Kind: "memory", Sink: &bad{err: tt.err}, Retry: engine.Retry{Backoff: time.Minute, MaxBackoff: time.Minute}}
				}}
				x.serve("api.example", func(w http.ResponseWriter, r *http.Request, _ int, _ time.Duration) { well(w, r) })
				attempt := tt.attempt
				h := x.hold(t, 100, func(h engine.Hold) bool {
					if tt.err != nil && h.Since >= 5*time.Second { // how many it takes is drawn
						attempt = h.Attempt
					}
					return h.Since >= 5*time.Second && (tt.err == nil || h.State == tt.state)
				}, "api.example")
				if tt.err != nil {
					tt.line = strings.Replace(tt.line, "attempt 3", fmt.Sprintf("attempt %d", attempt), 1)
				}
				check(t, h, engine.Hold{
					Lane: "values/0", Position: at(0), Where: "out", Kind: "memory", Host: "store.example", State: tt.state,
					Cause: engine.CauseSink, Attempt: attempt, ErrorType: tt.kind,
				}, tt.line)
			})
		})
	}
}

// deaf is a source that commits nothing.
type deaf struct{ *pipelinetest.Values }

func (deaf) Commit(ctx context.Context, _ []pipeline.Mark) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestWhyASlowCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := table{wait: patient, options: func(o *engine.Options) {
			o.Source = deaf{o.Source.(*pipelinetest.Values)}
			o.Drain = time.Hour
		}}
		x.serve("api.example", func(w http.ResponseWriter, r *http.Request, _ int, _ time.Duration) { well(w, r) })
		h := x.hold(t, 100, func(h engine.Hold) bool { return h.Since >= 25*time.Second }, "api.example")
		check(t, h, engine.Hold{
			Lane: "values/0", Position: at(0), Where: "commit", State: "committing", Cause: engine.CauseCommit,
			Attempt: h.Attempt, ErrorType: "timeout",
		}, fmt.Sprintf("values/0@0: commit: is done and has waited 25.0 s for the commit; attempt %d fails with timeout (context deadline exceeded); 99 records behind it", h.Attempt))
		if h.Attempt < 2 || h.Attempt > 3 {
			t.Errorf("attempt %d after 25 s of commits that take 10 s each", h.Attempt)
		}
	})
}

// The records of one key follow one another: those behind the slow one wait for their turn, and it is the slow one
// that is named.
func TestWhyOneSlowKey(t *testing.T) {
	for name, order := range map[string]engine.Order{"order of keys": engine.OrderKey, "order of the partition": engine.OrderPartition} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				wait := patient
				wait.Serial = engine.SerialKey
				x := table{wait: wait, options: func(o *engine.Options) {
					o.Order = order
					o.Key = func(rec *pipeline.Record) ([]byte, error) {
						if rec.Offset%5 == 2 {
							return []byte("slow"), nil
						}
						return fmt.Append(nil, rec.Offset), nil
					}
				}}
				x.serve("api.example", func(w http.ResponseWriter, r *http.Request, _ int, _ time.Duration) {
					if r.URL.Path == "/7" {
						slowly(r, 30*time.Second)
					}
					well(w, r)
				})
				behind := 0
				h := x.hold(t, 100, func(h engine.Hold) bool {
					if h.Since < 5*time.Second {
						return false
					}
					for _, r := range x.inFlight() {
						if r.Offset%5 == 2 && r.Offset > 7 && r.State == "waiting for its turn" && r.For == "values/0@7" {
							behind++
						}
					}
					return true
				}, "api.example")
				if behind != 18 {
					t.Errorf("%d records of the key say that they wait for the slow one, want 18", behind)
				}
				check(t, h, engine.Hold{
					Lane: "values/0", Position: at(7), Where: "step", Kind: "http", Host: "api.example", State: "running",
					Cause: engine.CauseCall, Attempt: 1, Attempts: 5,
				}, "values/0@7: step, host api.example: attempt 1 of 5 has been under way for 5.0 s; 92 records behind it")
			})
		})
	}
}

// The event of a stall names what Why does.
func TestWhyStandsInTheEventsOfAStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := table{wait: patient}
		x.serve("api.example", func(w http.ResponseWriter, r *http.Request, _ int, _ time.Duration) {
			if isSeventh(r) {
				slowly(r, 50*time.Second)
			}
			well(w, r)
		})
		x.hold(t, 100, func(h engine.Hold) bool { return h.Since >= 40*time.Second }, "api.example")
		all := x.log.events("step.stalled")
		if len(all) != 1 {
			t.Fatalf("%d events", len(all))
		}
		e := all[0]
		for key, want := range map[string]string{
			"step": "step", "target": "api.example", "cause": "call", "attempt": "1", "attempts": "5", "offset": "7", "topic": "values",
		} {
			if got := e.Get(key).String(); got != want {
				t.Errorf("%s is %q, want %q", key, got, want)
			}
		}
		if got := e.Get("message").String(); !strings.Contains(got, "values/0@7") || !strings.Contains(got, "host api.example: attempt 1 of 5") {
			t.Errorf("the message is %q", got)
		}
	})
}

// What else the calls of a step may wait for.
func TestWhyOtherLimits(t *testing.T) {
	sleepy := func(w http.ResponseWriter, r *http.Request, _ int, _ time.Duration) {
		slowly(r, 30*time.Second)
		well(w, r)
	}
	for name, tt := range map[string]struct {
		calls func(*calls.Env)
		url   string
		serve func(w http.ResponseWriter, r *http.Request, number int, at time.Duration)
		cause engine.Cause
		waits string // for
		again bool   // it is tried again
	}{
		"its places are full": {
			func(e *calls.Env) { e.Settings.MaxPerHost = 1 }, "http://{host}/{id}", sleepy, engine.CauseHost, "a place at api.example", false,
		},
		"it has asked to wait": {nil, "http://{host}/{id}", func(w http.ResponseWriter, _ *http.Request, _ int, _ time.Duration) {
			w.Header().Set("Retry-After", "60")
			w.WriteHeader(http.StatusTooManyRequests)
		}, engine.CauseHost, "api.example, which has asked to wait (http_429)", false},
		"the retry budget": {
			func(e *calls.Env) { e.Settings.RetryBudget, e.Settings.Breaker.Off = 0.01, true }, "http://{host}/{id}",
			func(w http.ResponseWriter, r *http.Request, _ int, _ time.Duration) {
				if r.URL.Path == "/0" {
					slowly(r, 30*time.Second)
				}
				w.WriteHeader(http.StatusBadGateway)
			}, engine.CauseRetryBudget, "the retry budget of api.example", true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x := table{workers: 4, wait: patient, calls: tt.calls}
				x.wait.Retry = engine.Retry{Attempts: 1000, Backoff: time.Second, MaxBackoff: time.Second}
				x.settings = func(s *Settings) { s.URL = template(t, tt.url) }
				x.options = func(o *engine.Options) { // a lane each, so that there is a hold of each
					var lanes [][]string
					for i := range 20 {
						lanes = append(lanes, []string{fmt.Sprintf(`{"id":%d,"host":"api.example"}`, i)})
					}
					o.Source = pipelinetest.NewLanes(lanes...)
				}
				x.serve("api.example", tt.serve)
				p := x.pipeline(t, 1, "api.example")
				ended := make(chan error, 1)
				go func() { ended <- p.Run(t.Context()) }()
				var held engine.Hold
				for range 60_000 {
					time.Sleep(time.Millisecond)
					synctest.Wait()
					for _, h := range p.Why() {
						if h.Cause == tt.cause {
							held = h
						}
					}
					if held.Cause == tt.cause {
						break
					}
				}
				if held.For != tt.waits || held.Host != "api.example" || held.State != "throttled" || held.Attempt > 0 != tt.again || held.Where != "step" {
					t.Errorf("it is held by %v, want %s", held, tt.waits)
				}
				p.Abort()
				<-ended
				x.close()
				time.Sleep(time.Minute)
			})
		})
	}
}

// lanes gives the pipeline of a table whose records have a lane each, so that there is a hold of each.
func (x *table) lanes(t *testing.T, n int, url string) *engine.Pipeline {
	t.Helper()
	x.settings = func(s *Settings) { s.URL = template(t, url) }
	x.options = func(o *engine.Options) {
		var lanes [][]string
		for i := range n {
			lanes = append(lanes, []string{fmt.Sprintf(`{"id":%d,"host":"api.example"}`, i)})
		}
		o.Source = pipelinetest.NewLanes(lanes...)
	}
	return x.pipeline(t, 1, "api.example")
}

// holds runs the pipeline, and gives what Why says after a while.
func (x *table) holds(t *testing.T, p *engine.Pipeline, after time.Duration) []engine.Hold {
	t.Helper()
	ended := make(chan error, 1)
	go func() { ended <- p.Run(t.Context()) }()
	time.Sleep(after)
	synctest.Wait()
	all := p.Why()
	p.Abort()
	<-ended
	x.close()
	time.Sleep(time.Minute)
	return all
}

// A record that waits for the answer to an equal call is told what that one waits for, be it the server or a limit.
func TestWhyAnEqualCall(t *testing.T) {
	const n = 20
	for name, tt := range map[string]struct {
		shared *calls.Shared
		cause  engine.Cause
		waits  string
		says   string
	}{
		"under way": {nil, engine.CauseCall, "", "attempt 1 of 5 has been under way for 5.5 s"},
		"held back": {calls.NewShared(map[string]calls.RateSettings{"api": {Rate: settings.Rate{N: 1, Per: time.Hour}, Burst: 1, Per: "host"}}),
			engine.CauseRate, "rate api of api.example", " s for rate api of api.example, until "},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x := table{workers: 4, wait: patient}
				path := "http://{host}/same"
				if tt.shared != nil {
					x.workers = 1 // the first record comes first
					x.calls = func(e *calls.Env) { e.Shared, e.Settings.Limit = tt.shared, []string{"api"} }
					path = `http://{host}/{id == 0 ? "first" : "same"}` // which takes what there is of the rate
				}
				x.serve("api.example", func(w http.ResponseWriter, r *http.Request, _ int, _ time.Duration) {
					if r.URL.Path == "/same" {
						slowly(r, 30*time.Second)
					}
					well(w, r)
				})
				lead, joined := pipeline.Position{}, 0
				all := x.holds(t, x.lanes(t, n, path), 5*time.Second+500*time.Millisecond)
				for _, h := range all {
					if h.Where == "commit" {
						continue
					}
					if h.Cause != tt.cause || h.For != tt.waits || h.Host != "api.example" || h.Joins != (h.Root != h.Position) || !strings.Contains(h.Why(), tt.says) {
						t.Errorf("%v: %+v", h, h)
					}
					if lead == (pipeline.Position{}) {
						lead = h.Root
					}
					if h.Joins {
						joined++
						if want := h.Position.String() + " waits for the equal call of " + lead.String() + ": step, host api.example: "; h.Root != lead || !strings.HasPrefix(h.String(), want) {
							t.Errorf("%v, want %s…", h, want)
						}
					}
				}
				if want := len(all) - 1; joined != want || want < n-2 {
					t.Errorf("%d of %d holds wait for the equal call: %v", joined, len(all), all)
				}
			})
		})
	}
}

// Of a host that has asked to wait each line says how it has, and until when: that of the record which was told so, and those behind it.
func TestWhyAHostThatHasAskedToWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := table{workers: 1, wait: patient}
		x.serve("api.example", func(w http.ResponseWriter, _ *http.Request, _ int, _ time.Duration) {
			w.Header().Set("Retry-After", "60")
			w.WriteHeader(http.StatusTooManyRequests)
		})
		p := x.lanes(t, 4, "http://{host}/{id}")
		began := time.Now()
		told := 0
		for _, h := range x.holds(t, p, 5*time.Second) {
			until := h.Until.Sub(began)
			line := "step, host api.example: has waited " + map[bool]string{true: "4.9 s", false: "5.0 s"}[h.Since < 5*time.Second] +
				" for api.example, which has asked to wait (http_429), until " + h.Until.UTC().Format(time.TimeOnly) + "Z"
			if h.ErrorType != "" {
				told++
				line += "; the call before failed with http_429 (calling GET http://api.example: answered status 429), which does not count as an attempt"
			}
			if h.Cause != engine.CauseHost || until < time.Minute || until > 61*time.Second || h.Why() != line {
				t.Errorf("%v until %v, want %s", h, until, line)
			}
		}
		if told != 1 {
			t.Errorf("%d were told to wait", told)
		}
	})
}

// keeps is a sink that keeps to limits and is told to wait, as those are that send over HTTP.
type keeps struct {
	pipelinetest.Memory
	limits *calls.Limiter
	err    error
}

func (k *keeps) Write(ctx context.Context, recs []*pipeline.Record) error {
	return k.limits.Do(ctx, k.Host(), func(context.Context) error {
		if k.err != nil {
			return k.err
		}
		return k.Memory.Write(ctx, recs)
	})
}

func (*keeps) Host() string { return "store.example" }

func TestWhyASinkThatIsHeldBack(t *testing.T) {
	for name, tt := range map[string]struct {
		err   error
		cause engine.Cause
		kind  string
		tries int
		line  string
	}{
		"by its rate": {nil, engine.CauseRate, "", 0,
			"values/0@1: out, host store.example: has waited 5.0 s for rate api of store.example, UNTIL; 98 records behind it"},
		"by its host": {pipeline.RetryAfter(time.Minute, errors.New("storing: come back later")), engine.CauseHost, "_other", 1,
			"values/0@0: out, host store.example: has waited 5.0 s for store.example, which has asked to wait, UNTIL; attempt 1 failed with _other (storing: come back later); 99 records behind it"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				limits, err := calls.NewLimiter(calls.Env{
					Shared:   calls.NewShared(map[string]calls.RateSettings{"api": {Rate: settings.Rate{N: 1, Per: time.Hour}, Burst: 1, Per: "host"}}),
					Settings: calls.Settings{Limit: []string{"api"}},
				})
				if err != nil {
					t.Fatal(err)
				}
				defer limits.Close()
				x := table{wait: patient, options: func(o *engine.Options) {
					o.Sinks[0] = engine.Output{Name: "out", Kind: "memory", Sink: &keeps{limits: limits, err: tt.err}, MaxRecords: 1, Retry: engine.Retry{Backoff: time.Second}}
				}}
				x.serve("api.example", func(w http.ResponseWriter, r *http.Request, _ int, _ time.Duration) { well(w, r) })
				h := x.hold(t, 100, func(h engine.Hold) bool { return h.Cause == tt.cause && h.Since >= 5*time.Second }, "api.example")
				waits := map[engine.Cause]string{engine.CauseRate: "rate api of store.example", engine.CauseHost: "store.example, which has asked to wait"}[tt.cause]
				check(t, h, engine.Hold{
					Lane: "values/0", Position: h.Position, Where: "out", Kind: "memory", Host: "store.example", State: "throttled",
					Cause: tt.cause, For: waits, Attempt: tt.tries, ErrorType: tt.kind,
				}, tt.line)
			})
		})
	}
}
