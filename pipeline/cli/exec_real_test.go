//go:build real && unix

package cli

import "testing"

// The examples of exec with Python and Node, which testdata/real/run.sh has installed.
func TestExamplesOfProcessesAreRun(t *testing.T) {
	for name := range examplesOfProcesses {
		t.Run(name, func(t *testing.T) { exampleOf(t, name) })
	}
}
