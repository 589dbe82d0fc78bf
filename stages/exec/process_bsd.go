//go:build unix && !linux

package execstage

import "syscall"

// attributes has nothing that ends the process with this one: it ends when its input does.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{} }
