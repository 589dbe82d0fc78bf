//go:build !unix

package server

import (
	"errors"
	"net"
	"os"
)

// listenPrivate listens on a socket. Where modes of files say little, the folder decides who may connect.
func listenPrivate(path string) (net.Listener, error) {
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}
