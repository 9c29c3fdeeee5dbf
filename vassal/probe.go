package vassal

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// probe asks a program one question in its protocol and returns nil when it was
// answered in that protocol. It waits for the answer as long as ctx lasts: the
// kernel accepts connections to a held socket long before the program does.
//
// path, with protocol "http", must be answered with a status below 500; empty
// means that any answer will do.
func probe(ctx context.Context, network, to, protocol, path string) error {
	var dialer net.Dialer
	c, err := dialer.DialContext(ctx, network, to)
	if err != nil {
		return err
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := c.Write(question(protocol, path)); err != nil {
		return err
	}
	r := bufio.NewReader(c)
	err = answer(r, protocol, path)
	if path != "" && ctx.Err() == nil {
		// To hang up in the middle of the answer would be an error to the program.
		c.SetReadDeadline(time.Now().Add(leaveTime))
		io.CopyN(io.Discard, r, 64<<10)
	}
	return err
}

// leaveTime is how long the rest of an answer is waited for.
const leaveTime = 200 * time.Millisecond

// question is the smallest request of each protocol. FastCGI has one that does
// not reach the application; elsewhere it is a HEAD request.
func question(protocol, path string) []byte {
	method := "HEAD"
	if path == "" {
		path = "/"
	} else {
		method = "GET" // asked for by name: it may well answer only that
	}
	uri, query, _ := strings.Cut(path, "?")
	vars := [][2]string{
		{"REQUEST_METHOD", method}, {"REQUEST_URI", path}, {"PATH_INFO", uri}, {"QUERY_STRING", query},
		{"SCRIPT_NAME", ""}, {"SERVER_NAME", "localhost"}, {"SERVER_PORT", "80"}, {"SERVER_PROTOCOL", "HTTP/1.1"},
		{"HTTP_HOST", "localhost"}, {"HTTP_USER_AGENT", "emperor-probe"}, {"REMOTE_ADDR", "127.0.0.1"}, {"CONTENT_LENGTH", "0"},
	}
	var b []byte
	switch protocol {
	case emptyUWSGI:
		return []byte{0, 0, 0, 0}
	case "uwsgi": // 4 bytes of head, then length-prefixed (16 bit, little endian) names and values
		for _, kv := range vars {
			for _, s := range kv {
				b = append(append(b, byte(len(s)), byte(len(s)>>8)), s...)
			}
		}
		return append([]byte{0, byte(len(b)), byte(len(b) >> 8), 0}, b...)
	case "scgi": // a netstring of NUL-terminated names and values, CONTENT_LENGTH first
		b = append(b, "CONTENT_LENGTH\x000\x00SCGI\x001\x00"...)
		for _, kv := range vars[:len(vars)-1] {
			b = append(b, kv[0]+"\x00"+kv[1]+"\x00"...)
		}
		return append(append([]byte(strconv.Itoa(len(b))+":"), b...), ',')
	case "fastcgi": // FCGI_GET_VALUES, a management record (FastCGI specification 1.0, section 4.1)
		const name = "FCGI_MPXS_CONNS"
		content := append([]byte{byte(len(name)), 0}, name...)
		return append([]byte{1, 9, 0, 0, 0, byte(len(content)), 0, 0}, content...)
	}
	return []byte(method + " " + path + " HTTP/1.1\r\nHost: localhost\r\nUser-Agent: emperor-probe\r\nConnection: close\r\n\r\n")
}

// emptyUWSGI is uwsgi, asked without any request: no app is run, and a worker that
// takes it closes the connection.
const emptyUWSGI = "uwsgi, empty"

// answer reads as much as tells the protocol, and the status where it matters.
func answer(r *bufio.Reader, protocol, path string) error {
	first, err := r.Peek(1)
	if err != nil {
		if errors.Is(err, io.EOF) && protocol == emptyUWSGI {
			return nil
		}
		if errors.Is(err, io.EOF) {
			return errors.New("the connection was closed without an answer")
		}
		return err
	}
	switch protocol {
	case "fastcgi":
		if first[0] != 1 {
			return fmt.Errorf("the answer is not FastCGI: it begins with byte %d", first[0])
		}
		return nil
	case "http":
		start, err := r.Peek(5)
		if err != nil || string(start) != "HTTP/" {
			return fmt.Errorf("the answer is not HTTP: it begins with %q", start)
		}
	}
	if path == "" {
		return nil
	}
	line, err := r.ReadSlice('\n')
	if err != nil {
		return fmt.Errorf("the answer is cut off: %w", err)
	}
	// "HTTP/1.1 200 OK", or with SCGI "Status: 200 OK", without which it is 200.
	fields := strings.Fields(string(line))
	if protocol == "scgi" && fields != nil && fields[0] != "Status:" && !strings.HasPrefix(fields[0], "HTTP/") {
		return nil
	}
	if len(fields) < 2 {
		return fmt.Errorf("the answer begins with %q", line)
	}
	if status, err := strconv.Atoi(fields[1]); err != nil || status >= 500 {
		return &badAnswer{path, fields[1]}
	}
	return nil
}
