package listening

import (
	"bufio"
	"encoding/binary"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// ConnectedUnix counts the connections to the unix socket of that name ("@name" for an
// abstract one) that were accepted. One that the client has closed does not count,
// although the program may keep its end. The name is the one it was bound to, wherever its file is by now.
func ConnectedUnix(name string) int {
	if name == "" {
		return 0
	}
	wanted := name
	if name[0] == '@' {
		wanted = "\x00" + name[1:]
	}
	count := 0
	err := eachUnix(func(end unixEnd) {
		// A path of the file system ends with a NUL, an abstract name does not.
		if end.name == wanted || end.name == wanted+"\x00" {
			count++
		}
	})
	if err == nil {
		return count
	}
	// Num RefCount Protocol Flags Type St Inode Path; connected ends on the listener's
	// side have its name, and state 03. It does not say which have been closed.
	count = 0
	scan("/proc/net/unix", func(line string) {
		before, rest, ok := strings.Cut(line, " "+name)
		if !ok || rest != "" {
			return
		}
		if fields := strings.Fields(before); len(fields) == 7 && fields[5] == "03" {
			count++
		}
	})
	return count
}

// ConnectedUnixAt counts the connections to the unix socket whose file has that inode
// number and that were accepted: where two sockets have one name it tells which. One that
// the client has closed does not count. known is false where the kernel does not say.
func ConnectedUnixAt(inode uint64) (count int, known bool) {
	err := eachUnix(func(end unixEnd) {
		if end.hasFile && end.inode == uint32(inode) { // of longer numbers it tells this much
			count++
		}
	})
	return count, err == nil
}

// unixEnd is the end of a connection that has the listener's name.
type unixEnd struct {
	name    string
	hasFile bool
	inode   uint32 // of the file of the socket that was connected to
	closed  bool   // the other end has been closed
}

// eachUnix goes through all connected ends of unix sockets that have a name and another end.
func eachUnix(each func(unixEnd)) error {
	order, question := binary.NativeEndian, make([]byte, 24)
	question[0] = unix.AF_UNIX
	order.PutUint32(question[4:], 1<<stateEstablished)
	order.PutUint32(question[12:], unixShowName|unixShowFile)
	return dump(question, unixFixed, func(answer []byte) {
		if end := attributes(answer[unixFixed:], order); end.name != "" && !end.closed {
			each(end)
		}
	})
}

// attributes reads what is told of one socket.
func attributes(rest []byte, order binary.ByteOrder) (end unixEnd) {
	for len(rest) >= 4 {
		length := int(order.Uint16(rest))
		if length < 4 || length > len(rest) {
			return end
		}
		switch value := rest[4:length]; order.Uint16(rest[2:]) {
		case unixName:
			end.name = string(value)
		case unixFile:
			if len(value) >= 4 {
				end.hasFile, end.inode = true, order.Uint32(value)
			}
		case unixShutdown:
			end.closed = len(value) > 0 && value[0] == unix.SHUT_RDWR+1
		}
		rest = rest[min((length+3)&^3, len(rest)):]
	}
	return end
}

// ConnectedTCP counts the connections that clients have to a port of this machine.
func ConnectedTCP(port int) int {
	sockets, _ := inState(stateEstablished, port) // without an answer nothing is known
	return len(sockets)
}

// scan reads a file of /proc/net line by line. Without it nothing is known.
func scan(file string, each func(line string)) {
	f, err := os.Open(file)
	if err != nil {
		return
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		each(lines.Text())
	}
}
