package query

import (
	"encoding/json"
	"os/exec"
	"reflect"
	"strings"
	"testing"

	"github.com/penstockio/penstock/pipeline/event"
)

const threeLines = `{"event_name":"step.stats","step":"a","records_out":2,"busy_ratio":0.500}
{"event_name":"step.stats","step":"b","records_out":9007199254740993,"busy_ratio":1.000}
{"event_name":"log","message":"x"}
`

func TestRun(t *testing.T) {
	for _, c := range []struct {
		mode    Mode
		program string
		want    []any
	}{
		{Inputs, `[inputs | select(.step) | .records_out] | add`, []any{9007199254740995}},
		{Slurp, `length, (map(.busy_ratio) | max)`, []any{3, 1.0}},
		{Each, `select(.step == $step) | {step, n: .records_out}`, []any{map[string]any{"step": "a", "n": 2}}},
		{Inputs, `null, input.step`, []any{nil, "a"}},
	} {
		got, err := Run(t.Context(), c.mode, c.program, []byte(threeLines), map[string]any{"$step": "a"})
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("jq %s '%s': got %v, %v, want %v", c.mode, c.program, got, err, c.want)
		}
	}
}

func TestRunFails(t *testing.T) {
	for _, c := range []struct{ program, log, want string }{
		{`.a |`, threeLines, "parsing the jq program"},
		{`nosuch`, threeLines, "compiling the jq program"},
		{`.step | keys`, threeLines, "running the jq program"},
		{`.`, threeLines + "panic: x\n", "line 4 of the log"},
	} {
		if _, err := Run(t.Context(), Each, c.program, []byte(c.log), nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.program, err, c.want)
		}
	}
}

// TestCheckJQ: names of events, and keys; those that the program makes itself are its own.
func TestCheckJQ(t *testing.T) {
	for program, want := range map[string]string{
		`select(.event_name == "step.stats") | {step, p99: .lat_p99_ms, "of it": 1} | .p99, ."of it"`:                            "",
		`[inputs | select(.event_name == "error.stats")] | group_by(.error_type) | map({key: .[0].error_type, n: 1}) | .[0].key`: "",
		`.per_second = .records_in / 60 | .per_second`:                                                                           "",
		`select(.event_name == "stage.stats")`:                                                                                   "there is no event stage.stats",
		`select(.event_name == "step.stats").lat`:                                                                                "no event has a key lat",
		`{step: .step, stage: .[0].stage}`:                                                                                       "no event has a key stage",
		`{stage}`:                                                                                                                "no event has a key stage",
		`.["stage"]`:                                                                                                             "no event has a key stage",
		`if .step then .stage else empty end`:                                                                                    "no event has a key stage",
		`reduce inputs as {$stage} (0; . + 1)`:                                                                                   "no event has a key stage",
		`.a |`:                                                                                                                   "parsing the jq program",
		`(reduce .[] as $x ([]; . + [$x]))[] | if .step then 1 else 2 end`:                                                       "",
		`reduce .[] as $x ([]; . + [$x])[]`:                                                                                      "jq 1.6 takes nothing behind reduce",
		`foreach .[] as $x (0; . + 1).step`:                                                                                      "jq 1.6 takes nothing behind reduce",
		`if .step then . else . end | .step, if . then . else . end.step`:                                                        "jq 1.6 takes nothing behind reduce",
		`if .step then 1 end`:                                                                                                    "jq 1.6 has no if without else",
	} {
		err := CheckJQ(program, event.Registry)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", program, err, want)
		}
	}
}

// TestNothingOfItIsInTheDaemon: jq is for tests and generators, and no part of the binary.
func TestNothingOfItIsInTheDaemon(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "-json=ImportPath", "github.com/penstockio/penstock/cmd/penstock")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for dec := json.NewDecoder(strings.NewReader(string(out))); dec.More(); seen++ {
		var p struct{ ImportPath string }
		if err := dec.Decode(&p); err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(p.ImportPath, "github.com/itchyny/") || strings.HasSuffix(p.ImportPath, "pipeline/dashboards/internal/query") {
			t.Errorf("the daemon has %s", p.ImportPath)
		}
	}
	if seen < 100 {
		t.Errorf("%d packages looked at", seen)
	}
}
