package cli

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"

	"github.com/penstockio/penstock/pipeline/event"
	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
)

// A broker runs the tests beside a broker, when they were built for a real one.
type broker struct{ m *testing.M }

func (b broker) Run() int {
	code := kafkatest.RunMain(b.m)
	if code == 0 {
		if err := goleak.Find(lockedUp); err != nil {
			fmt.Fprintln(os.Stderr, "a test left goroutines behind:", err)
			code = 1
		}
	}
	return code
}

// kfake locks itself up, now and then, when it is closed while a control function that
// slept goes on: a goroutine of the fake broker's own.
var lockedUp = goleak.IgnoreAnyFunction("github.com/twmb/franz-go/pkg/kfake.(*Cluster).continueSleptControl")

// TestMain makes this test binary, under the name penstock, the command itself: for
// scripts, and for tests that start a process. Under the race detector such a process would
// sleep a second at its end.
func TestMain(m *testing.M) {
	_ = os.Setenv("GORACE", strings.TrimSpace(os.Getenv("GORACE")+" atexit_sleep_ms=0"))
	testscript.Main(broker{m}, map[string]func(){"penstock": func() { os.Exit(Main()) }})
}

// oneGoroutine leaves out a long test of documents or of what the go command says, or another in
// which nothing of penstock is concurrent, when tests are to be short, as under the race detector:
// that finds nothing there.
func oneGoroutine(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("nothing in it is concurrent")
	}
}

// TestScripts runs testdata/script/*.txtar. Beside testscript's own commands there are
//
//	exits CODE PROGRAM ARG...   run a program, which must end with this exit code
//	logs [FILE]                 each line of stderr, or of the file, is a valid log line
//	                            of the contract
//	holdport                    listen on a port of this machine until the script ends,
//	                            and name it in $HELD
//
// and $FLIGHTS is the folder of the flights.
func TestScripts(t *testing.T) {
	flights, err := filepath.Abs(filepath.Join(repo, "testdata", "flights"))
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join(repo, "testdata", "script"),
		UpdateScripts:       os.Getenv("UPDATE_SCRIPTS") != "",
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("FLIGHTS", flights)
			e.Setenv("GORACE", os.Getenv("GORACE")) // a script has an environment of its own
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exitsCommand, "logs": logsCommand, "holdport": holdportCommand},
	})
}

func exitsCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARG...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		got = exit.ExitCode()
	case err != nil:
		ts.Fatalf("%v", err)
	}
	if got != want {
		ts.Fatalf("%s ended with exit code %d, want %d", strings.Join(args[1:], " "), got, want)
	}
}

func logsCommand(ts *testscript.TestScript, neg bool, args []string) {
	file := "stderr"
	if len(args) == 1 {
		file = args[0]
	}
	text := ts.ReadFile(file)
	err := event.ValidateAll([]byte(text))
	if err == nil && text == "" {
		err = fmt.Errorf("%s holds no log line", file)
	}
	if neg != (err != nil) {
		ts.Fatalf("logs %s: %v", file, err)
	}
}

func holdportCommand(ts *testscript.TestScript, _ bool, _ []string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { _ = l.Close() }) // nothing was accepted
	ts.Setenv("HELD", l.Addr().String())
}
