package main

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
)

// uwsgiPacket is a request with one variable, as reference implementations send it.
const uwsgiPacket = "\x00\x11\x00\x00" + "\x09\x00PATH_INFO" + "\x04\x00/abc"

const httpRequestText = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"

func TestRequestLength(t *testing.T) {
	for _, test := range []struct {
		protocol, input string
		want            int
	}{
		{"uwsgi", "", 0},
		{"uwsgi", "\x00\x11\x00", 0},
		{"uwsgi", uwsgiPacket[:len(uwsgiPacket)-1], 0},
		{"uwsgi", uwsgiPacket, len(uwsgiPacket)},
		{"uwsgi", uwsgiPacket + "a body", len(uwsgiPacket)},
		{"uwsgi", "\x00\x00\x00\x00", 4},
		{"http", "", 0},
		{"http", "GET / HTTP/1.1\r\nHost: x\r\n", 0},
		{"http", httpRequestText, len(httpRequestText)},
		{"http", httpRequestText + "GET", len(httpRequestText)},
		{"stream", "\x16\x03", 0},
		{"stream", "\x16\x03\x01\x00\x02x", 0},
		{"stream", "\x16\x03\x01\x00\x02xyz", 7},
		{"stream", httpRequestText, len(httpRequestText)},
	} {
		if got, _ := protocols[test.protocol].request([]byte(test.input)); got != test.want {
			t.Errorf("%s %q: length %d, want %d", test.protocol, test.input, got, test.want)
		}
	}
}

func TestRequestSaysWhatTheAnswerNeeds(t *testing.T) {
	uwsgi := func(words ...string) string {
		var vars []byte
		for _, word := range words {
			vars = append(binary.LittleEndian.AppendUint16(vars, uint16(len(word))), word...)
		}
		return string(append(append([]byte{0}, binary.LittleEndian.AppendUint16(nil, uint16(len(vars)))...), append([]byte{0}, vars...)...))
	}
	for _, test := range []struct{ protocol, input, path, key string }{
		{"uwsgi", uwsgi("PATH_INFO", "/upload", "CONTENT_LENGTH", "77"), "/upload", ""},
		{"uwsgi", uwsgi("CONTENT_LENGTH", "77", "HTTP_SEC_WEBSOCKET_KEY", "abc", "PATH_INFO", "/websocket"), "/websocket", "abc"},
		{"http", "POST /upload HTTP/1.1\r\nHost: x\r\nContent-length: 77\r\n\r\n", "/upload", ""},
		{"http", "GET /websocket HTTP/1.1\r\nsec-websocket-key: abc\r\n\r\n", "/websocket", "abc"},
	} {
		_, r := protocols[test.protocol].request([]byte(test.input))
		if string(r.path) != test.path || string(r.key) != test.key || r.path != nil && test.path == "/upload" && r.length != 77 {
			t.Errorf("%s %q: got path %q, length %d, key %q", test.protocol, test.input, r.path, r.length, r.key)
		}
	}
}

func TestEchoFrame(t *testing.T) {
	frame := maskedFrame([]byte("hello"), [4]byte{9, 8, 7, 6})
	for short := range len(frame) {
		if whole, _ := echoFrame(frame[:short]); whole != 0 {
			t.Errorf("%d of %d bytes are taken for a frame", short, len(frame))
		}
	}
	whole, reply := echoFrame(frame)
	if whole != len(frame) || string(reply) != "\x81\x05hello" {
		t.Errorf("got %d bytes and %q", whole, reply)
	}
	// The example of RFC 6455, 1.3.
	if got := websocketAccept([]byte("dGhlIHNhbXBsZSBub25jZQ==")); got != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
		t.Errorf("accept is %q", got)
	}
}

// startLoop serves a protocol on a socket until the test process ends: the loop
// is made to run as long as its process.
func startLoop(t *testing.T, name string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), name)
	listener, err := listenUnix(path)
	if err != nil {
		t.Fatal(err)
	}
	go newEventLoop(listener, protocols[name]).run()
	return path
}

func TestBackendUWSGIAnswersOnceAndCloses(t *testing.T) {
	path := startLoop(t, "uwsgi")
	for _, pieces := range [][]string{{uwsgiPacket}, {uwsgiPacket[:3], uwsgiPacket[3:9], uwsgiPacket[9:]}} {
		conn, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		for _, piece := range pieces {
			if _, err := io.WriteString(conn, piece); err != nil {
				t.Fatal(err)
			}
		}
		answer, err := io.ReadAll(conn)
		if err != nil || string(answer) != string(answerSmall) {
			t.Errorf("%d pieces: got %q, %v", len(pieces), answer, err)
		}
		conn.Close()
	}
}

func TestBackendHTTPKeepsTheConnection(t *testing.T) {
	conn, err := net.Dial("unix", startLoop(t, "http"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	in := bufio.NewReader(conn)
	expect := func(answers int) {
		t.Helper()
		want := strings.Repeat(string(answerSmall), answers)
		got := make([]byte, len(want))
		if _, err := io.ReadFull(in, got); err != nil || string(got) != want {
			t.Fatalf("got %q, %v, want %d answers", got, err, answers)
		}
	}
	io.WriteString(conn, httpRequestText)
	expect(1)
	io.WriteString(conn, httpRequestText+httpRequestText+"GET /") // pipelined, the third in two parts
	expect(2)
	io.WriteString(conn, " HTTP/1.1\r\nHost: x\r\n\r\n")
	expect(1)
	// One byte at a time.
	if _, err := io.Copy(conn, iotest.OneByteReader(strings.NewReader(httpRequestText))); err != nil {
		t.Fatal(err)
	}
	expect(1)
}

func TestBackendRefusesUnknownProtocol(t *testing.T) {
	if err := runBackend([]string{"fastcgi=/nowhere"}); err == nil || !strings.Contains(err.Error(), "want uwsgi=PATH, http=PATH or stream=ADDRESS") {
		t.Errorf("error is %v", err)
	}
}
