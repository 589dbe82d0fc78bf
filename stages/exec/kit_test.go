//go:build unix

package execstage

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/penstockio/penstock/pipeline/calls"
	"github.com/penstockio/penstock/pipeline/pipelinetest"
	"github.com/penstockio/penstock/pipeline/settings"
)

// testSettings has the test binary as the child, in a mode, with a folder of its own.
func testSettings(t testing.TB, mode string) Settings {
	s := Default()
	s.Command = []string{os.Args[0]}
	s.Env = map[string]settings.Secret{asChild: settings.Secret(mode), "TEST_DIR": settings.Secret(t.TempDir()), "GORACE": "atexit_sleep_ms=0"}
	s.Into = "got"
	return s
}

func testStage(t testing.TB, s Settings) *Stage {
	t.Helper()
	st, err := New(s, Place{Pipeline: "p", Step: "enrich", Dir: t.TempDir(), Calls: calls.Env{Settings: calls.Defaults(), Workers: s.Slots()}})
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// until waits for what has to come, however slow the machine is.
func until(t testing.TB, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !is(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func TestConforms(t *testing.T) {
	for name, change := range map[string]func(*Settings){
		"one":          func(*Settings) {},
		"several":      func(s *Settings) { s.Processes, s.InFlight = 2, 3 },
		"whole values": func(s *Settings) { s.Into = "" },
	} {
		t.Run(name, func(t *testing.T) {
			if testing.Short() && name != "several" { // which has all that is concurrent
				t.Skip("one of three forms, as they take five seconds each")
			}
			pipelinetest.Stage(t, func(t *testing.T) pipelinetest.StageUnderTest {
				s := testSettings(t, "protocol")
				change(&s)
				dir := s.Env["TEST_DIR"].Reveal()
				return pipelinetest.StageUnderTest{
					Stage:  testStage(t, s),
					Hit:    func(n int) []byte { return fmt.Appendf(nil, `{"n":%d,"do":"double"}`, n) },
					Reject: []byte(`{"do":"reject"}`),
					Hang: func() (<-chan struct{}, func()) {
						hang, stuck := filepath.Join(dir, "hang"), make(chan struct{})
						if err := os.WriteFile(hang, nil, 0o600); err != nil {
							t.Fatal(err)
						}
						go func() {
							until(t, "the child hangs", func() bool { return exists(filepath.Join(dir, "stuck")) })
							close(stuck)
						}()
						return stuck, func() { _ = os.Remove(hang) }
					},
				}
			})
		})
	}
}
