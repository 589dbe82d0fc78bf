//go:build unix

package execstage

import (
	"os/exec"
	"syscall"
)

// together has the process lead a group, to be ended with all that it starts.
func together(cmd *exec.Cmd) {
	cmd.SysProcAttr = attributes()
	cmd.SysProcAttr.Setpgid = true
}

func terminateGroup(pid int) { _ = syscall.Kill(-pid, syscall.SIGTERM) } // who is gone needs none
func killGroup(pid int)      { _ = syscall.Kill(-pid, syscall.SIGKILL) }
