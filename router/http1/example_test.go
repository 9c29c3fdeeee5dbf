package http1_test

import (
	"fmt"
	"io"
	"strings"

	"emperor/router/http1"
)

// Reading a request from a connection: hand over all bytes that have come, until
// the head is complete; the body starts behind it.
func ExampleRequest_Parse() {
	conn := strings.NewReader("POST /greet HTTP/1.1\r\nHost: Example.com:8080\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")

	var (
		r      http1.Request
		limits http1.Limits
		buf    = make([]byte, 0, 4096)
	)
	read := func() {
		// A few bytes at a time, as a slow client would send them.
		n, err := conn.Read(buf[len(buf):min(len(buf)+10, cap(buf))])
		if err != nil && err != io.EOF {
			panic(err)
		}
		buf = buf[:len(buf)+n]
	}
	head := 0
	for head == 0 {
		read()
		n, err := r.Parse(buf, &limits)
		if err != nil {
			fmt.Println(err.(*http1.Error).Status, err)
			return
		}
		head = n
	}
	fmt.Printf("%s %s for %s\n", r.Method, r.Path, r.Host.Name)

	var body http1.Chunked
	for at := head; !body.Done(); {
		data, n, err := body.Next(buf[at:])
		if err != nil {
			panic(err)
		}
		fmt.Printf("%s", data)
		if at += n; n == 0 {
			read()
		}
	}
	// Output:
	// POST /greet for example.com
	// hello
}
