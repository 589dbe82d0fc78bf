//go:build real && workload && browser

package cli

import (
	"fmt"
	"testing"
	"time"
)

// TestAnIdleDaemonThatIsWatched: a daemon with 12 partitions and nothing to do takes less than 1 % of a core while its page is
// open in a browser, whose own work is not counted. Beside it: what it takes unwatched, and with four pages.
func TestAnIdleDaemonThatIsWatched(t *testing.T) {
	b := newBench(t)
	in := load(t, b, "watched-in", "none", 12, flights(t, 1000, 200), 12_000, 5*time.Millisecond)
	b.topic(t, 12, "watched-out")
	address := "127.0.0.1:" + freePort(t)
	text := fmt.Sprintf("pipeline: watched\nsource:\n  kafka: {brokers: [%q], topics: [%s], start: earliest}\n%ssinks:\n  - %s\nadmin: {listen: %q}\nlog: {format: json}\n",
		b.broker, in.topic, changeStages, toKafka("watched-out", plain), address)
	p := begin(t, b.daemon(t, b.path, text, ""))
	for deadline := time.Now().Add(time.Minute); stored(t, b.admin, "watched-out") < in.late; p.pause(t, 50*time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the daemon is not done with its records after a minute\n%s", p.tail())
		}
	}
	p.pause(t, 20*time.Second) // until what the records were needed for is over

	alone := p.share(t, *observedIdle)
	browser := openBrowser(t)
	var pages []*person
	open := func() {
		one := browser.visit(fmt.Sprint("page ", len(pages)), address)
		one.waitFor(stateShown + ` === 'idle'`)
		one.run(`var frames = 0; new MutationObserver(() => frames++).observe(document.getElementById('facts'), { subtree: true, characterData: true, childList: true }); undefined`)
		pages = append(pages, one)
	}
	open()
	watched := p.share(t, *observedIdle)
	if n := pages[0].count(`frames`); n < int(observedIdle.Seconds()*0.9) { // the time that it is up changes each second
		t.Errorf("the page has shown %d frames in %v", n, *observedIdle)
	}
	for range 3 {
		open()
	}
	four := p.share(t, *observedIdle)
	fmt.Printf("\nIdle, 12 partitions, %v each: %.3f %% of a core with nobody at the endpoint, %.3f %% with the page open, %.3f %% with four\n", *observedIdle, 100*alone, 100*watched, 100*four)
	if watched >= mostIdle {
		t.Errorf("%.3f %% of a core with the page open, at most %v %%", 100*watched, 100*mostIdle)
	}
	p.end(t)
}
