//go:build unix

package execstage

import (
	"os"
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

// waitForRest is how long what a process that has ended has written is waited for: it is there.
const waitForRest = 0

// readThere reads what is in a pipe, and does not wait for more.
func readThere(f *os.File, b []byte) (n int) {
	if len(b) == 0 {
		return 0
	}
	conn, err := f.SyscallConn()
	if err != nil {
		return 0
	}
	_ = conn.Control(func(fd uintptr) { // Read of it would see the deadline
		for {
			if n, err = syscall.Read(int(fd), b); err != syscall.EINTR {
				return
			}
		}
	})
	return max(n, 0)
}
