//go:build unix

package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const tappedFile = `pipeline: p
source:
  tail: {files: [in.jsonl], position: position, key: "'k' + string(n)", poll: 10ms}
stages:
  - name: add
    map: {set: {b: n + 1, copy: card}, remove: [gone]}
  - filter: n != 3
sinks:
  - file: {path: out.jsonl}
dead_letter:
  file: {path: rejected.jsonl}
  redact: {fields: [pin]}
admin:
  listen: unix:s
  tap: {values: true, redact: {fields: [card]}}
log: {format: json}
`

// A tapped daemon follows a file, to which the test adds lines.
type tappedDaemon struct {
	*running
	t    *testing.T
	dir  string
	file string
}

func startTapped(t *testing.T) *tappedDaemon {
	t.Helper()
	return startTappedOf(t, tappedFile)
}

func startTappedOf(t *testing.T, text string) *tappedDaemon {
	t.Helper()
	dir := t.TempDir()
	d := &tappedDaemon{t: t, dir: dir, file: filepath.Join(dir, "p.yaml")}
	writeFile(t, d.file, text)
	writeFile(t, filepath.Join(dir, "in.jsonl"), "")
	d.running = startDaemon(t, d.file)
	d.read(`"event_name":"process.ready"`)
	return d
}

// add adds lines of which the fields card and pin must not be seen.
func (d *tappedDaemon) add(numbers ...int) {
	d.t.Helper()
	f, err := os.OpenFile(filepath.Join(d.dir, "in.jsonl"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		d.t.Fatal(err)
	}
	for _, n := range numbers {
		if _, err := fmt.Fprintf(f, `{"n":%d,"gone":"\u001b[31m","card":"canary-%d","pin":"canary-pin-%d"}`+"\n", n, n, n); err != nil {
			d.t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		d.t.Fatal(err)
	}
}

// tap runs the command, adds lines when the process has opened the tap, and gives what it printed.
func (d *tappedDaemon) tap(numbers []int, args ...string) (code int, out, errs string) {
	d.t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		code, out, errs = command(d.t, append([]string{"tap"}, args...)...)
	}()
	d.read(`"event_name":"tap.started"`)
	d.add(numbers...)
	<-done
	return code, out, errs
}

// The command shows what passes a step, what the step changes, and what it filters; nothing that is redacted, and no character
// that does something to a terminal. The log says who has looked.
func TestTapOfAProcess(t *testing.T) {
	d := startTapped(t)
	in := filepath.Join(d.dir, "in.jsonl") + "/0@"
	code, out, errs := d.tap([]int{1, 2}, d.file, "add", "--diff", "--limit", "2")
	want := in + `0  k1
  - gone  "\u001b[31m"
  + b  2
  + copy  "***"
` + in + "67  k2\n"
	if code != exitDone || !strings.HasPrefix(out, want) || errs != "2 records\n" {
		t.Errorf("--diff: %d\n%s%s\nwant\n%s", code, out, errs, want)
	}
	code, out, errs = d.tap([]int{4, 3}, d.file, "filter", "--filtered", "--before", "--where", "n == 3", "--limit", "1")
	if want := `  before    k3  {"n":3,"card":"***","pin":"***","b":4,"copy":"***"}  (filtered)`; code != exitDone || !strings.Contains(out, want) || strings.Contains(out, "k4") {
		t.Errorf("--where: %d\n%s%s\nwant %s", code, out, errs, want)
	}
	_, out, _ = d.tap([]int{5}, d.file, "source", "--json", "--limit", "1")
	var line struct {
		Step, Side, Time, Key, Redacted string
		Seen                            int
	}
	if err := json.Unmarshal([]byte(out), &line); err != nil || line.Step != "source" || line.Side != "after" || line.Key != "k5" || line.Redacted != "fields" || line.Seen != 1 || line.Time == "" {
		t.Errorf("--json: %v\n%s", err, out)
	}
	replayed := filepath.Join(d.dir, "seen.jsonl")
	writeFile(t, replayed, out)
	if code, out, errs := command(t, "replay", d.file, replayed); code != exitDone || !strings.Contains(out, `"b":6,"copy":"***"`) {
		t.Errorf("replay of that: %d\n%s%s", code, out, errs)
	}
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{d.file, "none"}, exitUsage, `there is no such step "none" in p that can be looked at: there is source, add, filter, file`},
		{[]string{d.file, "dead_letter"}, exitUsage, `there is no such step "dead_letter"`},
		{[]string{d.file, "file", "--filtered"}, exitUsage, `it has the sides before,after,rejected, not "filtered"`},
		{[]string{d.file, "add", "--where", "n =="}, exitUsage, "where: the expression ends too early"},
		{[]string{d.file, "add", "--rate", "fast"}, exitUsage, `--rate: "fast" is no rate`},
		{[]string{"--addr", "unix:" + filepath.Join(d.dir, "none"), "add"}, exitEnvironment, "nothing listens there"},
	} {
		if code, _, errs := command(t, append([]string{"tap"}, c.args...)...); code != c.code || !strings.Contains(errs, c.want) {
			t.Errorf("%q: %d %s", c.args, code, errs)
		}
	}
	if err := d.command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := d.end(); code != exitDone {
		t.Errorf("exit code %d", code)
	}
	log := d.log.String()
	if strings.Contains(log, "canary") || !strings.Contains(log, `"step":"add","side":"before,after","reason":"limit","records":2,"not_shown":0,"asked_by":"`) {
		t.Errorf("the log:\n%s", log)
	}
}

// A process whose file says nothing of it shows nothing, and the command says what to write.
func TestTapIsOff(t *testing.T) {
	h := startHolding(t)
	r := startRun(t, h, "1h")
	r.read(`"event_name":"process.ready"`)
	code, out, errs := command(t, "tap", "--addr", "unix:"+r.socket, "http")
	if code != exitEnvironment || out != "" || !strings.Contains(errs, "lets nobody look at records: its file says what may be seen, with admin: {tap: {values: true}}") {
		t.Errorf("%d %s%s", code, out, errs)
	}
	close(h.answer)
	r.end()
}

// A stream ends with its pipeline, and the command with 0.
func TestTapEndsWithTheProcess(t *testing.T) {
	d := startTapped(t)
	done := make(chan struct{})
	var code int
	var errs string
	go func() {
		defer close(done)
		code, _, errs = command(t, "tap", d.file, "add")
	}()
	d.read(`"event_name":"tap.started"`)
	if err := d.command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := d.end(); code != exitDone {
		t.Errorf("the daemon's exit code is %d", code)
	}
	<-done
	if code != exitDone || errs != "0 records; the pipeline has ended\n" {
		t.Errorf("%d %s", code, errs)
	}
}

// TestATapHidesAKeyThatIsRedacted: a key that the source has made of a redacted field tells nothing, on either side.
func TestATapHidesAKeyThatIsRedacted(t *testing.T) {
	d := startTappedOf(t, strings.Replace(tappedFile, `"'k' + string(n)"`, "card", 1))
	code, out, errs := d.tap([]int{1}, d.file, "add", "--diff", "--limit", "1")
	if code != exitDone || strings.Contains(out, "canary") || strings.Contains(out, "(key)") || !strings.Contains(out, "+ b  2") {
		t.Errorf("--diff: %d\n%s%s", code, out, errs)
	}
	code, out, errs = d.tap([]int{2}, d.file, "source", "--json", "--limit", "1")
	if code != exitDone || strings.Contains(out, "canary") || !strings.Contains(out, `"left_out":"key"`) {
		t.Errorf("--json: %d\n%s%s", code, out, errs)
	}
}

// TestAnOpenTapHidesWhatAReloadRedacts: what the dead letters leave out since a reload, a tap that was open before leaves out too, and goes on.
func TestAnOpenTapHidesWhatAReloadRedacts(t *testing.T) {
	for name, own := range map[string]string{"redacts something": "redact: {fields: [card]}", "redacts nothing": ""} {
		t.Run(name, func(t *testing.T) {
			text := strings.Replace(tappedFile, "  redact: {fields: [pin]}\n", "", 1)
			text = strings.Replace(text, "redact: {fields: [card]}", own, 1)
			d := startTappedOf(t, text)
			done := make(chan string)
			go func() {
				_, out, errs := command(t, "tap", d.file, "source", "--json", "--limit", "2")
				done <- out + errs
			}()
			d.read(`"event_name":"tap.started"`)
			d.add(1)
			writeFile(t, d.file, strings.Replace(text, "rejected.jsonl}\n", "rejected.jsonl}\n  redact: {fields: [pin]}\n", 1))
			d.signal(syscall.SIGHUP)
			d.read(`"event_name":"config.applied"`)
			out := ""
			for n := 2; out == ""; n++ { // the first one is skipped when the tap waits for it
				d.add(n)
				select {
				case out = <-done:
				case <-time.After(50 * time.Millisecond):
				}
				if n > 1000 {
					t.Fatal("the tap shows nothing any more")
				}
			}
			if pins := strings.Count(out, "canary-pin-") - strings.Count(out, `canary-pin-1"`); pins > 0 || strings.Count(out, `"pin":"***"`) == 0 || !strings.Contains(out, "2 records") {
				t.Errorf("the tap shows\n%s", out)
			}
			d.signal(syscall.SIGTERM)
			d.end()
		})
	}
}
