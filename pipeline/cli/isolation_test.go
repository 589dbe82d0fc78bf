//go:build unix

package cli

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// goesOn is a pipeline of three records, each of which waits for a server; fails is one
// that stops at its second record; misses is one whose file is not there.
const (
	goesOn = `pipeline: goes-on
source:
  replay: {files: [three.jsonl]}
stages:
  - http: {url: "%s/{o}", into: weather}
    timeout: 10m
    deadline: 10m
sinks:
  - file: {path: goes-on.jsonl}
limits: {drain: 1h}
admin: {listen: "unix:%s"}
log: {format: json}
`
	fails = `pipeline: fails
source:
  replay: {files: [torn.jsonl], as: value}
stages:
  - filter: a > 1
sinks:
  - file: {path: fails.jsonl}
`
	misses = `pipeline: misses
source:
  replay: {files: [nowhere.jsonl]}
sinks:
  - file: {path: misses.jsonl}
`
	ends = `pipeline: ends
source:
  replay: {files: [three.jsonl]}
sinks:
  - file: {path: ends.jsonl}
`
)

// A fleet is a folder of pipelines in one process, of which goes-on waits for a server.
type fleet struct {
	*running
	server *holding
	dir    string
}

// startFleet runs goes-on and the other files in one process, until goes-on has asked
// for all of its records.
func startFleet(t *testing.T, files map[string]string, flags ...string) *fleet {
	t.Helper()
	f := &fleet{server: startHolding(t), dir: t.TempDir()}
	socket := filepath.Join(f.dir, "s")
	texts := map[string]string{
		"pipelines/goes-on.yaml": fmt.Sprintf(goesOn, f.server.URL, socket),
		"pipelines/three.jsonl":  `{"payload":"{\"o\":\"a\"}"}` + "\n" + `{"payload":"{\"o\":\"b\"}"}` + "\n" + `{"payload":"{\"o\":\"c\"}"}` + "\n",
		"pipelines/torn.jsonl":   `{"a":2}` + "\n" + `{"a":` + "\n",
	}
	for name, text := range files {
		texts["pipelines/"+name+".yaml"] = text
	}
	f.dir = filepath.Join(f.dir, "pipelines")
	if err := os.Mkdir(f.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range texts {
		if err := os.WriteFile(filepath.Join(filepath.Dir(f.dir), name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	f.running = startCommand(t, nil, nil, append([]string{"run", f.dir}, flags...)...)
	f.socket = socket
	return f
}

// asked waits until goes-on has asked for its three records.
func (f *fleet) asked() {
	f.t.Helper()
	for range 3 {
		select {
		case <-f.server.asked:
		case <-f.dumped:
			f.t.Fatal("goes-on does not ask the server")
		}
	}
}

// wrote gives how many lines a sink's file has.
func (f *fleet) wrote(name string) int {
	text, err := os.ReadFile(filepath.Join(f.dir, name+".jsonl"))
	if err != nil {
		return 0
	}
	return strings.Count(string(text), "\n")
}

// hasStopped says whether the log that was read says that a pipeline has stopped.
func (f *fleet) hasStopped(name string) bool {
	return regexp.MustCompile(`"event_name":"pipeline.stopped".*"pipeline":"` + name + `"`).MatchString(f.log.String())
}

// TestOnePipelineFails: the others go on, and everything that is asked or read says which
// it was.
func TestOnePipelineFails(t *testing.T) {
	for name, c := range map[string]struct{ text, why string }{
		"fails":  {fails, "fails.yaml: "},
		"misses": {misses, "misses.yaml:3:3: "},
	} {
		for _, how := range []string{"the others end", "SIGTERM"} {
			t.Run(name+", then "+how, func(t *testing.T) {
				f := startFleet(t, map[string]string{name: c.text, "ends": ends})
				f.read(c.why)
				for !f.hasStopped(name) || !f.hasStopped("ends") { // in any order; a signal before ends has written would keep it from that
					f.read(`"event_name":"pipeline.stopped"`)
				}
				f.asked()
				for _, path := range []string{"/livez", "/readyz"} {
					status, body := f.get(path)
					if status != http.StatusServiceUnavailable || !strings.Contains(body, "pipeline "+name+" has failed") {
						t.Errorf("%s: %d %s", path, status, body)
					}
				}
				status, body := f.get("/api/v1/stats")
				if status != http.StatusOK || !strings.Contains(body, `"pipeline":"`+name+`","state":"failed","error":"`) ||
					!regexp.MustCompile(`"pipeline":"goes-on","state":"(running|draining)"`).MatchString(body) {
					t.Errorf("/api/v1/stats: %d %s", status, body)
				}
				status, body = f.get("/metrics")
				if status != http.StatusOK || !strings.Contains(body, `penstock_pipeline_state{pipeline="`+name+`",state="failed"} 1`) ||
					!strings.Contains(body, `penstock_pipeline_state{pipeline="`+name+`",state="running"} 0`) ||
					!regexp.MustCompile(`penstock_pipeline_state{pipeline="goes-on",state="(running|draining)"} 1`).MatchString(body) {
					t.Errorf("/metrics: %d %s", status, body)
				}
				if how == "SIGTERM" {
					f.signal(syscall.SIGTERM)
					f.read(`"event_name":"process.stopping"`)
				}
				close(f.server.answer)
				if code := f.end(); code != exitFailed {
					t.Errorf("exit code %d\n%s", code, f.log.String())
				}
				last := lastLine(f.log.String())
				if !strings.Contains(last, `"reason":"failed"`) || !strings.Contains(last, `"failed_pipelines":"`+name+`"`) ||
					!strings.Contains(last, "1 of 3 pipelines failed: "+name+": ") {
					t.Errorf("the last line: %s", last)
				}
				if f.wrote("goes-on") != 3 || f.wrote("ends") != 3 {
					t.Errorf("goes-on wrote %d, ends %d\n%s", f.wrote("goes-on"), f.wrote("ends"), f.log.String())
				}
			})
		}
	}
}

// TestFailFast: who wants so has the process end with the first that fails.
func TestFailFast(t *testing.T) {
	t.Run("while running", func(t *testing.T) {
		f := startFleet(t, map[string]string{"fails": fails}, "--fail-fast")
		if line := f.read(`"event_name":"process.stopping"`); !strings.Contains(line, `"reason":"failed"`) {
			t.Errorf("%s", line)
		}
		f.server.release()
		if code := f.end(); code != exitFailed {
			t.Errorf("exit code %d\n%s", code, f.log.String())
		}
	})
	t.Run("at the start", func(t *testing.T) {
		f := startFleet(t, map[string]string{"misses": misses}, "--fail-fast")
		if code := f.end(); code != exitEnvironment {
			t.Errorf("exit code %d\n%s", code, f.log.String())
		}
		if strings.Contains(f.log.String(), "process.ready") || f.wrote("goes-on") != 0 {
			t.Errorf("it has run:\n%s", f.log.String())
		}
	})
}

// TestTheDrainBudgetRunsOutInOne: the code says so, unless another pipeline has failed.
func TestTheDrainBudgetRunsOutInOne(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		code int
	}{"ends": {ends, exitAbandoned}, "fails": {fails, exitFailed}} {
		f := startFleet(t, map[string]string{name: c.text}, "--drain", "100ms")
		f.asked()
		for line := ""; !strings.Contains(line, `"pipeline":"`+name+`"`); {
			line = f.read(`"event_name":"pipeline.stopped"`)
		}
		f.signal(syscall.SIGTERM)
		line := f.read(`"event_name":"pipeline.stopped"`)
		if !strings.Contains(line, `"pipeline":"goes-on"`) || !strings.Contains(line, `"reason":"drain_timeout"`) || !strings.Contains(line, `"abandoned":3`) {
			t.Errorf("%s", line)
		}
		if code := f.end(); code != c.code {
			t.Errorf("%s: exit code %d\n%s", name, code, f.log.String())
		}
	}
}

// TestConfigurationStopsAll: a file that cannot be run keeps all from starting, also beside
// one whose environment is missing.
func TestConfigurationStopsAll(t *testing.T) {
	f := startFleet(t, map[string]string{"misses": misses, "wrong": "pipeline: Wrong!\n"})
	if code := f.end(); code != exitUsage {
		t.Errorf("exit code %d\n%s", code, f.log.String())
	}
	if f.wrote("goes-on") != 0 {
		t.Error("goes-on has run")
	}
}

// TestAllPipelinesFail: the process ends by itself, with the code of the first failure, and
// each of them is named.
func TestAllPipelinesFail(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"a.yaml": misses, "b.yaml": strings.ReplaceAll(misses, "misses", "lacks")} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	r := startCommand(t, nil, nil, "run", dir)
	if code := r.end(); code != exitEnvironment {
		t.Errorf("exit code %d\n%s", code, r.log.String())
	}
	log := r.log.String()
	for _, want := range []string{"a.yaml:3:3: ", "b.yaml:3:3: ", `"failed_pipelines":"misses,lacks"`, `"reason":"environment"`} {
		if !strings.Contains(log, want) {
			t.Errorf("the log lacks %s:\n%s", want, log)
		}
	}
}

// lacks is a pipeline that cannot be built.
const lacks = `pipeline: lacks
source:
  replay: {files: [three.jsonl]}
sinks:
  - http: {url: "https://127.0.0.1/", tls: {ca: nowhere.pem}}
`

// TestASignalWhileProbing: what could not be built is told as it is when the others run, and
// the signal does not hide it.
func TestASignalWhileProbing(t *testing.T) {
	for name, c := range map[string]struct {
		flags []string
		code  int
		text  string
	}{
		"the others on their own": {nil, exitFailed, `"error_message":"1 of 3 pipelines failed: lacks: `},
		"--fail-fast":             {[]string{"--fail-fast"}, exitEnvironment, `"reason":"environment"`},
	} {
		t.Run(name, func(t *testing.T) {
			silent, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer silent.Close()
			probed := make(chan net.Conn, 1)
			go func() {
				if conn, err := silent.Accept(); err == nil {
					probed <- conn
				}
			}()
			f := startFleet(t, map[string]string{"lacks": lacks, "probes": fmt.Sprintf(`pipeline: probes
source:
  kafka: {brokers: ["%s"], topics: [t]}
sinks:
  - file: {path: probes.jsonl}
`, silent.Addr())}, c.flags...)
			select {
			case conn := <-probed:
				defer conn.Close()
			case <-f.dumped:
				t.Fatalf("it does not probe:\n%s", f.read(""))
			}
			f.signal(syscall.SIGTERM)
			code, last := f.end(), lastLine(f.log.String())
			if code != c.code || !strings.Contains(last, c.text) || !strings.Contains(last, `"failed_pipelines":"lacks"`) {
				t.Errorf("exit code %d\n%s", code, f.log.String())
			}
		})
	}
}

// TestASinglePipelineThatCannotBeBuilt is named as one whose probe fails.
func TestASinglePipelineThatCannotBeBuilt(t *testing.T) {
	file := filepath.Join(t.TempDir(), "p.yaml")
	if err := os.WriteFile(file, []byte(lacks), 0o644); err != nil {
		t.Fatal(err)
	}
	r := startCommand(t, nil, nil, "run", file)
	code, last := r.end(), lastLine(r.log.String())
	if code != exitEnvironment || !strings.Contains(last, `"failed_pipelines":"lacks"`) {
		t.Errorf("exit code %d\n%s", code, r.log.String())
	}
}

func lastLine(log string) string {
	lines := strings.Split(strings.TrimSpace(log), "\n")
	return lines[len(lines)-1]
}

// release lets the server answer, from the first call on.
func (h *holding) release() {
	go func() {
		for range 3 {
			select {
			case <-h.asked:
			case <-time.After(patience):
				return
			}
		}
	}()
	close(h.answer)
}
