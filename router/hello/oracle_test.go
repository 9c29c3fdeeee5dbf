package hello

import (
	"bytes"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"emperor/internal/testcert"

	"github.com/google/go-cmp/cmp"
)

// tape is a connection whose other side has said what is in it, and hears what is
// written.
type tape struct {
	net.Conn
	said  io.Reader
	heard bytes.Buffer
}

func (c *tape) Read(p []byte) (int, error)  { return c.said.Read(p) }
func (c *tape) Write(p []byte) (int, error) { return c.heard.Write(p) }
func (c *tape) Close() error                { return nil }

// oracle is what crypto/tls's server makes of the same bytes, nil if they are no
// hello to it.
func oracle(wire []byte) (info *tls.ClientHelloInfo) {
	enough := errors.New("enough")
	tls.Server(&tape{said: bytes.NewReader(wire)}, &tls.Config{GetConfigForClient: func(i *tls.ClientHelloInfo) (*tls.Config, error) {
		info = i
		return nil, enough
	}}).Handshake()
	return info
}

// saidTo is what a hello says to crypto/tls, as we say it. The version is 0 if only the
// hello's beginning tells it, of which crypto/tls does not tell all.
func saidTo(info *tls.ClientHelloInfo) said {
	s := said{Name: info.ServerName, ECH: slices.Contains(info.Extensions, extECH)}
	for _, p := range info.SupportedProtos {
		if len(p) != 2 || !grease(binary.BigEndian.Uint16([]byte(p))) {
			s.Protocols = append(s.Protocols, p)
		}
	}
	if slices.Contains(info.Extensions, extSupportedVersions) {
		for _, v := range info.SupportedVersions {
			if v>>8 == recordMajor {
				s.Version = max(s.Version, v)
			}
		}
	}
	return s
}

// firstFlight is what crypto/tls's client sends before it hears anything.
func firstFlight(t *testing.T, config *tls.Config) string {
	t.Helper()
	c := &tape{said: strings.NewReader("")}
	config = config.Clone()
	if config.ServerName == "" {
		config.InsecureSkipVerify = true
	}
	if err := tls.Client(c, config).Handshake(); !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	return c.heard.String()
}

// sentBy is the first record that a program sends to the address it is started with.
func sentBy(t *testing.T, command func(port string) []string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	args := command(port)
	program := exec.Command(args[0], args[1:]...)
	if err := program.Start(); err != nil {
		t.Fatal(err)
	}
	defer program.Wait() // it gives up when its connection is closed
	l.(*net.TCPListener).SetDeadline(time.Now().Add(30 * time.Second))
	conn, err := l.Accept()
	if err != nil {
		program.Process.Kill()
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	head := make([]byte, recordHead)
	if _, err := io.ReadFull(conn, head); err != nil {
		t.Fatal(err)
	}
	content := make([]byte, binary.BigEndian.Uint16(head[3:]))
	if _, err := io.ReadFull(conn, content); err != nil {
		t.Fatal(err)
	}
	return string(head) + string(content)
}

// echConfigs is a list with the one key of a server that is publicly known by a name.
func echConfigs(t *testing.T, public string) []byte {
	t.Helper()
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	config := "\x07\x00\x20" + vector(2, string(key.PublicKey().Bytes())) + // id, X25519
		vector(2, "\x00\x01\x00\x01") + "\x00" + vector(1, public) + vector(2) // HKDF-SHA256 and AES-128
	return []byte(vector(2, "\xfe\x0d"+vector(2, config)))
}

// resumed makes a client's configuration offer a session that it had with a server
// which knows the client's certificate.
func resumed(t *testing.T, config *tls.Config) *tls.Config {
	t.Helper()
	certificate := testcert.SelfSigned(t, testcert.Wanted{Names: []string{"www.example.com"}}).TLS(t)
	config = config.Clone()
	config.InsecureSkipVerify = true
	config.Certificates = []tls.Certificate{certificate}
	session := testcert.SessionOf(nil)
	config.ClientSessionCache = session
	a, b := net.Pipe()
	defer a.Close()
	go func() {
		defer b.Close()
		server := tls.Server(b, &tls.Config{Certificates: []tls.Certificate{certificate}, ClientAuth: tls.RequireAnyClientCert})
		server.Write([]byte("x"))
		io.Copy(io.Discard, server)
	}()
	client := tls.Client(a, config)
	if _, err := io.ReadFull(client, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if _, ok := session.Get(""); !ok {
		t.Fatal("there is no session")
	}
	return config
}

// TestRealHellos: what clients really send.
func TestRealHellos(t *testing.T) {
	for _, test := range []struct {
		name   string
		wire   string
		want   said
		longer int // than so many bytes
	}{
		{"crypto/tls", firstFlight(t, &tls.Config{ServerName: "www.example.com"}), said{Name: "www.example.com", Version: tls.VersionTLS13}, 1448},
		{"crypto/tls, TLS 1.2", firstFlight(t, &tls.Config{ServerName: "a.example", MaxVersion: tls.VersionTLS12}), said{Name: "a.example", Version: tls.VersionTLS12}, 0},
		{"crypto/tls, no name", firstFlight(t, &tls.Config{NextProtos: []string{"h2", "http/1.1"}}), said{Protocols: []string{"h2", "http/1.1"}, Version: tls.VersionTLS13}, 1448},
		{"crypto/tls, one curve", firstFlight(t, &tls.Config{ServerName: "a.example", CurvePreferences: []tls.CurveID{tls.X25519}}), said{Name: "a.example", Version: tls.VersionTLS13}, 0},
		{"crypto/tls, many protocols", firstFlight(t, &tls.Config{ServerName: "A.example.", NextProtos: strings.Split("a b c d e f g h i j", " ")}),
			said{Name: "A.example", Protocols: strings.Split("a b c d e f g h i j", " "), Version: tls.VersionTLS13}, 0},
		{"crypto/tls, a session of TLS 1.3", firstFlight(t, resumed(t, &tls.Config{ServerName: "www.example.com"})), said{Name: "www.example.com", Version: tls.VersionTLS13}, 1900},
		{"crypto/tls, a session of TLS 1.2", firstFlight(t, resumed(t, &tls.Config{ServerName: "www.example.com", MaxVersion: tls.VersionTLS12})), said{Name: "www.example.com", Version: tls.VersionTLS12}, 500},
		{"crypto/tls, ECH", firstFlight(t, &tls.Config{ServerName: "secret.example", MinVersion: tls.VersionTLS13, EncryptedClientHelloConfigList: echConfigs(t, "public.example")}),
			said{Name: "public.example", Version: tls.VersionTLS13, ECH: true}, 0},
		{"openssl", sentBy(t, func(port string) []string {
			return []string{"openssl", "s_client", "-connect", "127.0.0.1:" + port, "-servername", "Www.Example.com.", "-alpn", "h2,http/1.1"}
		}), said{Name: "Www.Example.com.", Protocols: []string{"h2", "http/1.1"}, Version: tls.VersionTLS13}, 0},
		{"openssl, TLS 1.2", sentBy(t, func(port string) []string {
			return []string{"openssl", "s_client", "-connect", "127.0.0.1:" + port, "-tls1_2", "-servername", "dot.example", "-alpn", "dot"}
		}), said{Name: "dot.example", Protocols: []string{"dot"}, Version: tls.VersionTLS12}, 0},
		{"openssl, no name", sentBy(t, func(port string) []string {
			return []string{"openssl", "s_client", "-connect", "127.0.0.1:" + port, "-noservername"}
		}), said{Version: tls.VersionTLS13}, 0},
		{"curl", sentBy(t, func(port string) []string {
			return []string{"curl", "-sk", "--noproxy", "*", "--resolve", "www.example.com:" + port + ":127.0.0.1", "https://www.example.com:" + port}
		}), said{Name: "www.example.com", Protocols: []string{"h2", "http/1.1"}, Version: tls.VersionTLS13}, 0},
		{"curl, an address", sentBy(t, func(port string) []string {
			return []string{"curl", "-sk", "--noproxy", "*", "--no-alpn", "https://127.0.0.1:" + port}
		}), said{Version: tls.VersionTLS13}, 0},
		{"a browser's", records(firefox()), said{"www.example.com", []string{"h2", "http/1.1"}, tls.VersionTLS13, true}, 1448},
	} {
		t.Run(test.name, func(t *testing.T) {
			if len(test.wire) <= test.longer {
				t.Errorf("%d bytes", len(test.wire))
			}
			got, at, complete, err := pieceByPiece(test.wire, 1)
			if !complete || at != len(test.wire) {
				t.Fatalf("complete %t after %d of %d bytes, %v", complete, at, len(test.wire), err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			content := test.wire[recordHead:]
			for _, sizes := range [][]int{nil, {1}, {3, 2}, {len(content) / 2}, {200, 1, 7}} {
				againstOracle(t, []byte(records(content, sizes...)))
			}
		})
	}
}

// againstOracle holds what we read of bytes to what crypto/tls's server reads of
// them: a name or a protocol that a server acts upon must not escape the router
// before it. We may read more: servers look at more of a hello than we do.
func againstOracle(t *testing.T, wire []byte) {
	t.Helper()
	got, complete, err := parse(string(wire))
	if complete && err != nil {
		t.Fatalf("complete, and %v", err)
	}
	if !complete && err == nil && len(wire) >= MaxSize {
		t.Fatalf("no answer after %d bytes", len(wire))
	}
	step := max(1, len(wire)/5000)
	later, at, completeLater, errLater := pieceByPiece(string(wire), step)
	if completeLater != complete || !cmp.Equal(later, got) || (err == nil) != (errLater == nil) || err != nil && err.Error() != errLater.Error() {
		t.Fatalf("at once: %t, %v, %v\nin pieces of %d, after %d: %t, %v, %v", complete, got, err, step, at, completeLater, later, errLater)
	}

	info := oracle(wire)
	if info == nil {
		return
	}
	want := saidTo(info)
	if !complete {
		switch {
		case strings.Contains(want.Name, "\x00"), len(want.Name) > longestSNI: // no host is called so
		case errors.Is(err, ErrNotTLS), !plain(wire): // it is patient with alerts and odd versions
		case len(wire) > MaxSize: // and with many small records
		default:
			t.Fatalf("crypto/tls reads %v; we: %v", want, err)
		}
		return
	}
	if want.Version == 0 {
		want.Version = got.Version
	}
	if !cmp.Equal(want, got) {
		t.Fatalf("crypto/tls reads %v; we %v", want, got)
	}
}

// plain tells whether bytes are handshake records of TLS and nothing else.
func plain(wire []byte) bool {
	for len(wire) >= recordHead {
		if wire[0] != recordHandshake || wire[1] != recordMajor {
			return false
		}
		wire = wire[min(len(wire), recordHead+int(binary.BigEndian.Uint16(wire[3:]))):]
	}
	return true
}

// FuzzAgainstCryptoTLS: any message, cut into records by the bytes of cuts (without any
// the message is what comes from the client, records and all).
func FuzzAgainstCryptoTLS(f *testing.F) {
	for _, content := range []string{
		firefox(), message(named("a.example")), message(offering("h2", "http/1.1"), named("b.example")), bare(""), message(named("a."), offering("\x0a\x0a")),
		message(extension(extServerName, vector(2, "\x07"+vector(2, "a"), "\x00"+vector(2, "b")))), message(named("a"), named("b")),
		message(extension(extSupportedVersions, vector(1, "\x2a\x2a\x03\x04")), extension(extECH, "\x01")),
	} {
		f.Add([]byte(content), []byte{255})
		f.Add([]byte(content), []byte{0})
		f.Add([]byte(content), []byte{4, 30, 1})
		f.Add([]byte(records(content)), []byte(nil))
		f.Add([]byte(records(content[:20])+"\x15\x03\x01\x00\x02\x01\x5a"+records(content[20:])), []byte(nil))
	}
	f.Add([]byte("SSH-2.0-x\r\n"), []byte(nil))
	f.Add([]byte("\x80\x2e\x01\x03\x01"), []byte(nil))
	f.Fuzz(func(t *testing.T, content, cuts []byte) {
		wire := content
		if len(cuts) > 0 {
			sizes := make([]int, len(cuts))
			for i, c := range cuts {
				sizes[i] = int(c) + 1
			}
			wire = []byte(records(string(content), sizes...))
		}
		againstOracle(t, wire)
	})
}
