package crew

import (
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

// A crew that has been waited for takes no worker any more, and nothing breaks.
func TestACrewThatIsOverStartsNobody(t *testing.T) {
	c := New()
	ran := 0
	w := &Worker{Crew: c, Work: func() bool { ran++; return false }, Panicked: func(any, []byte) {}}
	w.Start()
	c.Wait()
	w.Start() // conc's pool is closed: this would panic, here or in the process
	if ran != 1 {
		t.Errorf("the worker ran %d times, want once", ran)
	}
}

// What a piece of work does.
const (
	returns = iota
	panics
	goexits
	panicsWithNil
)

// Whatever pieces of work do, each worker does all of its own, hears of each that went
// wrong, and ends once, before Wait returns.
func TestWorkersOutliveTheirWorkModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		plans := rapid.SliceOfN(rapid.SliceOfN(rapid.IntRange(returns, panicsWithNil), 0, 12), 1, 6).Draw(rt, "plans")
		c := New()
		ended := make([]atomic.Int32, len(plans))
		heard := make([][]any, len(plans))
		did := make([]int, len(plans))
		for i, plan := range plans {
			w := &Worker{
				Crew: c,
				Work: func() bool {
					if did[i] == len(plan) {
						return false
					}
					did[i]++
					switch plan[did[i]-1] {
					case panics:
						panic(did[i])
					case goexits:
						runtime.Goexit()
					case panicsWithNil:
						panic(nil)
					}
					return true
				},
				Panicked: func(value any, stack []byte) {
					if !strings.Contains(string(stack), "crew_test.go") {
						t.Errorf("the stack does not lead to the work: %s", stack)
					}
					heard[i] = append(heard[i], value)
				},
				Ended: func() { ended[i].Add(1) },
			}
			w.Start()
		}
		c.Wait()
		for i, plan := range plans {
			if did[i] != len(plan) || ended[i].Load() != 1 {
				rt.Fatalf("worker %d did %d of %v and ended %d times", i, did[i], plan, ended[i].Load())
			}
			var want []any
			for j, what := range plan {
				switch what {
				case panics:
					want = append(want, j+1)
				case goexits:
					want = append(want, nil)
				case panicsWithNil:
					want = append(want, &runtime.PanicNilError{})
				}
			}
			if len(heard[i]) != len(want) {
				rt.Fatalf("worker %d heard %v, want %v", i, heard[i], want)
			}
			for j := range want {
				_, isNil := heard[i][j].(*runtime.PanicNilError)
				if _, wantNil := want[j].(*runtime.PanicNilError); isNil != wantNil || !isNil && heard[i][j] != want[j] {
					rt.Fatalf("worker %d heard %v, want %v", i, heard[i], want)
				}
			}
		}
	})
}

// A worker that has ended may be started again.
func TestAWorkerStartsAgain(t *testing.T) {
	c := New()
	ended := make(chan bool)
	ran := 0
	w := &Worker{
		Crew: c, Work: func() bool { ran++; return false }, Panicked: func(any, []byte) {}, Ended: func() { ended <- true },
	}
	for range 3 {
		w.Start()
		<-ended
	}
	c.Wait()
	if ran != 3 {
		t.Errorf("it ran %d times", ran)
	}
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
