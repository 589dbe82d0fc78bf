package calls

import (
	"testing"

	"github.com/penstockio/penstock/pipeline"
)

func TestAGateWithoutLimitsLetsCallsIn(t *testing.T) {
	g, err := newGates(Env{Settings: Defaults(), Workers: 2})
	if err != nil {
		t.Fatal(err)
	}
	a, b := g.of("api.example"), g.of("api.example")
	for _, c := range []*passage{&a, &b} {
		if wait, ok := c.enter(1, func() {}); !ok || wait != 0 {
			t.Errorf("enter: %v, %v", wait, ok)
		}
	}
	woken := false
	c := g.of("api.example")
	if _, ok := c.enter(1, func() { woken = true }); ok {
		t.Error("a third call was let in where there are two slots")
	}
	if got, want := c.waits(), "a place at api.example"; got != want {
		t.Errorf("waits for %q, want %q", got, want)
	}
	if !a.leave(pipeline.CallResult{Begun: true}) || !woken {
		t.Errorf("the place that was left was not told")
	}
	if _, ok := c.enter(1, nil); !ok {
		t.Error("the place is not free")
	}
	b.leave(pipeline.CallResult{Begun: true})
	c.leave(pipeline.CallResult{Begun: true})
}
