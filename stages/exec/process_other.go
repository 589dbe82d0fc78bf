//go:build !linux

package execstage

import (
	"errors"
	"os/exec"

	"github.com/penstockio/penstock/pipeline/settings"
)

func canLimit(memory settings.Size) error {
	if memory != 0 {
		return errors.New("memory can be limited on Linux alone: leave it out here")
	}
	return nil
}

func limit(int, settings.Size) error { return nil }

// waitUnreaped waits until the process has ended. Its number may be another's just behind that.
func waitUnreaped(cmd *exec.Cmd) { _ = cmd.Wait() }
