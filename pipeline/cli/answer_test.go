//go:build unix

package cli

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What a server says when it refuses stands in the dead letter, and in no log: it may quote
// the record. What is said in both is the path as the file has it, and a limit that ran out.
func TestAServersWordsStayOutOfTheLog(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "slow") {
			<-r.Context().Done()
			return
		}
		w.WriteHeader(http.StatusUnprocessableEntity)
		fmt.Fprint(w, "no such city: canary")
	}))
	defer server.Close()
	dir := t.TempDir()
	file := filepath.Join(dir, "ask.yaml")
	text := `pipeline: ask
source: {replay: {files: [in.jsonl], as: value}}
stages:
  - name: weather
    http: {url: "` + server.URL + `/${TOKEN:-tok123}/weather/{city}", into: weather}
    timeout: 70ms
    retry: {attempts: 1}
sinks: [{stdout: {}}]
dead_letter: {file: {path: dead.jsonl}}
log: {format: json}
`
	for name, content := range map[string]string{file: text, filepath.Join(dir, "in.jsonl"): `{"city":"canary"}` + "\n" + `{"city":"slow"}` + "\n"} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r := startDaemon(t, file)
	if code := r.end(); code != 0 {
		t.Fatalf("exit code %d:\n%s", code, r.log.String())
	}
	for part, in := range map[string]bool{
		"/${TOKEN:-tok123}/weather/{city}: answered status 422": true, "no answer within 70ms": true,
		"canary": false, "deadline exceeded": false, "/tok123/": false,
	} {
		if strings.Contains(r.log.String(), part) != in {
			t.Errorf("the log has %q: %v\n%s", part, !in, r.log.String())
		}
	}
	dead, err := os.ReadFile(filepath.Join(dir, "dead.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(dead), `"penstock-detail","no such city: canary"`); n != 1 {
		t.Errorf("%d dead letters say what the server said:\n%s", n, dead)
	}
}
