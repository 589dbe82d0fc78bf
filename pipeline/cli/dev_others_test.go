//go:build unix

package cli

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// TestOthersFindTheBrokerOfDev: lag and dead-letter reach the broker of dev as its log says, and with its port in
// the file without a word.
func TestOthersFindTheBrokerOfDev(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free := l.Addr().String()
	_, port, _ := net.SplitHostPort(free)
	_ = l.Close()
	hint := regexp.MustCompile(`penstock lag and penstock dead-letter find it with (--set) (source\.kafka\.brokers=\[[0-9.:]+\])`)
	for _, c := range []struct {
		name, brokers string
		flags         []string
		told          bool
	}{
		{"told", "127.0.0.1:1", nil, true},
		{"port", free, []string{"--port", port}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "p.yaml")
			text := fmt.Sprintf("pipeline: p\nsource:\n  kafka: {brokers: ['%s'], topics: [t]}\nsinks:\n  - stdout: {}\ndead_letter:\n  kafka: {topic: dead}\n", c.brokers)
			if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			r := startCommand(t, nil, nil, append([]string{"dev", file, "--log-format", "json"}, c.flags...)...)
			r.read(`"event_name":"process.ready"`)
			more := []string{}
			if found := hint.FindStringSubmatch(r.log.String()); c.told != (found != nil) {
				t.Errorf("the log tells %q", found)
			} else if c.told {
				more = found[1:]
			}
			for _, command := range []string{"lag", "dead-letter ls", "dead-letter replay"} {
				if code, out, log := penstock(t, append(append(strings.Fields(command), file), more...)...); code != exitDone {
					t.Errorf("%s %v ended with %d\n%s%s", command, more, code, out, log)
				}
			}
			r.signal(syscall.SIGTERM)
			if code := r.end(); code != exitDone {
				t.Errorf("exit code %d\n%s", code, r.log.String())
			}
		})
	}
}

// TestDevMovesAllPipelines: several pipelines of dev meet at its one broker.
func TestDevMovesAllPipelines(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return file
	}
	first := write("first.yaml", "pipeline: first\nsource:\n  kafka: {brokers: ['127.0.0.1:1'], topics: [in]}\nsinks:\n  - kafka: {topic: between}\n")
	second := write("second.yaml", "pipeline: second\nsource:\n  kafka: {brokers: ['127.0.0.1:1'], topics: [between]}\nsinks:\n  - stdout: {}\n")
	input := write("input.jsonl", `{"n":1}`+"\n")
	r := startCommand(t, nil, nil, "dev", first, second, "--load", "in="+input, "--load", "other="+input, "--as", "value", "--log-format", "json")
	if line, err := bufio.NewReader(r.out).ReadString('\n'); err != nil || line != `{"n":1}`+"\n" {
		t.Errorf("standard output has %q, %v", line, err)
	}
	r.signal(syscall.SIGTERM)
	if code := r.end(); code != exitDone {
		t.Errorf("exit code %d\n%s", code, r.log.String())
	}
	for _, want := range []string{
		"with topics in, between, other, 4 partitions each",
		"nothing reads the topic other: what the sources read of Kafka is in, between",
	} {
		if !strings.Contains(r.log.String(), want) {
			t.Errorf("the log does not say %q:\n%s", want, r.log.String())
		}
	}
}
