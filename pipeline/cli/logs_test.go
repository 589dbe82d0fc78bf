package cli

import (
	"bufio"
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/penstockio/penstock/pipeline/catalog"
)

const oneLogLine = `{"timestamp":"2026-11-20T11:00:15.005Z","level":"info","event_name":"log","schema_version":"1.1","service_name":"penstock","service_instance_id":"h-1","message":"here"}` + "\n"

// TestALogIsShownAsItComes: each line of standard input is there before the next one is written.
func TestALogIsShownAsItComes(t *testing.T) {
	in, write := io.Pipe()
	read, out := io.Pipe()
	code := make(chan int, 1)
	go func() {
		code <- execute(t.Context(), []string{"logs", "fmt"}, streams{in, out, io.Discard}, catalog.Kinds())
		out.Close()
	}()
	lines := bufio.NewScanner(read)
	for i := range 3 {
		if _, err := io.WriteString(write, oneLogLine); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			lines.Scan() // the date
		}
		if !lines.Scan() || !strings.HasSuffix(lines.Text(), "INFO  here") {
			t.Fatalf("line %d: %q, %v", i, lines.Text(), lines.Err())
		}
	}
	write.Close()
	if lines.Scan() {
		t.Errorf("more than was written: %q", lines.Text())
	}
	if c := <-code; c != exitDone {
		t.Errorf("exit code %d", c)
	}
}

// TestALogWithoutLineEndsIsRefused: what is no log does not fill the memory.
func TestALogWithoutLineEndsIsRefused(t *testing.T) {
	for _, c := range []struct {
		in   string
		code int
		want string
	}{
		{strings.Repeat("x", maxLogLine+1), exitExpectation, "standard input:1: the line is longer than 4 MiB"},
		{oneLogLine + strings.Repeat("x", maxLogLine+1), exitExpectation, "standard input:2: the line is longer"},
		{strings.Repeat("x", 2*maxLogLine) + "\nbad\n" + oneLogLine, exitExpectation, "standard input:2: "}, // the rest is judged
		{strings.Repeat("x", 2*maxLogLine) + "\n" + oneLogLine, exitExpectation, "1 of 2 lines are wrong"},
		{strings.TrimSuffix(oneLogLine, "\n"), exitDone, "1 line is right"},
		{strings.ReplaceAll(oneLogLine, "\n", "\r\n"), exitDone, "1 line is right"},
		{strings.Replace(oneLogLine, `"h-1"`, `"NaN","x":null`, 1), exitExpectation, "1 of 1 line is wrong"}, // it has two faults
		{strings.Repeat("no line\n", mostProblems+5), exitExpectation, "105 of 105 lines are wrong"},
	} {
		var out, errs bytes.Buffer
		code := execute(t.Context(), []string{"logs", "validate"}, streams{strings.NewReader(c.in), &out, &errs}, catalog.Kinds())
		if code != c.code || !strings.Contains(out.String()+errs.String(), c.want) {
			t.Errorf("%.20q: exit code %d, %s", c.in, code, errs.String())
		}
		if n := strings.Count(out.String(), "\n"); n > mostProblems+1 || strings.HasPrefix(c.in, "no line") && !strings.HasSuffix(out.String(), "and 5 more\n") {
			t.Errorf("%d lines: %s", n, out.String())
		}
		if strings.Contains(out.String(), `\n`) {
			t.Errorf("an end of line within a line: %s", out.String())
		}
	}
}

// TestWhatFollowsALongLineIsShown: of a line that is longer than any of a log fmt shows the beginning, and then
// the rest of the log.
func TestWhatFollowsALongLineIsShown(t *testing.T) {
	var out, errs bytes.Buffer
	in := "begins" + strings.Repeat("x", 2*maxLogLine) + "ends\n" + oneLogLine
	code := execute(t.Context(), []string{"logs", "fmt"}, streams{strings.NewReader(in), &out, &errs}, catalog.Kinds())
	shown := out.String()
	if code != exitDone || !strings.HasPrefix(shown, "begins") || strings.Contains(shown, "ends\n") ||
		!strings.Contains(shown, "longer than 4 MiB: the rest of the line is left out") || !strings.HasSuffix(shown, "INFO  here\n") {
		t.Errorf("exit code %d, %s, ... %s", code, errs.String(), shown[max(len(shown)-200, 0):])
	}
}
