package control

import (
	"errors"
	"fmt"
	"net"
	"syscall"
)

// peerOf asks the kernel by which process, and as whom, the other end of c was
// opened.
func peerOf(c net.Conn) (pid, uid int, err error) {
	unix, ok := c.(*net.UnixConn)
	if !ok {
		return 0, 0, errors.New("not a unix socket")
	}
	raw, err := unix.SyscallConn()
	if err != nil {
		return 0, 0, err
	}
	var credential *syscall.Ucred
	var problem error
	err = raw.Control(func(fd uintptr) {
		credential, problem = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	})
	if err := errors.Join(err, problem); err != nil {
		return 0, 0, err
	}
	return int(credential.Pid), int(credential.Uid), nil
}

// mayOrder tells whether a client of uid may talk to an emperor of uid own.
func mayOrder(own, uid int) error {
	if uid == own || uid == 0 {
		return nil
	}
	return fmt.Errorf("only root and user %d may talk to this emperor, you are user %d", own, uid)
}

// mayBelieve tells whether a client of uid own may take what listens on path, run by
// uid, for its emperor. Anybody can make a socket in /tmp under somebody else's number.
func mayBelieve(path string, own, uid int) error {
	if uid == own || uid == 0 || own == 0 {
		return nil
	}
	return fmt.Errorf("%s is not your emperor's: it belongs to user %d, you are user %d", path, uid, own)
}
