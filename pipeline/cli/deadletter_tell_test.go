package cli

import (
	"fmt"
	"io"
	"sync"
	"testing"

	"github.com/penstockio/penstock/pipeline/deadletter"
)

// TestSummaryWhileASinkAnswers has a sink that was given up turn letters down while the replay says how it has ended.
func TestSummaryWhileASinkAnswers(t *testing.T) {
	c := &letterChooser{refused: map[string]int64{}, chosen: map[string]int64{}}
	for n := range 100 {
		c.chosen[fmt.Sprintf("s (%d)", n)] = 1 << 40
	}
	turned, ended := int64(0), make(chan struct{})
	var late sync.WaitGroup
	late.Go(func() {
		for {
			select {
			case <-ended:
				return
			default:
				c.turnedDown(&deadletter.Letter{Step: "s", Reason: fmt.Sprint(turned % 100)}, fmt.Sprint(turned%100))
				turned++
			}
		}
	})
	for range 2000 {
		c.printChosen(io.Discard)
		c.printLeft(io.Discard)
	}
	close(ended)
	late.Wait()
	if n := c.refusals(); n != turned {
		t.Errorf("%d were refused, not %d", n, turned)
	}
}
