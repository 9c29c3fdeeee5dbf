package listening

import (
	"bufio"
	"os"
	"strings"
)

// ConnectedUnix counts the connections that clients have to the unix socket of that
// name ("@name" for an abstract one), those included that wait to be accepted. The
// name is the one it was bound to, wherever its file is by now.
func ConnectedUnix(name string) int {
	count := 0
	// Num RefCount Protocol Flags Type St Inode Path; connected ends on the listener's
	// side have its name, and state 03.
	scan("/proc/net/unix", func(line string) {
		before, path, ok := strings.Cut(line, " "+name)
		if !ok || path != "" {
			return
		}
		if fields := strings.Fields(before); len(fields) == 7 && fields[5] == "03" {
			count++
		}
	})
	return count
}

// ConnectedTCP counts the connections that clients have to a port of this machine.
func ConnectedTCP(port int) int {
	count := 0
	for _, file := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		scan(file, func(line string) {
			fields := strings.Fields(line)
			if len(fields) < 10 || fields[3] != "01" {
				return
			}
			if address, ok := parseProcAddress(fields[1]); ok && int(address.Port()) == port {
				count++
			}
		})
	}
	return count
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
