package cli

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/penstockio/penstock/pipeline/deadletter"
	"github.com/penstockio/penstock/pipeline/engine"
	"github.com/penstockio/penstock/pipeline/source/letters"
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
	rounds := 2000
	if testing.Short() {
		rounds = 100
	}
	for range rounds {
		c.printChosen(io.Discard)
		c.printLeft(io.Discard)
	}
	close(ended)
	late.Wait()
	if n := c.refusals(); n != turned {
		t.Errorf("%d were refused, not %d", n, turned)
	}
}

// TestSummarySaysWhatIsKnown: the last line of a replay that has ended early counts what is left where it is known, and says so
// where it is not.
func TestSummarySaysWhatIsKnown(t *testing.T) {
	scattered := fmt.Errorf("reading: %w", &letters.ScatteredError{Partition: "dead/0"})
	for name, c := range map[string]struct {
		tally letters.Tally
		ended error
		again bool
		want  string // the last line
	}{
		"all looked at":       {tally: letters.Tally{Opened: true, Seen: true, Chosen: 9, Delivered: 2}, want: "ended before all were sent: 2 sent, 7 left; the same command goes on there"},
		"some looked at":      {tally: letters.Tally{Opened: true, Chosen: 9, Delivered: 2, Unseen: 30}, want: "ended before all were sent: 2 sent, 7 left, and about 30 more were not looked at; the same command goes on there"},
		"nobody knows":        {tally: letters.Tally{Opened: true}, want: "ended before all were sent: 0 sent, 0 left of those that were looked at, and how many were not is not known; the same command goes on there"},
		"all sent":            {tally: letters.Tally{Opened: true, Seen: true, Complete: true, Chosen: 9, Delivered: 9, Stored: 9}, want: "what was replayed stands in dead.jsonl.p.position"},
		"taken":               {tally: letters.Tally{Opened: true, Seen: true, Chosen: 120, Delivered: 120}, ended: fmt.Errorf("reading: %w", letters.ErrTaken), want: "ended before all were sent: 120 sent, how many are left is not known: the dead letters, or what was replayed of them, were changed meanwhile; the same command sends what is not remembered"},
		"begun anew":          {tally: letters.Tally{Opened: true, Chosen: 12, Delivered: 12, Unseen: 3}, ended: letters.ErrBegunAnew, want: "ended before all were sent: 12 sent, how many are left is not known: the dead letters, or what was replayed of them, were changed meanwhile; the same command sends what is not remembered"},
		"scattered":           {tally: letters.Tally{Opened: true, Chosen: 1483, Delivered: 1482, Unseen: 517}, ended: scattered, want: "ended before all were sent: 1482 sent, 1 left, and about 517 more were not looked at; the same command ends there again, until those between the replayed ones are replayed too, or moved away"},
		"scattered, again":    {tally: letters.Tally{Opened: true, Chosen: 3, Delivered: 1, Unseen: 5}, ended: scattered, again: true, want: "ended before all were sent: 1 sent, 2 left, and about 5 more were not looked at; the same command ends there again, until those between the replayed ones are replayed too, or moved away"},
		"another error":       {tally: letters.Tally{Opened: true, Seen: true, Chosen: 9, Delivered: 2}, ended: errors.New("no"), want: "ended before all were sent: 2 sent, 7 left; mend what has ended it, and the same command goes on there"},
		"not opened":          {ended: &letters.HeldError{Log: "topic dead"}, want: "no letter was looked at, and none was sent"},
		"not opened, stopped": {want: "no letter was looked at, and none was sent"},
	} {
		var out strings.Builder
		r := &redrive{letterBox: &letterBox{log: letters.NewFile("dead.jsonl", "p")}, chooser: &letterChooser{}, flags: &redriveFlags{again: c.again}}
		r.summarize(&out, c.tally, engine.Snapshot{}, c.ended)
		lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
		if last := lines[len(lines)-1]; last != c.want || !c.tally.Opened && len(lines) > 1 {
			t.Errorf("%s: it says\n%swant at the end\n%s", name, out.String(), c.want)
		}
	}
}
