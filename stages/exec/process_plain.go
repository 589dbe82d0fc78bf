//go:build !unix

package execstage

import (
	"os"
	"os/exec"
)

func together(*exec.Cmd) {}

// terminateGroup does nothing: there is no such signal. The input is closed, and killGroup follows.
func terminateGroup(int) {}

func killGroup(pid int) {
	if p, err := os.FindProcess(pid); err == nil {
		_ = p.Kill()
		_ = p.Release()
	}
}
