package server

import (
	"net"
	"syscall"
)

// peerUser gives the user who has connected to a socket, as the system knew him then.
func peerUser(c *net.UnixConn) (uid uint32, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	var (
		peer  *syscall.Ucred
		asked error
	)
	err = raw.Control(func(fd uintptr) {
		peer, asked = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	})
	switch {
	case err != nil:
		return 0, err
	case asked != nil:
		return 0, asked
	}
	return peer.Uid, nil
}
