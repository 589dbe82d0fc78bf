//go:build unix

package cli

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/penstockio/penstock/pipeline/catalog"
	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
)

// command runs a command line within the test, and gives its exit code and what it wrote.
func command(t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	code = execute(context.Background(), args, streams{strings.NewReader(""), &o, &e}, catalog.Kinds())
	return code, o.String(), e.String()
}

// freePort gives a port of this machine that nobody has.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

func writeFile(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

const guarded = `pipeline: guarded
source:
  replay: {files: [input.jsonl]}
stages:
  - http: {url: "%s/{o}", into: weather}
    timeout: 10m
    deadline: 10m
sinks:
  - stdout: {}
limits: {drain: 1h}
admin:
  listen: 127.0.0.1:%s
  tls: {cert: tls/server.pem, key: tls/server-key.pem}
  token_file: token
  pprof: true
log: {format: json}
`

// TestStatusOfAGuardedEndpoint: with TLS and a token the file is enough to ask its process, also
// after both have been renewed; without the token, or without TLS, nobody gets an answer.
func TestStatusOfAGuardedEndpoint(t *testing.T) {
	h := startHolding(t)
	dir := t.TempDir()
	file, token, port := filepath.Join(dir, "p.yaml"), filepath.Join(dir, "token"), freePort(t)
	certs, err := kafkatest.MakeCerts(filepath.Join(dir, "tls"))
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, file, fmt.Sprintf(guarded, h.URL, port))
	writeFile(t, filepath.Join(dir, "input.jsonl"), `{"payload":"{\"o\":\"a\"}"}`+"\n")
	writeFile(t, token, "canary-one\n")
	r := startDaemon(t, file)
	r.read(`"event_name":"process.ready"`)
	<-h.asked
	for _, args := range [][]string{
		{file},
		{file, "--addr", "localhost:" + port},
		{"--addr", "https://127.0.0.1:" + port, "--token-file", token, "--ca", certs.CA},
		{file, "--ca", certs.CA},
	} {
		code, out, errs := command(t, append([]string{"status"}, args...)...)
		if code != exitDone || !strings.Contains(out, "PIPELINE") || !strings.Contains(out, "guarded  ") || errs != "" {
			t.Errorf("status %v: %d\n%s%s", args, code, out, errs)
		}
	}
	wrong := filepath.Join(dir, "wrong")
	writeFile(t, wrong, "canary-wrong")
	for name, tt := range map[string]struct {
		args []string
		code int
		want string
	}{
		"wrong token":  {[]string{file, "--token-file", wrong}, exitEnvironment, "--token-file"},
		"no token":     {[]string{"--addr", "https://127.0.0.1:" + port, "--ca", certs.CA}, exitEnvironment, "--token-file"},
		"no authority": {[]string{"--addr", "https://127.0.0.1:" + port}, exitEnvironment, "authority that has signed"},
		"no TLS":       {[]string{"--addr", "127.0.0.1:" + port, "--token-file", token}, exitFailed, "https://"},
		"no CA file":   {[]string{file, "--ca", filepath.Join(dir, "none")}, exitEnvironment, "--ca"},
		"CA of text":   {[]string{file, "--ca", token}, exitEnvironment, "no PEM certificate"},
		"no such file": {[]string{file, "--token-file", filepath.Join(dir, "none")}, exitEnvironment, "--token-file"},
	} {
		code, out, errs := command(t, append([]string{"status"}, tt.args...)...)
		if code != tt.code || out != "" || !strings.Contains(errs, tt.want) || strings.Contains(errs, "canary") {
			t.Errorf("%s: %d, want %d\n%s%s", name, code, tt.code, out, errs)
		}
	}
	old := &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
	if conn, err := tls.Dial("tcp", "127.0.0.1:"+port, old); err == nil {
		conn.Close()
		t.Error("TLS 1.1 was taken")
	}
	// Both are renewed while the process runs; it looks at the token once in a second.
	if _, err := kafkatest.MakeCerts(filepath.Join(dir, "tls")); err != nil {
		t.Fatal(err)
	}
	writeFile(t, token, "canary-two\n")
	for {
		code, out, errs := command(t, "status", file)
		if code == exitDone && strings.Contains(out, "guarded") {
			break
		}
		if !strings.Contains(errs, "401") {
			t.Fatalf("%d\n%s%s", code, out, errs)
		}
		select {
		case <-r.dumped:
			t.Fatal("the new token is not taken")
		default:
		}
	}
	// No secret is shown, neither by the endpoint nor in the log.
	client, err := (&endpointFlags{}).open(globalsFor(t), []string{file})
	if err != nil {
		t.Fatal(err)
	}
	var config struct {
		Pipelines []struct{ Pipeline, File, YAML string }
	}
	if err := client.get(t.Context(), "/api/v1/config", &config); err != nil || len(config.Pipelines) != 1 ||
		!strings.Contains(config.Pipelines[0].YAML, "token_file: "+token) || config.Pipelines[0].File != file {
		t.Errorf("%v %+v", err, config)
	}
	close(h.answer)
	r.signal(syscall.SIGTERM)
	if code := r.end(); code != exitDone || strings.Contains(r.log.String(), "canary") {
		t.Errorf("exit code %d\n%s", code, r.log.String())
	}
}

// globalsFor gives the globals of a command line without flags.
func globalsFor(t *testing.T) *globals {
	t.Helper()
	_, g := newRoot(streams{strings.NewReader(""), &bytes.Buffer{}, &bytes.Buffer{}}, catalog.Kinds())
	return g
}

// TestStatus: the table has each pipeline, and beneath it what is wrong; --json is the answer of
// the endpoint.
func TestStatus(t *testing.T) {
	f := startFleet(t, map[string]string{"misses": misses})
	f.asked()
	at := "unix:" + f.socket
	code, out, errs := command(t, "status", "--addr", at)
	for _, want := range []string{"goes-on  ", "misses    failed ", "nowhere.jsonl", "not live: ", "not ready: ", " IN FLIGHT "} {
		if code != exitDone || !strings.Contains(out, want) {
			t.Errorf("status: %d, no %q in\n%s%s", code, want, out, errs)
		}
	}
	code, out, errs = command(t, "status", "--json", "--addr", at)
	var all struct {
		Pipelines []struct {
			Pipeline string
			In       int `json:"records_in_total"`
		}
	}
	if err := json.Unmarshal([]byte(out), &all); err != nil || code != exitDone || len(all.Pipelines) != 2 || all.Pipelines[0].In != 3 {
		t.Errorf("status --json: %d %v\n%s%s", code, err, out, errs)
	}
	close(f.server.answer)
	f.end()
}

// TestSocketBesideTheFile: a relative path of a socket is one beside the file for the process and for who asks it, whatever
// folder each works in.
func TestSocketBesideTheFile(t *testing.T) {
	dir, err := os.MkdirTemp("", "a") // short: a socket's path has 108 bytes
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "p.yaml")
	h := startHolding(t)
	writeFile(t, filepath.Join(dir, "input.jsonl"), `{"payload":"{\"o\":\"a\"}"}`+"\n")
	writeFile(t, file, fmt.Sprintf(`pipeline: p
source:
  replay: {files: [input.jsonl]}
stages:
  - http: {url: "%s/{o}", into: weather}
    timeout: 10m
    deadline: 10m
sinks:
  - stdout: {}
admin: {listen: "unix:s"}
log: {format: json}
`, h.URL))
	r := startDaemon(t, file)
	r.read(`"event_name":"process.ready"`)
	<-h.asked
	if _, err := os.Stat(filepath.Join(dir, "s")); err != nil {
		t.Error(err)
	}
	t.Chdir(t.TempDir())
	if code, out, errs := command(t, "status", file); code != exitDone || !strings.Contains(out, "PIPELINE") {
		t.Errorf("%d\n%s%s", code, out, errs)
	}
	close(h.answer)
	if code := r.end(); code != exitDone {
		t.Errorf("exit code %d\n%s", code, r.log.String())
	}
}

// TestFirstFilesCanBeAsked: the file that init writes and that of README.md have an endpoint, which status and why ask.
func TestFirstFilesCanBeAsked(t *testing.T) {
	dir := t.TempDir()
	begun, shown := filepath.Join(dir, "begun.yaml"), filepath.Join(dir, "shown.yaml")
	page, err := os.ReadFile(filepath.Join(repo, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, text, ok := strings.Cut(string(page), "```yaml\npipeline: late-flights\n")
	text, _, closed := strings.Cut(text, "```")
	if !ok || !closed {
		t.Fatal("README.md has no pipeline file")
	}
	writeFile(t, shown, "pipeline: late-flights\n"+text)
	if code, _, errs := command(t, "init", begun); code != exitDone {
		t.Fatal(errs)
	}
	for _, file := range []string{begun, shown} {
		if o, _, err := endpointOf(globalsFor(t), []string{file}, false); err != nil || o.Address != defaultEndpoint {
			t.Errorf("%s: %v, asks %q", file, err, o.Address)
		}
	}
}

// TestStatusSaysWhatToDo when nothing can be asked.
func TestStatusSaysWhatToDo(t *testing.T) {
	dir := t.TempDir()
	plain, bad, token := filepath.Join(dir, "plain.yaml"), filepath.Join(dir, "bad.yaml"), filepath.Join(dir, "token")
	writeFile(t, token, "canary\n")
	writeFile(t, plain, "pipeline: p\nsource:\n  replay: {files: [in.jsonl]}\nsinks:\n  - stdout: {}\n")
	writeFile(t, bad, "pipeline: p\n")
	for name, tt := range map[string]struct {
		args []string
		code int
		want string
	}{
		"nothing listens": {[]string{"--addr", "127.0.0.1:" + freePort(t)}, exitEnvironment, "admin: {listen: 127.0.0.1:"},
		"no section":      {[]string{plain}, exitUsage, "write admin: {listen: 127.0.0.1:9600}"},
		"in another file": {[]string{plain}, exitUsage, "of a process that runs several files name also the one that has it, or give --addr"},
		"a bad file":      {[]string{bad}, exitUsage, "--addr without the file"},
		"a bad address":   {[]string{"--addr", "9600"}, exitUsage, "host:port"},
		"in the clear":    {[]string{"--addr", "10.0.0.1:9600", "--token-file", token}, exitUsage, "in the clear"},
		"no token in it":  {[]string{"--token-file", plain}, exitEnvironment, "--token-file"},
	} {
		code, out, errs := command(t, append([]string{"status"}, tt.args...)...)
		if code != tt.code || out != "" || !strings.Contains(errs, tt.want) {
			t.Errorf("%s: %d, want %d\n%s%s", name, code, tt.code, out, errs)
		}
	}
}
