//go:build unix

package cli

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/penstockio/penstock/pipeline/catalog"
)

// totals are what runs and top both say of records.
type totals struct {
	In       int64 `json:"records_in_total"`
	Out      int64 `json:"records_out_total"`
	Filtered int64 `json:"filtered_total"`
	Rejected int64 `json:"rejected_total"`
}

func (t *totals) add(o totals) {
	t.In, t.Out, t.Filtered, t.Rejected = t.In+o.In, t.Out+o.Out, t.Filtered+o.Filtered, t.Rejected+o.Rejected
}

// A topObject is what the test reads of top --json.
type topObject struct {
	Instances []struct {
		Instance string `json:"instance"`
		State    string `json:"state"`
		Stale    string `json:"stale"`
		Totals   totals `json:"totals"`
	} `json:"instances"`
	Pipelines []struct {
		Pipeline string `json:"pipeline"`
		totals
		Steps []struct {
			Step string `json:"step"`
			totals
		} `json:"steps"`
	} `json:"pipelines"`
}

// runTop runs top and gives its exit code and what it prints.
func runTop(t *testing.T, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = execute(t.Context(), append([]string{"top"}, args...), streams{strings.NewReader(stdin), &out, &errs}, catalog.Kinds())
	return code, out.String(), errs.String()
}

func topOf(t *testing.T, stdin string, args ...string) (o topObject) {
	t.Helper()
	code, out, errs := runTop(t, stdin, append(args, "--json", "--once")...)
	if code != exitDone {
		t.Fatalf("exit code %d: %s", code, errs)
	}
	if err := json.Unmarshal([]byte(out), &o); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return o
}

// topPipeline writes a pipeline over flights: some are filtered, some rejected. source is its source.
func topPipeline(t *testing.T, dir, name, source string) string {
	t.Helper()
	file := filepath.Join(dir, name+".yaml")
	text := fmt.Sprintf(`pipeline: %[1]s
source:
  %[2]s
stages:
  - filter: delay >= 15
  - map:
      set: {x: "delay > 120 ? delay + date : 1"}
sinks:
  - file: {path: %[1]s.jsonl}
dead_letter:
  file: {path: %[1]s.rejected.jsonl}
log: {format: json, stats_every: 200ms}
`, name, source)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

// storedIn counts the lines of a file.
func storedIn(t *testing.T, file string) int64 {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return int64(bytes.Count(text, []byte("\n")))
}

// stoppedTotals reads the totals of process.stopped, of all of them in a log.
func stoppedTotals(t *testing.T, log string) (sum totals) {
	t.Helper()
	n := 0
	for line := range strings.Lines(log) {
		if !strings.Contains(line, `"process.stopped"`) {
			continue
		}
		var one totals
		if err := json.Unmarshal([]byte(line), &one); err != nil {
			t.Fatal(err)
		}
		n++
		sum.add(one)
	}
	if n == 0 {
		t.Fatal("the log has no process.stopped")
	}
	return sum
}

// TestTopShowsTheTotalsOfRuns: what the log of a run says in top is what the run itself says at its end, and what its sinks hold: of runs that end and
// of such as are stopped, of one and of several pipelines, with lines missing, and of two logs in one.
func TestTopShowsTheTotalsOfRuns(t *testing.T) {
	flights, err := os.ReadFile(filepath.Join(repo, "testdata", "flights", "flights.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "flights.jsonl"), flights, 0o644); err != nil {
		t.Fatal(err)
	}
	source := "replay: {files: [flights.jsonl], as: value}"

	alone := startCommand(t, nil, nil, "run", topPipeline(t, dir, "alone", source))
	if code := alone.end(); code != exitDone {
		t.Fatalf("exit code %d:\n%s", code, alone.log.String())
	}
	two := startCommand(t, nil, nil, "run", topPipeline(t, dir, "first", source), topPipeline(t, dir, "second", source))
	if code := two.end(); code != exitDone {
		t.Fatalf("exit code %d:\n%s", code, two.log.String())
	}
	in, stdin := pipes(t)
	signalled := startCommandOn(t, stdin, nil, nil, "run", topPipeline(t, dir, "signalled", "stdin: {as: value}"))
	say(t, in, string(flights[:bytes.IndexByte(flights[30_000:], '\n')+30_001]))
	signalled.read(`"event_name":"pipeline.stats"`)
	signalled.signal(syscall.SIGTERM)
	if code := signalled.end(); code != exitDone {
		t.Fatalf("exit code %d:\n%s", code, signalled.log.String())
	}

	agree := func(what, log string, pipelines ...string) {
		t.Helper()
		file := filepath.Join(dir, "app.log")
		if err := os.WriteFile(file, []byte(log), 0o644); err != nil {
			t.Fatal(err)
		}
		want := stoppedTotals(t, log)
		for how, got := range map[string]topObject{"--file": topOf(t, "", "--file", file), "-": topOf(t, log, "-")} {
			var sum, processes totals
			for _, p := range got.Pipelines {
				sum.add(p.totals)
				if out, rejected := storedIn(t, filepath.Join(dir, p.Pipeline+".jsonl")), storedIn(t, filepath.Join(dir, p.Pipeline+".rejected.jsonl")); p.Out != out || p.Rejected != rejected {
					t.Errorf("%s %s: %s has %d out and %d rejected; its sinks hold %d and %d", what, how, p.Pipeline, p.Out, p.Rejected, out, rejected)
				}
			}
			for _, i := range got.Instances {
				processes.add(i.Totals)
			}
			if sum != want || processes != want {
				t.Errorf("%s %s: the pipelines have %+v, the processes %+v, and the runs said %+v", what, how, sum, processes, want)
			}
			if len(got.Pipelines) != len(pipelines) {
				t.Errorf("%s %s: %d pipelines, want %v", what, how, len(got.Pipelines), pipelines)
			}
		}
	}
	agree("a run that ended", alone.log.String(), "alone")
	agree("two pipelines", two.log.String(), "first", "second")
	agree("a run that was stopped", signalled.log.String(), "signalled")
	agree("two runs in one log", alone.log.String()+signalled.log.String(), "alone", "signalled")
	agree("two runs, the later first", signalled.log.String()+alone.log.String(), "alone", "signalled")
	var some []string
	for i, line := range strings.SplitAfter(alone.log.String(), "\n") {
		if i%4 != 2 || strings.Contains(line, `"process.stopped"`) {
			some = append(some, line)
		}
	}
	agree("lines missing", strings.Join(some, ""), "alone")
	if got := stoppedTotals(t, alone.log.String()); got.In != 10_000 || got.Rejected == 0 || got.Filtered == 0 || got.Out == 0 {
		t.Errorf("the run proves little: %+v", got)
	}

	rotated := filepath.Join(dir, "app.log.1.gz")
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	whole := alone.log.String()
	half := strings.Index(whole[len(whole)/2:], "\n") + len(whole)/2 + 1
	_, _ = w.Write([]byte(whole[:half])) // into memory
	_ = w.Close()
	rest := filepath.Join(dir, "rest.log")
	for file, text := range map[string][]byte{rotated: zipped.Bytes(), rest: []byte(whole[half:])} {
		if err := os.WriteFile(file, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got := topOf(t, "", "--file", rotated, "--file", rest).Pipelines[0].totals; got != stoppedTotals(t, whole) {
		t.Errorf("a rotated log: %+v", got)
	}
	code, table, _ := runTop(t, "", "--file", rest, "--once")
	if code != exitDone || !strings.Contains(table, "alone: stopped") || !strings.Contains(table, "in 10000 (") {
		t.Errorf("exit code %d, table:\n%s", code, table)
	}
}

// TestTopFollowsALog: what is written to a file is shown, also behind a rotation.
func TestTopFollowsALog(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "app.log")
	line := func(second int, in int) string {
		return fmt.Sprintf(`{"timestamp":"2026-11-20T12:00:%02d.000Z","level":"info","event_name":"pipeline.stats","service_instance_id":"a","pipeline":"p","message":"","interval_ms":1000,"state":"running","records_in_total":%d}`+"\n", second, in)
	}
	appendTo := func(text string) {
		f, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString(text); err != nil {
			t.Fatal(err)
		}
		_ = f.Close() // written, and of a test
	}
	appendTo(line(1, 10))
	out, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	r := startCommand(t, w, nil, "top", "--file", file, "--follow", "--json")
	_ = w.Close() // the process has it
	next := json.NewDecoder(out)
	want := func(in int64) {
		t.Helper()
		for {
			var o topObject
			if err := next.Decode(&o); err != nil {
				t.Fatalf("no object with %d: %v", in, err)
			}
			if len(o.Pipelines) == 1 && o.Pipelines[0].In == in {
				return
			}
		}
	}
	want(10)
	appendTo(line(2, 20)[:50])
	appendTo(line(2, 20)[50:])
	want(20)
	if err := os.Rename(file, file+".1"); err != nil {
		t.Fatal(err)
	}
	appendTo(line(3, 30))
	want(30)
	if err := os.Truncate(file, 0); err != nil { // copytruncate: what is shorter than before is new
		t.Fatal(err)
	}
	appendTo(strings.Replace(line(4, 40), `"message":"",`, "", 1))
	want(40)
	r.signal(syscall.SIGTERM)
	if code := r.end(); code != exitDone {
		t.Errorf("exit code %d", code)
	}
}

func TestTopSaysWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "other.log")
	if err := os.WriteFile(empty, []byte("INFO something else\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	var zipped bytes.Buffer
	zip := gzip.NewWriter(&zipped)
	if err := zip.Close(); err != nil {
		t.Fatal(err)
	}
	old := filepath.Join(dir, "old.log")
	if err := os.WriteFile(old, zipped.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"--file", empty, "--file", old, "--follow", "--once"}, exitUsage, "old.log is compressed"},
		{[]string{"--file", filepath.Join(dir, "none.log")}, exitEnvironment, "none.log"},
		{[]string{"--file", dir}, exitUsage, "is a folder"},
		{[]string{"--file", empty}, exitExpectation, "1 line, and none of penstock's"},
		{[]string{"-"}, exitExpectation, "none of penstock's"},
		{[]string{"--follow"}, exitUsage, "name one"},
		{[]string{"--file", empty, "--addr", "x:1"}, exitUsage, "two places"},
		{[]string{"--file", empty, "p.yaml"}, exitUsage, "two places"},
		{[]string{"-", "p.yaml"}, exitUsage, "standard input alone"},
		{[]string{"--every", "1ms"}, exitUsage, "at least 100ms"},
		{[]string{"--color", "red"}, exitUsage, "always or never"},
		{[]string{"--addr", "127.0.0.1:1"}, exitEnvironment, "nothing listens there"},
	} {
		code, out, errs := runTop(t, "", c.args...)
		if code != c.code || !strings.Contains(errs, c.says) || out != "" {
			t.Errorf("top %v: exit code %d, want %d; %q in %s%s", c.args, code, c.code, c.says, errs, out)
		}
	}
}

// TestTopSaysAtEachLookThatAProcessHasGone: a program that reads the objects does not wait for one that never comes.
func TestTopSaysAtEachLookThatAProcessHasGone(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/version" {
			fmt.Fprint(w, `{"version":"v1","config_hash":"c"}`)
			return
		}
		fmt.Fprint(w, `{"pipelines":[{"pipeline":"p","state":"running","started":"2026-11-20T12:00:00Z","timestamp":"2026-11-20T12:00:09Z","records_in_total":3}]}`)
	}))
	defer s.Close()
	out, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if err := out.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	r := startCommand(t, w, nil, "top", "--addr", s.Listener.Addr().String(), "--every", "100ms", "--json")
	_ = w.Close() // the process has it
	next := json.NewDecoder(out)
	closed := false
	for stale := 0; stale < 3; {
		var o topObject
		if err := next.Decode(&o); err != nil {
			t.Fatalf("%d objects say that it has gone: %v", stale, err)
		}
		if len(o.Instances) != 1 || len(o.Pipelines) != 1 || o.Pipelines[0].In != 3 {
			t.Fatalf("%+v", o)
		}
		if o.Instances[0].Stale != "" {
			stale++
		}
		if !closed {
			s.Close()
			closed = true
		}
	}
	r.signal(syscall.SIGTERM)
	if code := r.end(); code != exitDone {
		t.Errorf("exit code %d", code)
	}
}

// TestTopSaysNothingOfAStreamThatHasSaidNothing: the first object has figures.
func TestTopSaysNothingOfAStreamThatHasSaidNothing(t *testing.T) {
	line := `{"timestamp":"2026-11-20T12:00:01.000Z","level":"info","event_name":"pipeline.stats","service_instance_id":"a","pipeline":"p","message":"","interval_ms":1000,"state":"running","records_in_total":7}`
	code, out, errs := runTop(t, line, "-", "--json")
	if code != exitDone || out == "" {
		t.Fatalf("exit code %d: %s", code, errs)
	}
	for object := range strings.Lines(out) {
		var o topObject
		if err := json.Unmarshal([]byte(object), &o); err != nil || len(o.Instances) != 1 {
			t.Errorf("%v: %s", err, object)
		}
	}
	_, out, _ = runTop(t, "", "-", "--json")
	if strings.Contains(out, "0001-01-01") || strings.Count(out, "\n") != 1 || !strings.Contains(out, `"problem"`) {
		t.Errorf("of an empty stream: %q; want one object with the problem, and no time", out)
	}
}

// TestTopAsksSeveralProcesses: one that does not answer is told beside what the others say.
func TestTopAsksSeveralProcesses(t *testing.T) {
	server := func(in int) *httptest.Server {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/version":
				fmt.Fprint(w, `{"version":"v1","config_hash":"c"}`)
			case "/api/v1/errors":
				fmt.Fprint(w, `{"pipelines":[{"pipeline":"p","errors":[{"step":"map","error_type":"x","count_total":2,"sample_message":"m"}]}]}`)
			default:
				fmt.Fprintf(w, `{"pipelines":[{"pipeline":"p","state":"running","started":"2026-11-20T12:00:00Z","timestamp":"2026-11-20T12:00:09Z","records_in_total":%d}]}`, in)
			}
		}))
		t.Cleanup(s.Close)
		return s
	}
	one, two := server(3), server(4)
	addrs := []string{"--addr", one.Listener.Addr().String(), "--addr", two.Listener.Addr().String(), "--every", "100ms"}
	code, table, errs := runTop(t, "", addrs...)
	if code != exitDone || !strings.Contains(table, "2 instances") || !strings.Contains(table, "in 7 (0/s)") || !strings.Contains(table, "map: 4 x") {
		t.Errorf("exit code %d: %s%s", code, table, errs)
	}
	two.Close()
	code, table, errs = runTop(t, "", addrs...)
	if code != exitDone || !strings.Contains(table, "in 3 (0/s)") {
		t.Errorf("exit code %d: %s%s", code, table, errs)
	}
}
