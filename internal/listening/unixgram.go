package listening

import (
	"bufio"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// AtUnixgram finds who takes datagrams on a unix socket ("@name" for an abstract
// one). Nothing is sent. err is as AtUnix's.
func AtUnixgram(path string) (o Occupant, err error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return o, err
	}
	defer unix.Close(fd)
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		return o, err
	}
	// The kernel tells no peer of such a connection.
	inode, ok := namedUnix(path)
	if !ok {
		return o, nil
	}
	if pids := Owners([]Socket{{Inode: inode}})[inode]; len(pids) > 0 {
		return occupant(pids[0]), nil
	}
	return o, nil
}

// namedUnix finds the socket that was bound to that name last.
func namedUnix(path string) (inode uint64, ok bool) {
	f, err := os.Open("/proc/net/unix")
	if err != nil {
		return 0, false
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		// Num RefCount Protocol Flags Type St Inode Path
		fields := strings.SplitN(strings.Join(strings.Fields(lines.Text()), " "), " ", 8)
		if len(fields) == 8 && fields[7] == path {
			inode, err = strconv.ParseUint(fields[6], 10, 64)
			ok = err == nil
		}
	}
	return inode, ok
}
