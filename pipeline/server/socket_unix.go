//go:build unix

package server

import (
	"errors"
	"net"
	"os"
	"syscall"
)

// listenPrivate listens on a socket that only the user of the process can ever connect to. The system makes it with the mode
// of the process's umask, and nobody can connect before listen: so its mode is changed between bind and
// listen, which net.Listen does in one. Not chosen: a umask for the moment, which all goroutines would make their files with; a
// private folder and a rename, which needs a longer path than the system may take, and loses the path that Addr gives.
func listenPrivate(path string) (net.Listener, error) {
	s, err := bindPrivate(path)
	if err != nil {
		return nil, err
	}
	defer s.Close() // the listener has a copy
	l, err := s.listen()
	if err != nil {
		return nil, errors.Join(err, os.Remove(path))
	}
	l.SetUnlinkOnClose(true)
	return l, nil
}

// A boundSocket has its path and its mode. Who connects is refused until it listens.
type boundSocket struct{ *os.File }

// bindPrivate makes the socket at path.
func bindPrivate(path string) (boundSocket, error) {
	syscall.ForkLock.RLock() // a program that is started meanwhile must not inherit it
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return boundSocket{}, os.NewSyscallError("socket", err)
	}
	s := boundSocket{os.NewFile(uintptr(fd), path)}
	_ = syscall.Fchmod(fd, 0o600) // with which Linux makes the socket; another system takes the umask's alone
	if err := syscall.Bind(fd, &syscall.SockaddrUnix{Name: path}); err != nil {
		return boundSocket{}, errors.Join(os.NewSyscallError("bind", err), s.Close())
	}
	if err := makePrivate(path); err != nil { // what stands there now need not be ours: it stays
		return boundSocket{}, errors.Join(err, s.Close())
	}
	return s, nil
}

// makePrivate gives the socket at path its mode, where it has not been made with it. Who may write into the folder may have put something
// else in its place: that is left as it is, and where a link leads to too.
func makePrivate(path string) error {
	st, err := os.Lstat(path)
	switch {
	case err != nil:
		return err
	case st.Mode()&os.ModeSocket == 0:
		return errors.New("what stands there now is no socket")
	case st.Mode().Perm() == 0o600:
		return nil
	}
	return os.Chmod(path, 0o600)
}

func (s boundSocket) listen() (*net.UnixListener, error) {
	if err := syscall.Listen(int(s.Fd()), syscall.SOMAXCONN); err != nil {
		return nil, os.NewSyscallError("listen", err)
	}
	l, err := net.FileListener(s.File)
	if err != nil {
		return nil, err
	}
	return l.(*net.UnixListener), nil
}
