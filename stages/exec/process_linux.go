package execstage

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/penstockio/penstock/pipeline/settings"
)

// attributes has the process end when the thread does that has started it.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }

func canLimit(settings.Size) error { return nil }

// oomScore has the kernel end a process in place of the pipeline when the memory of the machine runs out.
const oomScore = "500"

// limit sets the limits of a process that has just begun.
func limit(pid int, memory settings.Size) error {
	_ = os.WriteFile(fmt.Sprintf("/proc/%d/oom_score_adj", pid), []byte(oomScore), 0) // where there is no /proc the kernel chooses
	if memory == 0 {
		return nil
	}
	most := uint64(memory)
	err := unix.Prlimit(pid, unix.RLIMIT_DATA, &unix.Rlimit{Cur: most, Max: most}, nil)
	if err == nil || errors.Is(err, unix.ESRCH) { // it has ended
		return nil
	}
	return fmt.Errorf("limiting its memory: %w", err)
}

// waitUnreaped waits until the process has ended, and leaves its number to it, so that its group can be ended.
func waitUnreaped(cmd *exec.Cmd) {
	for unix.Waitid(unix.P_PID, cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil) == unix.EINTR {
	}
}
