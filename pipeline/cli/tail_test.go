//go:build unix

package cli

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tidwall/gjson"

	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
)

// A logWriter writes numbered lines to app.log of a folder, in pieces, and rotates it by renaming, until it is told to end.
type logWriter struct {
	t          *testing.T
	dir        string
	rand       *rand.Rand
	n, renamed int64
	stop, done chan struct{}
}

func (w *logWriter) run() {
	defer close(w.done)
	file := w.open()
	defer func() { _ = file.Close() }() // what is not written is missed below
	for tick := time.Tick(2 * time.Millisecond); ; {
		select {
		case <-w.stop:
			return
		case <-tick:
		}
		for range 5 {
			line := fmt.Sprintf(`{"n":%d,"x":"%s"}`+"\n", w.n, strings.Repeat("x", w.rand.IntN(300)))
			cut := w.rand.IntN(len(line))
			for _, part := range []string{line[:cut], line[cut:]} {
				if _, err := file.WriteString(part); err != nil {
					w.t.Error(err)
				}
			}
			w.n++
		}
		if w.rand.IntN(80) == 0 {
			w.renamed++
			if err := os.Rename(filepath.Join(w.dir, "app.log"), filepath.Join(w.dir, fmt.Sprintf("app.log.%d", w.renamed))); err != nil {
				w.t.Error(err)
			}
			_ = file.Close() // likewise
			file = w.open()
		}
	}
}

func (w *logWriter) open() *os.File {
	file, err := os.OpenFile(filepath.Join(w.dir, "app.log"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		w.t.Error(err)
	}
	return file
}

// TestTailKilled kills daemons that follow a log while it is written and rotated: every line comes, none is torn, and what comes
// again has the position it had. The last daemon is stopped, and after that nothing comes again.
func TestTailKilled(t *testing.T) {
	const kills = 4
	c, dir, seed := kafkatest.Start(t), t.TempDir(), rand.Uint64()
	t.Logf("seed %d", seed)
	out := c.Topic(t, 1)
	file := filepath.Join(dir, "p.yaml")
	text := fmt.Sprintf(`pipeline: p
source:
  tail: {files: [app.log*], position: position, poll: 10ms, scan: 20ms}
stages:
  - map: {set: {at: 'meta.topic + "/" + string(meta.partition) + "@" + string(meta.offset)'}}
sinks:
  - kafka: {brokers: [%s], topic: %s}
    batch: {linger: 100ms} # what is read and not yet written dies with its daemon
log: {format: json}
`, c.Addrs()[0], out)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	rnd := rand.New(rand.NewPCG(seed, 1))
	w := &logWriter{t: t, dir: dir, rand: rand.New(rand.NewPCG(seed, 2)), stop: make(chan struct{}), done: make(chan struct{})}
	go w.run()
	for k := range kills {
		r := startDaemon(t, file)
		r.read(`"event_name":"process.ready"`)
		begins := readUpTo(t, dir)
		if k%2 == 0 {
			c.ConsumeN(t, out, len(c.Consume(t, out))+1+rnd.IntN(500))
		}
		tick, late := time.Tick(time.Millisecond), time.After(patience)
		for k%2 == 1 && readUpTo(t, dir) == begins { // some die just behind a commit
			select {
			case <-tick:
			case <-late:
				t.Fatal("nothing was committed")
			}
		}
		r.signal(syscall.SIGKILL)
		r.end()
	}
	r := startDaemon(t, file)
	r.read(`"event_name":"process.ready"`)
	if code, _, log := penstock(t, "run", file); code != exitEnvironment || !strings.Contains(log, fmt.Sprintf("another pipeline follows files with it (process %d on ", r.command.Process.Pid)) {
		t.Errorf("a second daemon ended with %d\n%s", code, log)
	}
	close(w.stop)
	<-w.done
	places, seen := map[int64]string{}, 0
	for int64(len(places)) < w.n {
		all := c.ConsumeN(t, out, seen+1)
		for _, rec := range all[min(seen, len(all)):] {
			notePlace(t, places, rec.Value)
		}
		seen = len(all)
	}
	r.signal(syscall.SIGTERM)
	if code := r.end(); code != exitDone {
		t.Fatalf("exit code %d\n%s", code, r.log.String())
	}
	before := len(c.Consume(t, out))
	r = startCommand(t, nil, nil, "run", file, "--set", "source.tail.stop=end")
	if code := r.end(); code != exitDone {
		t.Fatalf("exit code %d\n%s", code, r.log.String())
	}
	if after := len(c.Consume(t, out)); after != before {
		t.Errorf("%d records came again after a stop", after-before)
	}
	t.Logf("%d lines in %d files came as %d records", len(places), w.renamed+1, before)
}

// readUpTo gives the sum of the offsets in a position.
func readUpTo(t *testing.T, dir string) (sum int64) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "position"))
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range gjson.GetBytes(text, "files.#.offset").Array() {
		sum += n.Int()
	}
	return sum
}

// notePlace notes where a line was read, which is the same each time.
func notePlace(t *testing.T, places map[int64]string, value []byte) {
	t.Helper()
	if !gjson.ValidBytes(value) || strings.Trim(gjson.GetBytes(value, "x").String(), "x") != "" {
		t.Fatalf("a line is torn: %s", value)
	}
	n, at := gjson.GetBytes(value, "n").Int(), gjson.GetBytes(value, "at").String()
	if was, ok := places[n]; ok && was != at {
		t.Fatalf("line %d came from %s and from %s", n, was, at)
	}
	places[n] = at
}
