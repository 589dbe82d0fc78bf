//go:build unix

package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/penstockio/penstock/pipeline/admin"
	"github.com/penstockio/penstock/pipeline/engine"
)

const hangingFile = `pipeline: hangs
source:
  tail: {files: [grows.log], position: position, key: o}
stages:
  - http: {url: "%s/{o}", into: weather}
    timeout: 10m
    deadline: 10m
    workers: 1
sinks:
  - file: {path: out.jsonl}
dead_letter:
  file: {path: rejected.jsonl}
admin: {listen: "unix:%s", commands: true}
log: {format: json}
`

// TestSkippingWhatHangs: the record that why names is skipped though its call hangs, those behind it go on, and of a paused pipeline nothing
// begins; the log has no key.
func TestSkippingWhatHangs(t *testing.T) {
	h := startHolding(t)
	dir, err := os.MkdirTemp("", "s")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	file, grows := filepath.Join(dir, "p.yaml"), filepath.Join(dir, "grows.log")
	writeFile(t, file, fmt.Sprintf(hangingFile, h.URL, filepath.Join(dir, "s")))
	writeFile(t, grows, `{"o":"canary-a"}`+"\n"+`{"o":"canary-b"}`+"\n")
	r := startDaemon(t, file)
	asks := func(want ...string) { // in any order: calls at the same time overtake one another
		t.Helper()
		var got []string
		for range want {
			select {
			case path := <-h.asked:
				got = append(got, strings.TrimPrefix(path, "/"))
			case <-r.dumped:
				t.Fatalf("asked for %s, want %s", got, want)
			}
		}
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Fatalf("asked for %s, want %s", got, want)
		}
	}
	steer := func(want string, args ...string) {
		t.Helper()
		if code, out, errs := command(t, append(args, file)...); code != exitDone || !strings.Contains(out, want) {
			t.Fatalf("%v: %d\n%s%s", args, code, out, errs)
		}
	}
	asks("canary-a")
	code, out, errs := command(t, "why", file, "--json")
	var why admin.Why
	if err := json.Unmarshal([]byte(out), &why); err != nil || code != exitDone || len(why.Pipelines) != 1 || len(why.Pipelines[0].Holds) != 1 {
		t.Fatalf("%d\n%s%s", code, out, errs)
	}
	at := strings.Fields(why.Pipelines[0].Holds[0].Says)[0]
	steer("hangs "+strings.TrimSuffix(at, ":")+": skipped", "skip", at)
	asks("canary-b")
	steer("hangs: paused (it was running)", "pause")
	steer("hangs: it was paused already", "pause")
	f, err := os.OpenFile(grows, os.O_APPEND|os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteString(`{"o":"canary-c"}` + "\n" + `{"o":"canary-d"}` + "\n")
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	steer("hangs: skipped", "skip", "--key", "canary-b")
	waitFor(t, r, file, func(s pipelineStatus) bool {
		return s.State == "paused" && s.Rejected == 2 && s.Source.Lag != nil && *s.Source.Lag > 0
	})
	if len(h.asked) > 0 {
		t.Errorf("asked for %s in the pause", <-h.asked)
	}
	steer("hangs http: 2 (it was 1)", "workers", "http", "2")
	steer("hangs: running (it was paused)", "resume")
	asks("canary-c", "canary-d") // no call is answered: there are two workers now
	close(h.answer)
	steer("hangs: not skipped", "unskip", "--key", "canary-b")
	for name, tt := range map[string]struct{ args, want string }{
		"no such lane":     {"pause --lane none/0", `there is no lane "none/0" in the pipeline hangs: there is ` + grows},
		"no such step":     {"workers htp 2", `there is no step "htp" in the pipeline hangs: there is http`},
		"too many workers": {"workers http 100000000", "422"},
	} {
		code, _, errs := command(t, append(strings.Fields(tt.args), file)...)
		if want := map[bool]int{true: exitFailed, false: exitUsage}[tt.want == "422"]; code != want || !strings.Contains(errs, tt.want) {
			t.Errorf("%s: %d %s", name, code, errs)
		}
	}
	steer("hangs: stopped", "drain")
	if code := r.end(); code != exitDone {
		t.Errorf("exit code %d\n%s", code, r.log.String())
	}
	rejected, err := os.ReadFile(filepath.Join(dir, "rejected.jsonl"))
	if n := strings.Count(string(rejected), "penstock-reason"); err != nil || n != 2 || strings.Count(string(rejected), "skipped") < 2 {
		t.Errorf("%v, rejected:\n%s", err, rejected)
	}
	out2, err := os.ReadFile(filepath.Join(dir, "out.jsonl"))
	if err != nil || strings.Count(string(out2), "\n") != 2 || !strings.Contains(string(out2), "canary-c") {
		t.Errorf("%v, out:\n%s", err, out2)
	}
	if log := r.log.String(); strings.Contains(log, "canary") || strings.Count(log, `"key_hash":"`+engine.KeyHash([]byte("canary-b"))+`"`) < 2 {
		t.Errorf("the log:\n%s", log)
	}
}

// waitFor asks the process how its pipeline does until ok.
func waitFor(t *testing.T, r *running, file string, ok func(pipelineStatus) bool) {
	t.Helper()
	for {
		_, out, errs := command(t, "status", file, "--json")
		var all statusAnswer
		if err := json.Unmarshal([]byte(out), &all); err != nil {
			t.Fatalf("%v\n%s%s", err, out, errs)
		}
		if ok(all.Pipelines[0]) {
			return
		}
		select {
		case <-r.dumped:
			t.Fatalf("it does not come to that: %s", out)
		case <-time.After(5 * time.Millisecond):
		}
	}
}
