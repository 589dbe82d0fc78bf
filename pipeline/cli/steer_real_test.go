//go:build real && chaos

package cli

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
)

// Whatever is asked of a daemon under load, by signal or by command, nothing is lost, repeated or put out of order: good and
// bad files, pauses of all and of a partition, other numbers of workers, and clean stops in the middle of it.
func TestSteeredAtARealBroker(t *testing.T) {
	const rate, rounds = 2000, 3
	k := cluster(t, kafkatest.RealOptions{Throughput: true})
	a := adminOf(t, k.Addrs())
	topics(t, a, 4, 1, "in", "out")
	f := newFeed(t, k.Addrs(), "in", 4, 200)
	r := newReferee(t, k.Addrs(), "out")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(time.Duration(rand.IntN(10)) * time.Millisecond)
		fmt.Fprint(w, "clear")
	}))
	defer server.Close()
	folder, err := os.MkdirTemp("", "s") // the path of a socket has to be short
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(folder)
	socket := filepath.Join(folder, "a")
	text := func(version int, more string) string {
		s := copyPipeline("steered", k.Addrs(), fmt.Sprintf("admin: {listen: \"unix:%s\", commands: true}\n%s", socket, more))
		return strings.Replace(s, "  - map: {set: {again: n}}\n", fmt.Sprintf("  - map: {set: {again: n, version: \"%d\"}}\n  - http: {url: \"%s/\", into: sky}\n    workers: 32\n", version, server.URL), 1)
	}

	version, asked := 0, map[string]int{}
	f.begin(rate)
	for round := range rounds {
		d := start(t, fmt.Sprintf("steered-%d", round), text(version, ""))
		d.await("process.ready", time.Minute, nil)
		applied, refused := 1, 0 // of config.applied and config.rejected, that of the start among them
		reload := func(event string, n int, text string) {
			t.Helper()
			rewrite(t, d.file, text)
			d.signal(syscall.SIGHUP)
			for deadline := time.Now().Add(time.Minute); ; pass(t, 10*time.Millisecond) {
				if seen, _ := d.count(event, 0); seen >= n {
					return
				}
				if time.Now().After(deadline) {
					t.Fatalf("round %d: no %s; of the configuration:\n%s", round, event, d.about("config."))
				}
			}
		}
		for n := range 20 {
			switch n % 5 {
			case 0:
				d.steer("pause")
				pass(t, 200*time.Millisecond)
				d.steer("resume")
			case 1:
				version, applied = version+1, applied+1
				reload("config.applied", applied, text(version, ""))
			case 2:
				d.steer("workers", "http", strconv.Itoa(1+rand.IntN(64)))
			case 3:
				refused++
				reload("config.rejected", refused, text(version+1, "nonsense: true\n"))
			case 4:
				lane := "in/" + strconv.Itoa(rand.IntN(4))
				rewrite(t, d.file, text(version, "")) // the command reads the file
				d.steer("pause", "--lane", lane)
				pass(t, 200*time.Millisecond)
				d.steer("resume", "--lane", lane)
			}
			asked[[]string{"pause and resume", "good file", "workers", "bad file", "lane"}[n%5]]++
			pass(t, 300*time.Millisecond)
		}
		if round == rounds-1 {
			d.steer("workers", "http", "64")
			f.end()
			r.until(f.total(), 2*time.Minute)
		}
		if exit, took := d.stop(syscall.SIGTERM, 30*time.Second); exit != 0 {
			t.Errorf("round %d: exit code %d after SIGTERM, want 0\n%s", round, exit, d.tail(10))
		} else {
			t.Logf("round %d: SIGTERM under %d records/s: exit 0 after %v", round, rate, took.Round(time.Millisecond))
		}
		asked["SIGTERM"]++
	}
	r.toEnd(a, "out")
	lost := f.total() - int64(len(r.seen))
	t.Logf("%v: %d records in, lost %d, delivered twice %d, out of order %d", asked, f.total(), lost, r.twice(), r.misordered)
	if lost != 0 || r.twice() != 0 || r.misordered != 0 {
		t.Error("want 0 lost, 0 twice, 0 out of order")
	}
}

// steer runs a command on the daemon's file, which has to succeed.
func (d *subject) steer(args ...string) {
	d.t.Helper()
	path, err := binary()
	if err != nil {
		d.t.Fatal(err)
	}
	var said bytes.Buffer
	c := exec.CommandContext(d.t.Context(), path, append(args, d.file)...)
	c.Stdout, c.Stderr = &said, &said
	if err := c.Run(); err != nil {
		d.t.Fatalf("%s: %v: %v\n%s\n%s", d.name, args, err, said.String(), d.tail(10))
	}
}

// about gives the lines whose events' names begin like that, and free lines.
func (d *subject) about(event string) string {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	var all []string
	for i, l := range d.lines {
		if name := l.event(); strings.HasPrefix(name, event) || name == "log" {
			all = append(all, d.raw[i])
		}
	}
	return strings.Join(all, "\n")
}
