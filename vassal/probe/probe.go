package probe

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"emperor/internal/link"
)

// Ask asks a program one question in its protocol and returns nil when it was
// answered in that protocol. It waits for the answer as long as ctx lasts: the
// kernel accepts connections to a held socket long before the program does.
//
// path must be answered with a status below 500; empty means that any answer will do.
// root is the folder of the program's scripts, where it has one.
func Ask(ctx context.Context, network, to, protocol, root, path string) error {
	var w Waiting
	defer w.Close()
	return w.Ask(ctx, network, to, protocol, root, path)
}

// Ask is the function of that name. If ctx ends while the question waits in the queue of
// the socket, it goes on to wait there, for the next call.
func (w *Waiting) Ask(ctx context.Context, network, to, protocol, root, path string) error {
	switch {
	case protocol == link.TCP:
		return w.askTCP(ctx, network, to)
	case protocol == "fastcgi" && path != "":
		return w.askFastCGI(ctx, network, to, root, path)
	}
	return w.converse(ctx, network, to, question(protocol, path), path != "", func(r *bufio.Reader) error { return answer(r, protocol, path) })
}

// converse asks a question and reads the answer; the rest of it, too, where there may be
// more.
func (w *Waiting) converse(ctx context.Context, network, to string, question []byte, more bool, answer func(*bufio.Reader) error) error {
	c, err := w.connect(ctx, network, to, question)
	if err != nil {
		return err
	}
	over := make(chan struct{})
	stop := context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)); close(over) })
	r := bufio.NewReader(c)
	if err = answer(r); err != nil && !stop() {
		<-over // nothing changes the deadline any more
		w.keep(c, question)
		return err
	}
	defer c.Close()
	defer stop()
	if more && ctx.Err() == nil {
		// To hang up in the middle of the answer would be an error to the program.
		c.SetReadDeadline(time.Now().Add(leaveTime))
		io.CopyN(io.Discard, r, 64<<10)
	}
	return err
}

// BadAnswer: the program answers, and says that it is not well.
type BadAnswer struct{ Path, Status string }

func (e *BadAnswer) Error() string {
	return fmt.Sprintf("%s is answered with status %s", e.Path, e.Status)
}

// leaveTime is how long the rest of an answer is waited for.
const leaveTime = 200 * time.Millisecond

// question is the smallest request of each protocol. FastCGI has one that does
// not reach the application (for a path, see askFastCGI); elsewhere it is a HEAD request.
func question(protocol, path string) []byte {
	method := "HEAD"
	if path == "" {
		path = "/"
	} else {
		method = "GET" // asked for by name: it may well answer only that
	}
	vars := questionVars(method, path)
	var b []byte
	switch protocol {
	case EmptyUWSGI:
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
		return fastCGIRecord(fcgiGetValues, 0, append([]byte{byte(len(name)), 0}, name...))
	}
	return []byte(method + " " + path + " HTTP/1.1\r\nHost: localhost\r\nUser-Agent: emperor-probe\r\nConnection: close\r\n\r\n")
}

// questionVars are what CGI and its relatives say of a request.
func questionVars(method, path string) [][2]string {
	uri, query, _ := strings.Cut(path, "?")
	return [][2]string{
		{"REQUEST_METHOD", method}, {"REQUEST_URI", path}, {"PATH_INFO", uri}, {"QUERY_STRING", query},
		{"SCRIPT_NAME", ""}, {"SERVER_NAME", "localhost"}, {"SERVER_PORT", "80"}, {"SERVER_PROTOCOL", "HTTP/1.1"},
		{"HTTP_HOST", "localhost"}, {"HTTP_USER_AGENT", "emperor-probe"}, {"REMOTE_ADDR", "127.0.0.1"}, {"CONTENT_LENGTH", "0"},
	}
}

// EmptyUWSGI is uwsgi, asked without any request: no app is run, and a worker that
// takes it closes the connection.
const EmptyUWSGI = "uwsgi, empty"

// answer reads as much as tells the protocol, and the status where it matters.
func answer(r *bufio.Reader, protocol, path string) error {
	first, err := r.Peek(1)
	if err != nil {
		if errors.Is(err, io.EOF) && protocol == EmptyUWSGI {
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
		return &BadAnswer{path, fields[1]}
	}
	return nil
}
