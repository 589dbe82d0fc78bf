//go:build unix

package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const steeredFile = `pipeline: steered
source:
  replay: {files: [input.jsonl]}
stages:
  - http: {url: "%s/{o}", into: weather}
    timeout: 10m
    deadline: 10m
    limit: api
sinks:
  - stdout: {}
limits:
  drain: 1h
  rates: {api: {rate: 100/s, burst: 10}}
admin: {listen: "unix:%s", commands: true}
log: {format: json}
`

// startSteered runs a pipeline of three records, each of which waits for the server, and which takes commands at a socket.
func startSteered(t *testing.T, h *holding, text string) (r *running, file string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "s") // short: a socket's path has 108 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	file = filepath.Join(dir, "p.yaml")
	writeFile(t, file, fmt.Sprintf(text, h.URL, filepath.Join(dir, "s")))
	writeFile(t, filepath.Join(dir, "input.jsonl"), `{"payload":"{\"o\":\"a\"}"}`+"\n"+`{"payload":"{\"o\":\"b\"}"}`+"\n"+`{"payload":"{\"o\":\"c\"}"}`+"\n")
	r = startDaemon(t, file)
	r.socket = filepath.Join(dir, "s")
	for range 3 {
		select {
		case <-h.asked:
		case <-r.dumped:
			r.read("a third request")
		}
	}
	r.read(`"event_name":"process.ready"`)
	return r, file
}

// commandLine reads the next line of command.done.
func (r *running) commandLine() map[string]any {
	r.t.Helper()
	m := map[string]any{}
	if err := json.Unmarshal([]byte(r.read(`"event_name":"command.done"`)), &m); err != nil {
		r.t.Fatal(err)
	}
	return m
}

// TestTheLevelOfARunningProcess: the command line changes it over the endpoint, the log says who has asked, and from then on has the lines of that level.
func TestTheLevelOfARunningProcess(t *testing.T) {
	h := startHolding(t)
	r, file := startSteered(t, h, steeredFile)
	code, out, errs := command(t, "loglevel", "debug", file)
	if code != exitDone || out != "loglevel: debug (it was info)\n" || errs != "" {
		t.Errorf("%d\n%s%s", code, out, errs)
	}
	m := r.commandLine()
	if m["command"] != "loglevel" || m["outcome"] != "done" || m["was"] != "info" || m["is"] != "debug" || m["level"] != "info" ||
		m["asked_by"] != whoAsks() || !strings.Contains(fmt.Sprint(m["asked_from"]), fmt.Sprint(os.Getuid())) && m["asked_from"] != "unix" {
		t.Errorf("%v", m)
	}
	code, out, errs = command(t, "loglevel", "error", file, "--for", "100ms", "--json")
	if code != exitDone || out != `{"command":"loglevel","was":"debug","is":"error"}`+"\n" {
		t.Errorf("%d\n%s%s", code, out, errs)
	}
	if m := r.commandLine(); m["for_ms"] != 100.0 || m["is"] != "error" {
		t.Errorf("%v", m)
	}
	if m := r.commandLine(); m["asked_from"] != "timer" || m["asked_by"] != whoAsks() || m["was"] != "error" || m["is"] != "debug" {
		t.Errorf("at the end of its time: %v", m)
	}
	for name, tt := range map[string]struct {
		args []string
		code int
		want string
	}{
		"no such level":  {[]string{"loglevel", "loud", file}, exitUsage, "level is debug, info, warn, error or disabled"},
		"no level":       {[]string{"loglevel"}, exitUsage, "loglevel takes LEVEL"},
		"no time":        {[]string{"loglevel", "info", file, "--for", "0s"}, exitUsage, "--for 0s"},
		"nobody listens": {[]string{"loglevel", "info", "--addr", "unix:" + r.socket + "-none"}, exitEnvironment, "nothing listens there"},
	} {
		if code, out, errs := command(t, tt.args...); code != tt.code || out != "" || !strings.Contains(errs, tt.want) {
			t.Errorf("%s: %d\n%s%s", name, code, out, errs)
		}
	}
	close(h.answer)
	if code := r.end(); code != exitDone {
		t.Errorf("exit code %d\n%s", code, r.log.String())
	}
}

// TestSteeringARunningProcess: what the command line asks of a process that runs two pipelines.
func TestSteeringARunningProcess(t *testing.T) {
	h := startHolding(t)
	dir, err := os.MkdirTemp("", "s")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket := filepath.Join(dir, "s")
	one, other := filepath.Join(dir, "one.yaml"), filepath.Join(dir, "other.yaml")
	writeFile(t, one, strings.Replace(fmt.Sprintf(steeredFile, h.URL, socket), "pipeline: steered", "pipeline: one", 1))
	writeFile(t, other, "pipeline: other\nsource:\n  tail: {files: [grows.log], position: position}\nsinks:\n  - file: {path: out.log}\n")
	apart := filepath.Join(dir, "apart.yaml")
	writeFile(t, apart, "pipeline: apart\nsource:\n  tail: {files: [grows.log], position: apart}\nsinks:\n  - file: {path: apart.log}\n")
	writeFile(t, filepath.Join(dir, "input.jsonl"), strings.Repeat(`{"payload":"{\"o\":\"a\"}"}`+"\n", 3))
	writeFile(t, filepath.Join(dir, "grows.log"), "{}\n")
	r := startDaemonOf(t, dir)
	r.socket = socket
	r.read(`"event_name":"process.ready"`)
	at := "unix:" + socket
	for name, tt := range map[string]struct {
		args []string
		code int
		out  string
		errs string
	}{
		"a rate":                {[]string{"rate", "api", "5/s", "--addr", at}, exitDone, "rate api: 5/s, burst 10 (it was 100/s, burst 10)\n", ""},
		"no such rate":          {[]string{"rate", "apy", "5/s", "--addr", at}, exitUsage, "", `there is no rate "apy": there is api`},
		"no rate at all":        {[]string{"rate", "api", "often", "--addr", at}, exitUsage, "", "often is no rate"},
		"no burst":              {[]string{"rate", "api", "5/s", "--burst", "0"}, exitUsage, "", "--burst 0"},
		"which of two":          {[]string{"drain", "--addr", at}, exitUsage, "", "the process runs one, other: say which by --pipeline, or by its file"},
		"no such pipeline":      {[]string{"drain", "--addr", at, "--pipeline", "none"}, exitUsage, "", `there is no pipeline "none" here: there is one, other`},
		"one is not run":        {[]string{"pause", one, apart}, exitEnvironment, "", "the process that listens at " + at + " does not run apart"},
		"no lane":               {[]string{"pause", one, "--lane", ""}, exitUsage, "", "--lane names no partition"},
		"no lane to go on":      {[]string{"resume", one, "--lane="}, exitUsage, "", "--lane names no partition"},
		"no number":             {[]string{"workers", "http", "many", one}, exitUsage, "", "many is no number of workers"},
		"no position":           {[]string{"skip", "JFK", one}, exitUsage, "", "a key is given with --key"},
		"no base64":             {[]string{"skip", "!", one, "--key-base64"}, exitUsage, "", "no base64"},
		"a key in two ways":     {[]string{"skip", "a", one, "--key-base64", "--key"}, exitUsage, "", "give one of them"},
		"nothing listens there": {[]string{"pause", "--addr", at + "-none"}, exitEnvironment, "", "nothing listens there"},
	} {
		if code, out, errs := command(t, tt.args...); code != tt.code || out != tt.out || !strings.Contains(errs, tt.errs) || tt.errs == "" && errs != "" {
			t.Errorf("%s: %d\n%s%s", name, code, out, errs)
		}
	}
	// The one that follows a file would never end; the other one does when its records are answered.
	if code, out, errs := command(t, "drain", "--addr", at, "--pipeline", "other", "--json"); code != exitDone || out != `{"command":"drain","pipeline":"other","is":"stopped"}`+"\n" {
		t.Errorf("%d\n%s%s", code, out, errs)
	}
	if code, out, errs := command(t, "drain", "--addr", at, "--pipeline", "other"); code != exitFailed || !strings.Contains(errs, "the pipeline other has ended") {
		t.Errorf("once more: %d\n%s%s", code, out, errs)
	}
	if code, out, errs := command(t, "status", "--addr", at); code != exitDone || strings.Count(out, " stopped ") != 1 {
		t.Errorf("%d\n%s%s", code, out, errs)
	}
	close(h.answer)
	if code := r.end(); code != exitDone || !strings.Contains(r.log.String(), `"exit_code":0,"reason":"completed"`) {
		t.Errorf("exit code %d\n%s", code, r.log.String())
	}
}

// startDaemonOf runs all files of a folder in one process.
func startDaemonOf(t *testing.T, dir string) *running {
	t.Helper()
	return startCommand(t, nil, nil, "run", filepath.Join(dir, "one.yaml"), filepath.Join(dir, "other.yaml"))
}
