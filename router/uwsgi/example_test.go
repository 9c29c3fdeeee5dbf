package uwsgi_test

import (
	"fmt"

	"emperor/router/uwsgi"
)

// Building a packet: the fixed variables, then the headers one by one.
func ExampleWriter() {
	var w uwsgi.Writer
	w.Begin(nil, 0, 0)
	w.Request(&uwsgi.Request{
		Method: []byte("GET"), PathInfo: []byte("/a b"), URI: []byte("/a%20b"),
		Protocol: "HTTP/1.1", ServerName: "www1", ServerPort: "8080",
		RemoteAddr: []byte("192.0.2.1"), RemotePort: []byte("50123"),
	})
	w.Header([]byte("Cookie"), []byte("a=1"))
	w.Header([]byte("Accept"), []byte("*/*"))
	w.Header([]byte("cookie"), []byte("b=2"))
	packet, err := w.Finish()
	if err != nil {
		fmt.Println("431", err)
		return
	}
	vars := uwsgi.NewReader(packet[uwsgi.HeaderSize:])
	for {
		name, value, ok := vars.Next()
		if !ok {
			break
		}
		fmt.Printf("%s=%s\n", name, value)
	}
	// Output:
	// REQUEST_METHOD=GET
	// REQUEST_URI=/a%20b
	// PATH_INFO=/a b
	// QUERY_STRING=
	// SERVER_PROTOCOL=HTTP/1.1
	// SCRIPT_NAME=
	// SERVER_NAME=www1
	// SERVER_PORT=8080
	// UWSGI_ROUTER=http
	// REMOTE_ADDR=192.0.2.1
	// REMOTE_PORT=50123
	// HTTP_COOKIE=a=1; b=2
	// HTTP_ACCEPT=*/*
}
