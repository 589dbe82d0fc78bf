//go:build unix

package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tidwall/gjson"
)

// TestReplayOfALetterOfALetter has a pipeline read what was a dead letter of another one. Its own letter
// says nothing of what the old headers say: the record goes on with its own value, and with all
// headers that it came with.
func TestReplayOfALetterOfALetter(t *testing.T) {
	own := []string{"penstock-mine", "keep", "penstock-pipeline", "first", "penstock-step", "old", "penstock-reason", "sql", "penstock-topic", "t",
		"penstock-partition", "0", "penstock-offset", "1", "penstock-detail", "said before", "penstock-failures", "7",
		"penstock-value", `{"n":666}`, "penstock-redacted", "fields", "penstock-replays", "9"}
	for _, to := range []string{"step", "start"} {
		t.Run(to, func(t *testing.T) {
			o, dir := newOutage(t), t.TempDir()
			o.fail.Store(true)
			at := func(name string) string { return filepath.Join(dir, name) }
			in := fmt.Sprintf(`{"topic":"t","partition":2,"offset":41,"headers":[%s],"payload_json":{"n":1}}`+"\n", quotedList(own))
			text := fmt.Sprintf(`pipeline: second
source:
  replay: {files: [in.jsonl]}
stages:
  - http: {url: "http://%s/{n}", into: answer}
    name: weather
    breaker: off
    retry: {attempts: 1}
sinks:
  - file: {path: out.jsonl, as: fixture}
dead_letter:
  file: {path: dead.jsonl}
log: {format: json}
`, o.address)
			for name, text := range map[string]string{"in.jsonl": in, "p.yaml": text} {
				if err := os.WriteFile(at(name), []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if code, _, log := penstock(t, "run", at("p.yaml")); code != exitDone {
				t.Fatalf("the run ended with %d\n%s", code, log)
			}
			letter := linesOf(t, at("dead.jsonl"))[0]
			_, shown, _ := penstock(t, "dead-letter", "show", at("p.yaml"), "t/2@41")
			if !strings.Contains(shown, "weather") || strings.Contains(shown, "7 of its parts failed") || strings.Contains(shown, "at the step") {
				t.Errorf("shown is\n%s", shown)
			}
			o.fail.Store(false)
			code, out, log := penstock(t, "dead-letter", "replay", at("p.yaml"), "--to", to)
			if code != exitDone || !strings.Contains(out, "1 delivered, 0 filtered, 0 rejected again\n") {
				t.Fatalf("the replay ended with %d\n%s%s\nof %s", code, out, log, letter)
			}
			got := linesOf(t, at("out.jsonl"))[0]
			if headers := gjson.Get(got, "headers").Raw; gjson.Get(got, "payload_json.n").Int() != 1 || headers != "["+quotedList(own)+"]" {
				t.Errorf("delivered is %s", got)
			}
		})
	}
}

// quotedList gives texts as the elements of a JSON array.
func quotedList(texts []string) string {
	var b strings.Builder
	for i, text := range texts {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%q", text)
	}
	return b.String()
}
