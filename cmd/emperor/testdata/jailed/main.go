// Jailed is a static program for a folder of its own (chroot): it says what it sees there.
package main

import (
	"fmt"
	"net"
	"os"
)

func main() {
	l, err := net.FileListener(os.NewFile(3, "socket"))
	if err != nil {
		panic(err)
	}
	for {
		c, err := l.Accept()
		if err != nil {
			panic(err)
		}
		_, _ = c.Read(make([]byte, 65536))
		dir, _ := os.Getwd()
		own, _ := os.ReadFile("/own")
		_, outside := os.Stat("/etc/passwd")
		text := fmt.Sprintf("uid %d in %s, own %q, outside %v", os.Getuid(), dir, own, outside)
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", len(text), text)
		c.Close()
	}
}
