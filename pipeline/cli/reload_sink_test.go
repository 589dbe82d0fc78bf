//go:build unix

package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tidwall/gjson"
)

// TestAReloadMendsASinkThatStoresNothing: a file that keeps the sink is refused and says what would help; one that has another in its place is applied, and that one has
// what the first one could not store, once and in order. One that could never be written is refused, with its place.
func TestAReloadMendsASinkThatStoresNothing(t *testing.T) {
	dir, err := os.MkdirTemp("", "s") // short: a socket's path has 108 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	at := func(name string) string { return filepath.Join(dir, name) }
	text := func(version, path string) string {
		return fmt.Sprintf("pipeline: p\nsource:\n  tail: {files: [in.jsonl], position: position}\nstages:\n  - map: {set: {v: '%q'}}\nsinks:\n  - file: {path: %s}\n"+
			"admin: {listen: 'unix:s', commands: true}\nlog: {format: json}\nlimits: {drain: 2s}\n", version, path)
	}
	lines := func(from, to int) (all string) {
		for n := from; n < to; n++ {
			all += fmt.Sprintf("{\"n\":%d}\n", n)
		}
		return all
	}
	wait := func(what string, until func() bool) {
		t.Helper()
		for began := time.Now(); !until(); time.Sleep(20 * time.Millisecond) {
			if time.Since(began) > time.Minute {
				t.Fatalf("waiting for %s", what)
			}
		}
	}
	rewrite(t, at("p.yaml"), text("1", "out/x.jsonl"))
	writeFile(t, at("in.jsonl"), lines(0, 50))
	r := startDaemon(t, at("p.yaml"))
	r.read(`"event_name":"process.ready"`)
	stored := func(name string) []string {
		text, _ := os.ReadFile(at(name))
		return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	}
	wait("the first records", func() bool { return len(stored("out/x.jsonl")) == 50 })
	if err := os.Rename(at("out"), at("was")); err != nil {
		t.Fatal(err)
	}
	writeFile(t, at("out"), "")
	in, err := os.OpenFile(at("in.jsonl"), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if _, err := in.WriteString(lines(50, 100)); err != nil {
		t.Fatal(err)
	}
	wait("a write that fails", func() bool {
		_, out, _ := command(t, "why", "--addr", "unix:"+at("s"))
		return strings.Contains(out, "a write fails")
	})
	reload := func(version, path string) (code int, errs string) {
		t.Helper()
		rewrite(t, at("p.yaml"), text(version, path))
		code, _, errs = command(t, "reload", "--addr", "unix:"+at("s"))
		return code, errs
	}
	if code, errs := reload("2", "out/x.jsonl"); code != exitFailed || !strings.Contains(errs, "the sink file stores nothing and is kept") {
		t.Errorf("%d: %s", code, errs)
	}
	if code, errs := reload("2", "out/other.jsonl"); code != exitFailed || !strings.Contains(errs, "p.yaml:7:5: sink file: ") || !strings.Contains(errs, "is a file and no folder") {
		t.Errorf("%d: %s", code, errs)
	}
	if code, errs := reload("2", "other.jsonl"); code != exitDone {
		t.Errorf("%d: %s", code, errs)
	}
	if _, err := in.WriteString(lines(100, 150)); err != nil {
		t.Fatal(err)
	}
	wait("the rest", func() bool { return len(stored("other.jsonl")) >= 100 })
	r.signal(syscall.SIGTERM)
	if code := r.end(); code != exitDone {
		t.Errorf("exit code %d\n%s", code, r.log.String())
	}
	got := stored("other.jsonl")
	for i, line := range got {
		version := int64(1)
		if i >= 50 {
			version = 2
		}
		if n, v := gjson.Get(line, "n").Int(), gjson.Get(line, "v").Int(); n != int64(50+i) || v != version {
			t.Errorf("line %d: %s", i, line)
		}
	}
	if len(got) != 100 || len(stored("was/x.jsonl")) != 50 {
		t.Errorf("%d and %d are stored", len(got), len(stored("was/x.jsonl")))
	}
	if !strings.Contains(r.log.String(), "50 records that the sink file has not stored go to the one that takes its place") {
		t.Errorf("the log does not say it:\n%s", r.log.String())
	}
}
