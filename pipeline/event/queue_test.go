package event

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
)

// A fakeWriter does what do says: how much of a block it takes, and with which error.
type fakeWriter struct {
	do  func(p []byte) (int, error)
	out lines
}

func (m *fakeWriter) Write(p []byte) (int, error) {
	n, err := m.do(p)
	_, _ = m.out.Write(p[:n])
	return n, err
}

// hangingWriter gives a writer that takes nothing before release is called.
func hangingWriter() (m *fakeWriter, release func()) {
	gate := make(chan struct{})
	return &fakeWriter{do: func(p []byte) (int, error) { <-gate; return len(p), nil }}, sync.OnceFunc(func() { close(gate) })
}

// A readLine is what the tests look at.
type readLine struct {
	Event      string `json:"event_name"`
	Message    string `json:"message"`
	Suppressed string `json:"suppressed_event"`
	Level      string `json:"suppressed_level"`
	Reason     string `json:"reason"`
	Count      int64  `json:"count"`
	Who        int    `json:"who"`
	N          int    `json:"n"`
}

// readLines checks lines against the contract and takes them apart.
func readLines(t *testing.T, text string) (all []readLine) {
	t.Helper()
	if err := ValidateAll([]byte(text)); err != nil {
		t.Error(err)
	}
	for line := range strings.Lines(text) {
		var l readLine
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		all = append(all, l)
	}
	return all
}

// fillUp writes free lines of a level until the queue drops one, and says how many it
// took.
func fillUp(q *Queue, e *Emitter, level zerolog.Level) (taken int64) {
	before := q.Counts()
	for q.Counts().Dropped == before.Dropped {
		e.Log().WithLevel(level).Str("x", strings.Repeat("x", 2000)).Msg("words that fill a line")
	}
	return q.Counts().Waiting - before.Waiting
}

func TestAQueueLosesNothingWithinItsBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most = 1000
		w, release := hangingWriter()
		q := NewQueue(w)
		e := New(q, Options{Log: zerolog.DebugLevel})
		for i := range most {
			e.Log().Debug().Int("n", i).Msg("held")
		}
		synctest.Wait()
		if c := q.Counts(); c.Waiting != most {
			t.Errorf("while the writer hangs: %+v", c)
		}
		release()
		synctest.Wait()
		for i := range most {
			e.Log().Debug().Int("n", most+i).Msg("flows")
		}
		if err := q.Close(time.Second); err != nil {
			t.Error(err)
		}
		all := readLines(t, w.out.take())
		for i, l := range all {
			if l.N != i {
				t.Fatalf("line %d is the %dth", i, l.N)
			}
		}
		if c := q.Counts(); len(all) != 2*most || c != (QueueCounts{Written: 2 * most}) {
			t.Errorf("%d lines, counts %+v", len(all), c)
		}
	})
}

// TestADroppedLineIsCounted: whatever the writer does, and how many write, what was
// written and what was reported make up what came in; each writer's lines stay in order.
func TestADroppedLineIsCounted(t *testing.T) {
	dropped := int64(0)
	for seed := range uint64(10) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 7))
			w := &fakeWriter{}
			var takesAll atomic.Bool
			w.do = func(p []byte) (int, error) {
				if takesAll.Load() {
					return len(p), nil
				}
				switch random.IntN(40) {
				case 0:
					time.Sleep(time.Duration(random.IntN(int(5 * time.Second))))
				case 1:
					return random.IntN(len(p)), syscall.ENOSPC
				case 2:
					return 0, syscall.EIO
				case 3:
					return random.IntN(len(p)), nil
				}
				return len(p), nil
			}
			q := NewQueue(w)
			e := New(q, Options{Log: zerolog.DebugLevel})
			var emitted int64
			var count sync.Mutex
			var all sync.WaitGroup
			for who := range 4 {
				mine := rand.New(rand.NewPCG(seed, uint64(who)+100))
				all.Go(func() {
					for i := range 400 {
						level := []zerolog.Level{zerolog.DebugLevel, zerolog.InfoLevel, zerolog.WarnLevel, zerolog.ErrorLevel}[mine.IntN(4)]
						e.Log().WithLevel(level).Int("who", who).Int("n", i).Str("x", strings.Repeat("x", mine.IntN(4000))).Msg("words")
						if mine.IntN(100) == 0 {
							time.Sleep(time.Duration(mine.IntN(int(300 * time.Millisecond))))
						}
					}
					count.Lock()
					emitted += 400
					count.Unlock()
				})
			}
			all.Wait()
			takesAll.Store(true)
			if err := q.Close(time.Hour); err != nil {
				t.Error(err)
			}
			c := q.Counts()
			var written, reported int64
			next := map[int]int{}
			for _, l := range readLines(t, w.out.take()) {
				if l.Event == "log.suppressed" {
					reported += l.Count
					continue
				}
				written++
				if l.N < next[l.Who] {
					t.Fatalf("seed %d: %d of %d comes after %d", seed, l.N, l.Who, next[l.Who]-1)
				}
				next[l.Who] = l.N + 1
			}
			if c.Written+c.Dropped != emitted || c.Waiting != 0 {
				t.Errorf("seed %d: %d lines, counts %+v", seed, emitted, c)
			}
			if written != c.Written {
				t.Errorf("seed %d: %d lines came out, counts %+v", seed, written, c)
			}
			if reported != c.Dropped {
				t.Errorf("seed %d: %d reported, counts %+v", seed, reported, c)
			}
			dropped += c.Dropped
		})
	}
	if dropped == 0 {
		t.Error("no line was dropped")
	}
}

// TestReportsAddUp: when the writer goes on, what came out and what was reported make up
// what came in, to the line.
func TestReportsAddUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, release := hangingWriter()
		q := NewQueue(w)
		e := New(q, Options{Log: zerolog.DebugLevel})
		const emitted = 3000
		for i := range emitted {
			e.Log().WithLevel([]zerolog.Level{zerolog.DebugLevel, zerolog.WarnLevel}[i%2]).Int("n", i).Str("x", strings.Repeat("x", 1500)).Msg("words")
		}
		synctest.Wait()
		release()
		synctest.Wait()
		all := readLines(t, w.out.take())
		sums := map[string]int64{}
		for i, l := range all {
			if l.Event != "log.suppressed" {
				sums["written"]++
				continue
			}
			if i != 1 && i != 2 {
				t.Errorf("line %d is a report: not at once when the writer moves", i)
			}
			if l.Suppressed != Free || l.Reason != "queue_full" {
				t.Errorf("a report of %+v", l)
			}
			sums[l.Level] += l.Count
		}
		c := q.Counts()
		if sums["written"] != c.Written || sums["debug"]+sums["warn"] != c.Dropped || c.Written+c.Dropped != emitted {
			t.Errorf("%v, counts %+v", sums, c)
		}
		if sums["debug"] <= sums["warn"] || sums["warn"] == 0 {
			t.Errorf("room is not kept for warnings: %v", sums)
		}
		if err := q.Close(time.Second); err != nil {
			t.Error(err)
		}
	})
}

// TestAPipeThatIsReadLate has a real pipe: its lines are whole, in order, and with the
// reports all there.
func TestAPipeThatIsReadLate(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	q := NewQueue(w)
	e := New(q, Options{})
	emitted := int64(0)
	for ; q.Counts().Dropped < 1000; emitted++ {
		e.Log().Warn().Int64("n", emitted).Str("x", strings.Repeat("x", int(emitted%3000))).Msg("words")
	}
	read := make(chan string)
	go func() {
		text, err := io.ReadAll(r)
		if err != nil {
			t.Error(err)
		}
		read <- string(text)
	}()
	if err := q.Close(time.Hour); err != nil {
		t.Error(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	sum, next := int64(0), 0
	for _, l := range readLines(t, <-read) {
		if l.Event == "log.suppressed" {
			sum += l.Count
			continue
		}
		if l.N < next {
			t.Fatalf("%d comes after %d", l.N, next-1)
		}
		next = l.N + 1
		sum++
	}
	if sum != emitted {
		t.Errorf("%d lines came in, written and reported are %d", emitted, sum)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

// TestRoomIsKept: for warnings when there is none for the rest, and for the last lines
// when there is none for warnings.
func TestRoomIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, release := hangingWriter()
		q := NewQueue(w)
		e := New(q, Options{Log: zerolog.DebugLevel})
		for _, level := range []zerolog.Level{zerolog.InfoLevel, zerolog.ErrorLevel} {
			if n := fillUp(q, e, level); n < 100 {
				t.Errorf("%d lines %v had room", n, level)
			}
			for before := q.Counts().Dropped; q.Counts().Dropped == before; { // to the last short one
				e.Log().WithLevel(level).Msg("")
			}
		}
		e.Emit(PipelineStats{State: "running"}, "")
		e.Emit(ProcessReady{}, "")
		before := q.Counts()
		e.Emit(ProcessStopping{Reason: "signal"}, "")
		e.Emit(ProcessStopped{Reason: "signal"}, "")
		if c := q.Counts(); c.Dropped != before.Dropped || c.Waiting != before.Waiting+2 {
			t.Errorf("the last lines had no room: %+v, then %+v", before, c)
		}
		release()
		if err := q.Close(time.Second); err != nil {
			t.Error(err)
		}
		all := readLines(t, w.out.take())
		reported := map[string]int64{}
		for _, l := range all {
			if l.Event == "log.suppressed" {
				reported[l.Suppressed+" "+l.Level] += l.Count
			}
		}
		if fmt.Sprint(reported) != "map[log error:2 log info:2 pipeline.stats info:1 process.ready info:1]" {
			t.Errorf("reported: %v", reported)
		}
		if last := all[len(all)-1]; last.Event != "process.stopped" {
			t.Errorf("the last line is %+v", last)
		}
	})
}

// TestATornLineIsContinued: after a write in part, with or without an error, the same
// line goes on.
func TestATornLineIsContinued(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &fakeWriter{}
		calls := 0
		w.do = func(p []byte) (int, error) {
			calls++
			return []int{len(p) / 3, 0, len(p) / 2, len(p)}[calls%4], []error{nil, syscall.ENOSPC, syscall.EAGAIN, nil}[calls%4]
		}
		q := NewQueue(w)
		e := New(q, Options{})
		for i := range 100 {
			e.Log().Warn().Int("n", i).Msg("words")
		}
		time.Sleep(time.Minute)
		all := readLines(t, w.out.take())
		for i, l := range all {
			if l.N != i {
				t.Errorf("line %d is the %dth", i, l.N)
			}
		}
		if c := q.Counts(); len(all) != 100 || c != (QueueCounts{Written: 100}) {
			t.Errorf("%d lines, counts %+v", len(all), c)
		}
		if err := q.Close(time.Second); err != nil {
			t.Error(err)
		}
	})
}

// TestAFullDiskIsTriedAgain: what waits is written when there is room, at the latest after
// the longest pause, and what was dropped is reported as that.
func TestAFullDiskIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		full := true
		w := &fakeWriter{}
		var mu sync.Mutex
		w.do = func(p []byte) (int, error) {
			mu.Lock()
			defer mu.Unlock()
			if full {
				return 0, syscall.ENOSPC
			}
			return len(p), nil
		}
		q := NewQueue(w)
		e := New(q, Options{})
		e.Log().Warn().Msg("the first")
		time.Sleep(time.Hour)
		fillUp(q, e, zerolog.WarnLevel)
		if c := q.Counts(); c.Written != 0 || c.Dropped != 1 {
			t.Errorf("while the disk is full: %+v", c)
		}
		mu.Lock()
		full = false
		mu.Unlock()
		time.Sleep(lastRetry)
		synctest.Wait()
		all := readLines(t, w.out.take())
		if len(all) < 100 || all[0].Message != "the first" || all[1].Reason != "write_failed" || all[1].Count != 1 {
			t.Errorf("%d lines, %+v", len(all), all[:min(2, len(all))])
		}
		if err := q.Close(time.Second); err != nil {
			t.Error(err)
		}
	})
}

// TestASlowWriterIsReportedEveryTenSeconds: not with every line.
func TestASlowWriterIsReportedEveryTenSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &fakeWriter{do: func(p []byte) (int, error) { time.Sleep(time.Second); return len(p), nil }}
		q := NewQueue(w)
		e := New(q, Options{})
		for range 20 * 60 * 10 {
			e.Log().Warn().Str("x", strings.Repeat("x", 2000)).Msg("words")
			time.Sleep(50 * time.Millisecond)
		}
		c := q.Counts()
		var reports int
		for _, l := range readLines(t, w.out.take()) {
			if l.Event == "log.suppressed" {
				reports++
			}
		}
		if reports < 50 || reports > 60 {
			t.Errorf("%d reports in ten minutes, counts %+v", reports, c)
		}
		if err := q.Close(time.Hour); err != nil {
			t.Error(err)
		}
	})
}

func TestClosingAQueueIsBounded(t *testing.T) {
	t.Run("the writer hangs", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w, release := hangingWriter()
			q := NewQueue(w)
			e := New(q, Options{})
			for range 10 {
				e.Log().Warn().Msg("words")
			}
			from := time.Now()
			err := q.Close(time.Second)
			if took := time.Since(from); took != time.Second || err == nil || !strings.Contains(err.Error(), "10 lines") {
				t.Errorf("after %v: %v", took, err)
			}
			e.Log().Warn().Msg("too late")
			if c := q.Counts(); c != (QueueCounts{Dropped: 11}) {
				t.Errorf("counts %+v", c)
			}
			release()
			synctest.Wait() // the bubble wants the goroutine to end
			if all := readLines(t, w.out.take()); len(all) != 1 {
				t.Errorf("%d lines were written after Close, want the one under way", len(all))
			}
			if c := q.Counts(); c != (QueueCounts{Dropped: 11}) {
				t.Errorf("counts after the write under way: %+v", c)
			}
		})
	})
	t.Run("the writer fails", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			q := NewQueue(&fakeWriter{do: func([]byte) (int, error) { return 0, syscall.EPIPE }})
			New(q, Options{}).Log().Warn().Msg("words")
			time.Sleep(time.Minute)
			from := time.Now()
			if err := q.Close(time.Second); err == nil || time.Since(from) != 0 {
				t.Errorf("after %v: %v", time.Since(from), err)
			}
		})
	})
	t.Run("the writer is busy", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			free := time.Now().Add(time.Minute + 100*time.Millisecond)
			w := &fakeWriter{do: func(p []byte) (int, error) {
				if time.Now().Before(free) {
					return 0, syscall.EAGAIN
				}
				return len(p), nil
			}}
			q := NewQueue(w)
			New(q, Options{}).Log().Warn().Msg("words")
			time.Sleep(time.Minute)
			if err := q.Close(time.Second); err != nil || len(readLines(t, w.out.take())) != 1 {
				t.Errorf("a line that could be written was not: %v", err)
			}
		})
	})
	t.Run("the writer is slow", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := &fakeWriter{do: func(p []byte) (int, error) { time.Sleep(10 * time.Millisecond); return len(p), nil }}
			q := NewQueue(w)
			e := New(q, Options{})
			for range 1000 {
				e.Log().Warn().Msg("words")
			}
			e.Emit(ProcessStopped{Reason: "signal"}, "")
			from := time.Now()
			if err := q.Close(time.Second); err != nil || time.Since(from) > time.Second {
				t.Errorf("after %v: %v", time.Since(from), err)
			}
			all := readLines(t, w.out.take())
			if n := len(all); n < 40 || all[n-1].Event != "process.stopped" || all[n-2].Event != "log.suppressed" ||
				all[n-2].Count+int64(n-2) != 1000 {
				t.Errorf("%d lines, at the end %+v", n, all[max(0, n-2):])
			}
		})
	})
	t.Run("nothing was written", func(t *testing.T) {
		q := NewQueue(io.Discard)
		if err := q.Close(0); err != nil {
			t.Error(err)
		}
		_ = q.Close(0)
	})
}

// TestALineLargerThanTheQueue is dropped, and reported although nothing else is written.
func TestALineLargerThanTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &fakeWriter{do: func(p []byte) (int, error) { return len(p), nil }}
		q := NewQueue(w)
		New(q, Options{})
		_, _ = q.Write(bytes.Repeat([]byte("x"), queueBytes))
		_, _ = q.WriteLevel(zerolog.DebugLevel, bytes.Repeat([]byte("x"), queueBytes/2))
		synctest.Wait()
		if all := readLines(t, w.out.take()); len(all) != 2 || all[0].Count+all[1].Count != 2 {
			t.Errorf("%+v", all)
		}
		if err := q.Close(time.Second); err != nil {
			t.Error(err)
		}
	})
}

// TestWhatIsDroppedBeforeAnEmitterIsReported: what is dropped while nobody can write the report is in the first one.
func TestWhatIsDroppedBeforeAnEmitterIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &fakeWriter{do: func(p []byte) (int, error) { return len(p), nil }}
		q := NewQueue(w)
		_, _ = q.Write(bytes.Repeat([]byte("x"), queueBytes))
		synctest.Wait()
		New(q, Options{}).Log().Info().Msg("here")
		synctest.Wait()
		if all := readLines(t, w.out.take()); len(all) != 2 || all[0].Message != "here" || all[1].Count != 1 || all[1].Reason != reasonFull {
			t.Errorf("%+v", all)
		}
		if err := q.Close(time.Second); err != nil {
			t.Error(err)
		}
	})
}

// TestReportsForPeople: in the form that the log has.
func TestReportsForPeople(t *testing.T) {
	for want, o := range map[string]Options{
		"not printed: the log was not read fast enough; records unaffected, counters exact\n": {Console: true},
		`"event_name":"log"`: {EventsOff: true},
	} {
		synctest.Test(t, func(t *testing.T) {
			w, release := hangingWriter()
			q := NewQueue(w)
			fillUp(q, New(q, o), zerolog.WarnLevel)
			release()
			if err := q.Close(time.Second); err != nil {
				t.Error(err)
			}
			out := w.out.take()
			if n := strings.Count(out, "1 lines log (warn) not printed"); n != 1 || !strings.Contains(out, want) || strings.Contains(out, "log.suppressed") {
				t.Errorf("%+v: %d reports", o, n)
			}
		})
	}
}

func TestEmitIntoAQueueDoesNotAllocate(t *testing.T) {
	q := NewQueue(io.Discard)
	defer q.Close(time.Second)
	e := New(q, Options{}).Pipeline("p").Step("s")
	ev := &StepStats{Step: "s", StepKind: "filter", BusyRatio: 1}
	if n := testing.AllocsPerRun(1000, func() { e.Emit(ev, "words") }); n > 1 {
		t.Errorf("%.0f allocations an event", n)
	}
}

// BenchmarkEmitIntoAQueue is the cost of an event, the work of the queue's goroutine
// included: it is waited for after a burst.
func BenchmarkEmitIntoAQueue(b *testing.B) {
	q := NewQueue(io.Discard)
	defer q.Close(time.Second)
	e := New(q, Options{}).Pipeline("p").Step("s")
	ev := &StepStats{Step: "s", StepKind: "filter", BusyRatio: 1}
	b.ReportAllocs()
	for n := 1; b.Loop(); n++ {
		e.Emit(ev, "words")
		for n%50 == 0 && q.Counts().Waiting > 0 {
			runtime.Gosched()
		}
	}
	if c := q.Counts(); c.Dropped > 0 {
		b.Errorf("lines were dropped: %+v", c)
	}
}
