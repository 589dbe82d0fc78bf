package sql

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

func TestEqualCallsShareOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f flights
		var calls atomic.Int64
		call := func(ctx context.Context) (result, error) {
			calls.Add(1)
			time.Sleep(time.Second)
			return result{rows: 1, json: []byte("1")}, nil
		}
		var wg sync.WaitGroup
		for i := range 64 {
			wg.Go(func() {
				if res, err := f.do(t.Context(), fmt.Sprint(i%2), call); err != nil || string(res.json) != "1" {
					t.Error(res, err)
				}
			})
		}
		wg.Wait()
		if n := calls.Load(); n != 2 {
			t.Errorf("%d calls for two keys", n)
		}
		if _, err := f.do(t.Context(), "0", call); err != nil || calls.Load() != 3 {
			t.Error("a finished call is not forgotten")
		}
		f.wait()
	})
}

// The first caller gives up; the others still get their answer. When all have, the
// call ends.
func TestSharedCallOutlivesItsFirstCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f flights
		call := func(ctx context.Context) (result, error) {
			select {
			case <-time.After(time.Minute):
				return result{rows: 1}, nil
			case <-ctx.Done():
				return result{}, ctx.Err()
			}
		}
		start := time.Now()
		first, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := f.do(first, "k", call); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
				t.Errorf("the first: %v after %v", err, time.Since(start))
			}
		})
		synctest.Wait()
		wg.Go(func() {
			if res, err := f.do(t.Context(), "k", call); err != nil || res.rows != 1 || time.Since(start) != time.Minute {
				t.Errorf("the second: %v after %v", err, time.Since(start))
			}
		})
		wg.Wait()

		start = time.Now()
		short, cancel2 := context.WithTimeout(t.Context(), time.Second)
		defer cancel2()
		if _, err := f.do(short, "k", call); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		f.wait()
		if d := time.Since(start); d != time.Second {
			t.Errorf("a call that nobody waits for went on for %v", d)
		}
		ended, cancel3 := context.WithCancel(t.Context())
		cancel3()
		if _, err := f.do(ended, "k", func(context.Context) (result, error) { t.Error("called"); return result{}, nil }); err == nil {
			t.Error("no error under an ended ctx")
		}
	})
}

func TestPanicInACallIsItsCallersError(t *testing.T) {
	for name, call := range map[string]func(context.Context) (result, error){
		"panic":  func(context.Context) (result, error) { panic("boom") },
		"goexit": func(context.Context) (result, error) { runtime.Goexit(); return result{}, nil },
	} {
		var f flights
		var crash *pipeline.PanicError
		if _, err := f.do(t.Context(), "k", call); !errors.As(err, &crash) {
			t.Errorf("%s: %v", name, err)
		}
		f.wait()
	}
}

func TestKeysOfDifferentParametersDiffer(t *testing.T) {
	key := func(params ...string) string {
		var k []byte
		for _, p := range params {
			k = appendKey(k, []byte(p))
		}
		return string(k)
	}
	lists := [][]string{{}, {""}, {"", ""}, {"a", "b"}, {"ab", ""}, {"", "ab"}, {"ab"}, {"a", "b", ""}}
	for i, a := range lists {
		for j, b := range lists {
			if (key(a...) == key(b...)) != (i == j) {
				t.Errorf("%q and %q", a, b)
			}
		}
	}
}
