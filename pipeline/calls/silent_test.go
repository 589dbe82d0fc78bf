package calls

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// A host from which nothing but a few failures comes for a while is left alone, however few calls
// there are: those that take long to fail would never be enough.
func TestABreakerOpensForAHostThatIsSilent(t *testing.T) {
	type step struct {
		took time.Duration // how long the call takes
		err  error
	}
	out := step{40 * time.Millisecond, outOfService{}}
	slow, quick, good := step{time.Second, errBroken}, step{time.Millisecond, errBroken}, step{20 * time.Millisecond, nil}
	for name, tt := range map[string]struct {
		steps []step
		open  bool // after the last of them, and not before
	}{
		"three that take long":        {[]step{good, slow, slow, slow}, true},
		"two that take long":          {[]step{good, slow, slow}, false},
		"two that take all the time":  {[]step{good, {10 * time.Second, errBroken}, {10 * time.Second, errBroken}}, true},
		"three at once":               {[]step{good, quick, quick, quick, quick}, false},
		"three and a while":           {[]step{good, quick, quick, quick, {2 * time.Second, errBroken}}, true},
		"an answer between":           {[]step{good, slow, slow, good, slow, slow}, false},
		"a good while ago":            {[]step{good, {time.Hour, nil}, quick, quick, quick}, false},
		"never an answer":             {[]step{slow, slow, slow}, true},
		"out of service":              {[]step{good, out, out, out}, true},
		"out of service in a blink":   {[]step{good, {time.Millisecond, outOfService{}}, {time.Millisecond, outOfService{}}, {time.Millisecond, outOfService{}}}, false},
		"out of service and answers":  {[]step{good, out, out, good, out, out}, false},
		"two are out of service":      {[]step{good, out, out, {40 * time.Millisecond, errBroken}}, false},
		"never an answer and at once": {[]step{quick, quick, quick, quick}, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := mustGates(t, Env{Settings: Defaults()})
				for i, s := range tt.steps {
					c := let(t, g)
					time.Sleep(s.took)
					counts := c.leave(pipeline.CallResult{Begun: true, Err: s.err, Took: s.took})
					last := i == len(tt.steps)-1
					if open := g.openCircuits() > 0; open != (tt.open && last) || counts == open {
						t.Fatalf("after call %d: open %v, counts %v", i+1, open, counts)
					}
				}
			})
		})
	}
}

type outOfService struct{}

func (outOfService) Error() string      { return "no connection" }
func (outOfService) OutOfService() bool { return true }

// Calls that hang at the same time are silence from when they began.
func TestABreakerOpensWhenAllCallsHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := mustGates(t, Env{Settings: Defaults()})
		var hanging []*passage
		for range 8 {
			hanging = append(hanging, let(t, g))
		}
		time.Sleep(10 * time.Second)
		counted := 0
		for _, c := range hanging {
			if c.leave(pipeline.CallResult{Begun: true, Err: errBroken, Took: 10 * time.Second}) {
				counted++
			}
		}
		if counted != 1 || g.openCircuits() != 1 {
			t.Errorf("%d of 8 attempts count, %d circuits are open", counted, g.openCircuits())
		}
	})
}
