//go:build real

package cli

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// What the demo leaves in the topic, as kcat reads it with the line that the demo
// prints: right, complete, in order per origin.
func TestKcatReadsTheResult(t *testing.T) {
	daemon := filepath.Join(t.TempDir(), "penstock")
	if out, err := exec.Command("go", "build", "-o", daemon, "../../cmd/penstock").CombinedOutput(); err != nil {
		t.Fatalf("building the daemon: %v\n%s", err, out)
	}
	c := exec.Command(daemon, "demo", "--keep")
	c.Stderr = os.Stderr
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Process.Kill(); _ = c.Wait() }()
	line := ""
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if l := strings.TrimSpace(lines.Text()); strings.HasPrefix(l, "kcat ") {
			line = l
			break
		}
	}
	if line == "" {
		t.Fatal("the demo ended without a kcat line")
	}
	args := strings.Fields(line)
	text, err := exec.Command(args[0], args[1:]...).Output()
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	found := byOrigin{}
	for l := range strings.Lines(string(text)) {
		one := demoFlight{}
		if err := json.Unmarshal([]byte(l), &one); err != nil {
			t.Fatal(err)
		}
		origin, _ := one["origin"].(string)
		found[origin] = append(found[origin], one)
	}
	want, _, err := expectedFlights("../../testdata/flights/flights.jsonl", "../../testdata/flights/airports.csv")
	if err != nil {
		t.Fatal(err)
	}
	if d := found.differ(want); d != "" {
		t.Error(d)
	}
	t.Logf("kcat reads %d records", found.count())
	_ = c.Process.Signal(syscall.SIGINT)
	for lines.Scan() {
	}
}
