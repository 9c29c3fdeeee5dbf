package main

import (
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strconv"
)

// protocol is what one backend socket speaks.
type protocol struct {
	// request reads the head of the first request in buf and returns its length,
	// or 0 if more bytes are needed.
	request func(buf []byte) (int, request)
	// closes: one request per connection, its end is the end of the answer.
	closes bool
	unix   bool // on a unix socket, else on a TCP address
}

var protocols = map[string]protocol{
	"uwsgi":  {request: uwsgiRequest, closes: true, unix: true},
	"http":   {request: httpRequest, unix: true},
	"stream": {request: streamRequest},
}

// request is what the backend has to know of a request. Its slices are valid
// until more is read.
type request struct {
	path   []byte
	length int64  // of the body
	key    []byte // Sec-WebSocket-Key
	hello  bool   // a ClientHello, which is not answered
}

// Paths that the backend knows. Any other is answered with the few bytes of
// backendBody, when the body of the request is complete.
const (
	pathSmall     = "/"
	path64K       = "/64k"
	path10M       = "/10m"
	pathUpload    = "/upload"
	pathWebsocket = "/websocket"
	pathOnce      = "/once" // the backend closes after it
)

const backendBody = "Hello from behind the front\n"

const (
	size64K = 64 << 10
	size10M = 10 << 20
)

// The answers say their length, as applications behind uWSGI do: without it, no
// front could keep the client's connection open.
var (
	answerSmall = fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s", len(backendBody), backendBody)
	answer64K   = answerOf(size64K)
	answer10M   = answerOf(size10M)
)

func answerOf(size int) []byte {
	head := fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n", size)
	return append(head, bytes.Repeat([]byte("0123456789abcde\n"), size/16)...)
}

func (r request) once() bool { return string(r.path) == pathOnce }

func (r request) websocket() bool { return string(r.path) == pathWebsocket }

func (r request) answer() []byte {
	switch string(r.path) {
	case path64K:
		return answer64K
	case path10M:
		return answer10M
	case pathWebsocket:
		return fmt.Appendf(nil, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n", websocketAccept(r.key))
	}
	return answerSmall
}

// uwsgiRequest: four bytes of head, of which the middle two are the length of
// the variables that follow (uwsgi protocol, "uwsgi packet"); each variable is
// a name and a value, and each of these its length in two bytes and its bytes.
func uwsgiRequest(buf []byte) (int, request) {
	var r request
	if len(buf) < 4 {
		return 0, r
	}
	whole := 4 + int(binary.LittleEndian.Uint16(buf[1:3]))
	if len(buf) < whole {
		return 0, r
	}
	vars := buf[4:whole]
	next := func() []byte {
		if len(vars) < 2 {
			vars = nil
			return nil
		}
		end := min(2+int(binary.LittleEndian.Uint16(vars)), len(vars))
		word := vars[2:end]
		vars = vars[end:]
		return word
	}
	for len(vars) > 0 {
		name, value := next(), next()
		switch string(name) {
		case "PATH_INFO":
			r.path = value
		case "CONTENT_LENGTH":
			r.length, _ = strconv.ParseInt(string(value), 10, 64)
		case "HTTP_SEC_WEBSOCKET_KEY":
			r.key = value
		}
	}
	return whole, r
}

// httpRequest reads a head as fronts write it. Fields are looked at only where
// the path says that they matter.
func httpRequest(buf []byte) (int, request) {
	var r request
	end := bytes.Index(buf, []byte("\r\n\r\n"))
	if end < 0 {
		return 0, r
	}
	line, _, _ := bytes.Cut(buf, []byte("\r\n"))
	_, line, _ = bytes.Cut(line, []byte(" "))
	r.path, _, _ = bytes.Cut(line, []byte(" "))
	switch string(r.path) {
	case pathUpload:
		r.length, _ = strconv.ParseInt(string(fieldOf(buf[:end], "content-length")), 10, 64)
	case pathWebsocket:
		r.key = fieldOf(buf[:end], "sec-websocket-key")
	}
	return end + 4, r
}

// streamRequest takes plain HTTP that comes behind a ClientHello. Of TLS there is no
// more: it would cost backend and load a multiple of what passing it through costs,
// and the bytes are all the same to who passes them through.
func streamRequest(buf []byte) (int, request) {
	if len(buf) == 0 || buf[0] != recordHandshake {
		return httpRequest(buf)
	}
	if len(buf) < 5 {
		return 0, request{}
	}
	whole := 5 + int(binary.BigEndian.Uint16(buf[3:5]))
	if len(buf) < whole {
		return 0, request{}
	}
	return whole, request{hello: true}
}

// fieldOf returns the value of a field in a head.
func fieldOf(head []byte, name string) []byte {
	for line := range bytes.Lines(head) {
		field, value, _ := bytes.Cut(line, []byte(":"))
		if bytes.EqualFold(field, []byte(name)) {
			return bytes.TrimSpace(value)
		}
	}
	return nil
}

// websocketAccept proves that a server understood the handshake (RFC 6455, 4.2.2).
func websocketAccept(key []byte) string {
	sum := sha1.Sum(append(bytes.Clone(key), "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"...))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// echoFrame answers the first websocket frame in buf with one of the same kind
// and content. Frames from clients are masked, those of servers are not (RFC
// 6455, 5.2). Only short frames are known: they are all that the load sends.
func echoFrame(buf []byte) (whole int, reply []byte) {
	if len(buf) < 6 {
		return 0, nil
	}
	length := int(buf[1] & 0x7f)
	if whole = 6 + length; len(buf) < whole {
		return 0, nil
	}
	// In place: the mask leaves room for the shorter head.
	mask, content := [4]byte(buf[2:6]), buf[6:whole]
	for i := range content {
		content[i] ^= mask[i%4]
	}
	reply = buf[4:whole]
	reply[0], reply[1] = buf[0], byte(length)
	return whole, reply
}
