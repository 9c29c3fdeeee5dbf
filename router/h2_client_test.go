package router

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// framer is an HTTP/2 client that sends whatever frames a test wants sent.
type framer struct {
	*http2.Framer
	net.Conn
	t     testing.TB
	block bytes.Buffer
	coder *hpack.Encoder
}

// frames connects, over TLS if f has it, and greets. Settings are the client's.
func (f *front) frames(settings ...http2.Setting) *framer {
	f.t.Helper()
	c := f.connect()
	if _, err := c.Write(preface); err != nil {
		f.t.Fatal(err)
	}
	if err := c.WriteSettings(settings...); err != nil {
		f.t.Fatal(err)
	}
	return c
}

// connect is the same before a word has been said.
func (f *front) connect() *framer {
	f.t.Helper()
	conn, err := net.Dial("tcp", f.tcp.Addr().String())
	if err != nil {
		f.t.Fatal(err)
	}
	_ = conn.SetDeadline(time.Now().Add(patience))
	if f.option == optionHTTPS {
		conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	}
	f.t.Cleanup(func() { _ = conn.Close() })
	c := &framer{Framer: http2.NewFramer(conn, conn), Conn: conn, t: f.t}
	c.AllowIllegalWrites = true
	c.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	c.coder = hpack.NewEncoder(&c.block)
	return c
}

type field struct{ name, value string }

// asking are the fields of a plain request.
var asking = []field{{":method", "GET"}, {":scheme", "https"}, {":authority", "a"}, {":path", "/"}}

// fields in HPACK, which stay valid until the next call.
func (c *framer) fields(fields ...field) []byte {
	c.block.Reset()
	for _, f := range fields {
		_ = c.coder.WriteField(hpack.HeaderField{Name: f.name, Value: f.value})
	}
	return c.block.Bytes()
}

// request begins a stream.
func (c *framer) request(stream uint32, end bool, fields ...field) error {
	return c.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: c.fields(fields...), EndStream: end, EndHeaders: true})
}

// streamEnd is what became of a stream: an answer, a reset, or the connection's end.
type streamEnd struct {
	status string
	body   string
	reset  http2.ErrCode
	ended  bool // the connection
}

func (o streamEnd) refused() bool {
	return o.ended || o.reset != 0 || len(o.status) == 3 && o.status[0] == '4'
}

// outcome reads until it is known.
func (c *framer) outcome(stream uint32) (o streamEnd) {
	c.t.Helper()
	var body []byte
	defer func() { o.body = string(body) }()
	for {
		frame, err := c.ReadFrame()
		if err != nil {
			if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() {
				c.t.Fatal("no answer")
			}
			o.ended = true
			return o
		}
		switch frame := frame.(type) {
		case *http2.GoAwayFrame:
			o.ended, o.reset = true, frame.ErrCode
			return o
		case *http2.RSTStreamFrame:
			if frame.StreamID == stream {
				o.reset = frame.ErrCode
				return o
			}
		case *http2.MetaHeadersFrame:
			if frame.StreamID == stream {
				o.status = frame.PseudoValue("status")
			}
		case *http2.DataFrame:
			if frame.StreamID == stream {
				body = append(body, frame.Data()...)
			}
		}
		if h := frame.Header(); h.StreamID == stream && h.Flags.Has(http2.FlagDataEndStream) && (h.Type == http2.FrameData || h.Type == http2.FrameHeaders) {
			return o
		}
	}
}

// wantEnd reads until the other side has closed the connection.
func (c *framer) wantEnd() {
	c.t.Helper()
	_, err := io.Copy(io.Discard, c.Conn)
	if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() {
		c.t.Error("the connection stays open")
	}
}
