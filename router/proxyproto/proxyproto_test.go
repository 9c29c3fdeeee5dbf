package proxyproto

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var compareAddrPort = cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })

func ap(text string) netip.AddrPort { return netip.MustParseAddrPort(text) }

// v2 builds a header: command and family, addresses and fields as they are.
func v2(command, family byte, rest ...string) string {
	body := strings.Join(rest, "")
	head := binary.BigEndian.AppendUint16([]byte(string(startV2)+string([]byte{command, family})), uint16(len(body)))
	return string(head) + body
}

// tlv builds a field.
func tlv(kind byte, value string) string { return string(AppendTLV(nil, kind, []byte(value))) }

const (
	four = "\xc0\x00\x02\x01\xc6\x33\x64\x01\xdc\x04\x01\xbb"
	six  = "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01" +
		"\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\xdc\x04\x01\xbb"
	mapped = "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xc0\x00\x02\x01" +
		"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xc6\x33\x64\x01\xdc\x04\x01\xbb"
)

var (
	unix     = "/run/a.sock" + strings.Repeat("\x00", 108-11) + "\x00abstract" + strings.Repeat("\x00", 108-9)
	visitor4 = Header{Source: ap("192.0.2.1:56324"), Destination: ap("198.51.100.1:443")}
	visitor6 = Header{Source: ap("[2001:db8::1]:56324"), Destination: ap("[2001:db8::2]:443")}
)

func version(n int, h Header, tlvs string) Header {
	h.Version = n
	if tlvs != "" {
		h.TLVs = []byte(tlvs)
	}
	return h
}

func TestParse(t *testing.T) {
	sum, err := (&Header{Source: visitor4.Source, Destination: visitor4.Destination, TLVs: []byte(tlv(ALPN, "h2"))}).AppendV2(nil, true)
	if err != nil {
		t.Fatal(err)
	}
	wrongSum := strings.Replace(string(sum), "h2", "h3", 1)
	for _, test := range []struct {
		name, in string
		want     Header
		err      string // "" none
	}{
		{"TCP4", "PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n", version(1, visitor4, ""), ""},
		{"TCP6", "PROXY TCP6 2001:db8::1 2001:db8::2 56324 443\r\n", version(1, visitor6, ""), ""},
		{"TCP6 with mapped addresses", "PROXY TCP6 ::ffff:192.0.2.1 ::ffff:198.51.100.1 56324 443\r\n", version(1, visitor4, ""), ""},
		{"UNKNOWN", "PROXY UNKNOWN\r\n", Header{Version: 1, Local: true}, ""},
		{"UNKNOWN with more", "PROXY UNKNOWN ffff:f::ffff 1 2 x\r\n", Header{Version: 1, Local: true}, ""},
		{"the longest", "PROXY UNKNOWN " + strings.Repeat("x", 91) + "\r\n", Header{Version: 1, Local: true}, ""},
		{"too long", "PROXY UNKNOWN " + strings.Repeat("x", 92) + "\r\n", Header{}, "byte 107: the line is longer than 107 bytes"},
		{"never ending", "PROXY " + strings.Repeat("x", 200), Header{}, "byte 107: the line is longer"},
		{"LF", "PROXY UNKNOWN\n", Header{}, "byte 13: the line ends with LF alone"},
		{"CR inside", "PROXY UNKNOWN \r \r\n", Header{}, `byte 14: want printable text, got byte 0x0d`},
		{"not ASCII", "PROXY UNKNOWN \xff\r\n", Header{}, "byte 14: want printable text"},
		{"no family", "PROXY \r\n", Header{}, "byte 6: want TCP4, TCP6 or UNKNOWN"},
		{"two spaces", "PROXY  TCP4 192.0.2.1 198.51.100.1 1 2\r\n", Header{}, "byte 6: want TCP4"},
		{"two spaces later", "PROXY TCP4 192.0.2.1  198.51.100.1 1 2\r\n", Header{}, "byte 21: want the destination address"},
		{"UDP4", "PROXY UDP4 192.0.2.1 198.51.100.1 1 2\r\n", Header{}, `byte 6: want TCP4, TCP6 or UNKNOWN, got "UDP4"`},
		{"UNKNOWNS", "PROXY UNKNOWNS\r\n", Header{}, "byte 6: want TCP4, TCP6 or UNKNOWN"},
		{"names for addresses", "PROXY TCP4 foo bar 1 2\r\n", Header{}, `byte 11: want the source address, IPv4, got "foo"`},
		{"IPv6 in TCP4", "PROXY TCP4 192.0.2.1 ::1 1 2\r\n", Header{}, `byte 21: want the destination address, IPv4, got "::1"`},
		{"IPv4 in TCP6", "PROXY TCP6 192.0.2.1 ::1 1 2\r\n", Header{}, `byte 11: want the source address, IPv6`},
		{"zone", "PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n", Header{}, `byte 11: want the source address, IPv6`},
		{"zeros in front", "PROXY TCP4 192.0.2.001 198.51.100.1 1 2\r\n", Header{}, `byte 11: want the source address`},
		{"port too large", "PROXY TCP4 192.0.2.1 198.51.100.1 65536 2\r\n", Header{}, `byte 34: want the source port, 0 to 65535, got "65536"`},
		{"port with zero in front", "PROXY TCP4 192.0.2.1 198.51.100.1 1 02\r\n", Header{}, `byte 36: want the destination port`},
		{"signed port", "PROXY TCP4 192.0.2.1 198.51.100.1 +1 2\r\n", Header{}, `byte 34: want the source port`},
		{"long port", "PROXY TCP4 192.0.2.1 198.51.100.1 99999999999999999999 2\r\n", Header{}, `byte 34: want the source port`},
		{"no port", "PROXY TCP4 192.0.2.1 198.51.100.1 1\r\n", Header{}, `byte 35: want the destination port`},
		{"more", "PROXY TCP4 192.0.2.1 198.51.100.1 1 2 3\r\n", Header{}, "byte 37: want the end of the line"},
		{"space at the end", "PROXY TCP4 192.0.2.1 198.51.100.1 1 2 \r\n", Header{}, "byte 37: want the end of the line"},

		{"v2 TCP4", v2(0x21, 0x11, four), version(2, visitor4, ""), ""},
		{"v2 TCP6", v2(0x21, 0x21, six), version(2, visitor6, ""), ""},
		{"v2 TCP6 with mapped addresses", v2(0x21, 0x21, mapped), version(2, visitor4, ""), ""},
		{"v2 unix", v2(0x21, 0x31, unix), Header{Version: 2, Unix: true, SourcePath: []byte("/run/a.sock"), DestinationPath: []byte("\x00abstract")}, ""},
		{"v2 fields", v2(0x21, 0x11, four, tlv(ALPN, "h2"), tlv(0xe0, ""), tlv(0xe0, "x")), version(2, visitor4, tlv(ALPN, "h2")+tlv(0xe0, "")+tlv(0xe0, "x")), ""},
		{"v2 LOCAL", v2(0x20, 0x00), Header{Version: 2, Local: true}, ""},
		{"v2 LOCAL with fields", v2(0x20, 0x00, tlv(UniqueID, "7")), Header{Version: 2, Local: true, TLVs: []byte(tlv(UniqueID, "7"))}, ""},
		{"v2 LOCAL with anything", v2(0x20, 0x00, "anything"), Header{Version: 2, Local: true}, ""},
		{"v2 LOCAL with addresses", v2(0x20, 0x11, four), Header{Version: 2, Local: true}, ""},
		{"v2 LOCAL with too little", v2(0x20, 0x22, "x"), Header{Version: 2, Local: true}, ""},
		{"v2 without family", v2(0x21, 0x00, tlv(ALPN, "h2")), Header{Version: 2, Local: true, TLVs: []byte(tlv(ALPN, "h2"))}, ""},
		{"v2 checksum", string(sum), version(2, visitor4, string(sum[28:])), ""},

		{"v2 version 1", v2(0x11, 0x11, four), Header{}, "byte 12: want version 2 with command 0 or 1, got 0x11"},
		{"v2 command 2", v2(0x22, 0x11, four), Header{}, "byte 12: want version 2"},
		{"v2 UDP", v2(0x21, 0x12, four), Header{}, "byte 13: want a stream (TCP or unix), got datagrams"},
		{"v2 unknown transport", v2(0x21, 0x13, four), Header{}, "byte 13: there is no address family and transport 0x13"},
		{"v2 LOCAL unknown family", v2(0x20, 0x41), Header{}, "byte 13: there is no address family"},
		{"v2 short", v2(0x21, 0x21, four), Header{}, "byte 14: the addresses alone have 36 bytes, got 12"},
		{"v2 too long", v2(0x21, 0x11, four, strings.Repeat("x", 4069)), Header{}, "byte 14: the header has 4097 bytes, more than 4096"},
		{"v2 field without length", v2(0x21, 0x11, four, "\xe0\x00"), Header{}, "byte 28: a field is cut off"},
		{"v2 field too long", v2(0x21, 0x11, four, "\xe0\x00\x02x"), Header{}, "byte 28: a field has 2 bytes, but only 1 are left"},
		{"v2 two names", v2(0x21, 0x11, four, tlv(Authority, "a"), tlv(Authority, "b")), Header{}, "byte 32: a second field of kind 0x02"},
		{"v2 checksum of 3 bytes", v2(0x21, 0x11, four, tlv(CRC32C, "abc")), Header{}, "byte 28: a checksum has 4 bytes, got 3"},
		{"v2 wrong checksum", wrongSum, Header{}, "byte 36: the checksum is wrong"},
		{"v2 long id", v2(0x21, 0x11, four, tlv(UniqueID, strings.Repeat("x", 129))), Header{}, "byte 28: the unique id has 129 bytes"},
		{"v2 short TLS", v2(0x21, 0x11, four, tlv(TLSInfo, "\x01\x00\x00\x00")), Header{}, "byte 28: what is said about TLS has 4 bytes"},
		{"v2 TLS cut off", v2(0x21, 0x11, four, tlv(TLSInfo, "\x01\x00\x00\x00\x00\x21\x00\x09x"), tlv(NoOp, "12345678")), Header{}, "byte 36: a field has 9 bytes, but only 1 are left"},

		{"HTTP", "GET / HTTP/1.1\r\n", Header{}, "no PROXY protocol header"},
		{"HTTP with P", "POST / HTTP/1.1\r\n", Header{}, "no PROXY protocol header"},
		{"HTTP after empty lines", "\r\n\r\nGET / HTTP/1.1\r\n", Header{}, "no PROXY protocol header"},
		{"TLS", "\x16\x03\x01\x02\x00", Header{}, "no PROXY protocol header"},
		{"lower case", "proxy UNKNOWN\r\n", Header{}, "no PROXY protocol header"},
	} {
		t.Run(test.name, func(t *testing.T) {
			// What follows belongs to the connection.
			h, n, err := Parse([]byte(test.in + "GET / HTTP/1.1\r\n"))
			if test.err != "" {
				if err == nil || n != 0 || !strings.Contains(err.Error(), test.err) {
					t.Fatalf("%d, %v; want error %q", n, err, test.err)
				}
				return
			}
			if err != nil || n != len(test.in) {
				t.Fatalf("%d, %v; want %d", n, err, len(test.in))
			}
			if d := cmp.Diff(test.want, h, compareAddrPort); d != "" {
				t.Error(d)
			}
			for i := range len(test.in) {
				if h, n, err := Parse([]byte(test.in[:i])); n != 0 || err != nil || h.Version != 0 {
					t.Fatalf("of its first %d bytes: %d, %v; want more to be asked for", i, n, err)
				}
			}
		})
	}
}

// TestParseRefusesEarly: what can't become a header is not waited for.
func TestParseRefusesEarly(t *testing.T) {
	for _, in := range []string{"G", "PROXYX", "PU", "\r\n\r\n\x00\r\nQUIX", "\n"} {
		if _, _, err := Parse([]byte(in)); !errors.Is(err, ErrNone) {
			t.Errorf("%q: %v, want ErrNone", in, err)
		}
	}
	if _, _, err := Parse([]byte(string(startV2) + "\x21\x12\x00\x0c")); err == nil {
		t.Error("datagrams are waited for")
	}
}

func TestSSL(t *testing.T) {
	want := SSL{TLS: true, Certificate: true, Verified: true, Version: []byte("TLSv1.3"), CommonName: []byte("client"),
		Cipher: []byte("TLS_AES_128_GCM_SHA256"), Signature: []byte("SHA256"), Key: []byte("RSA2048")}
	h := visitor4
	h.TLVs = AppendSSL(AppendTLV(nil, Authority, []byte("example.com")), &want)
	b, err := h.AppendV2(nil, true)
	if err != nil {
		t.Fatal(err)
	}
	got, _, err := Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	if name, _ := got.Find(Authority); string(name) != "example.com" {
		t.Errorf("authority %q", name)
	}
	ssl, ok := got.SSL()
	if d := cmp.Diff(want, ssl); !ok || d != "" {
		t.Error(d)
	}
	// Verification "succeeded" for want of a certificate means nothing.
	h.TLVs = AppendSSL(nil, &SSL{TLS: true, Verified: true})
	if ssl, _ := h.SSL(); ssl.Verified {
		t.Error("verified without a certificate")
	}
	if _, ok := (&Header{}).SSL(); ok {
		t.Error("TLS of nothing")
	}
}

func TestAppend(t *testing.T) {
	mixed := Header{Source: visitor4.Source, Destination: visitor6.Destination}
	for _, test := range []struct {
		name   string
		header Header
		v1     string
	}{
		{"IPv4", visitor4, "PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n"},
		{"IPv6", visitor6, "PROXY TCP6 2001:db8::1 2001:db8::2 56324 443\r\n"},
		{"both", mixed, "PROXY TCP6 ::ffff:192.0.2.1 2001:db8::2 56324 443\r\n"},
		{"local", Header{Local: true}, "PROXY UNKNOWN\r\n"},
		{"nothing", Header{}, "PROXY UNKNOWN\r\n"},
		{"unix", Header{Unix: true, SourcePath: []byte("/run/a.sock"), DestinationPath: []byte("\x00b")}, "PROXY UNKNOWN\r\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := string(test.header.AppendV1([]byte("x"))); got != "x"+test.v1 {
				t.Errorf("%q, want %q", got, test.v1)
			}
			for _, checksum := range []bool{false, true} {
				h := test.header
				h.TLVs = AppendTLV(AppendTLV(nil, CRC32C, []byte("of another")), UniqueID, []byte("id"))
				b, err := h.AppendV2([]byte("x"), checksum)
				if err != nil {
					t.Fatal(err)
				}
				got, n, err := Parse(b[1:])
				if err != nil || n != len(b)-1 {
					t.Fatalf("%d of %d, %v", n, len(b)-1, err)
				}
				if _, ok := got.Find(CRC32C); ok != checksum {
					t.Errorf("checksum: %v", ok)
				}
				if id, _ := got.Find(UniqueID); string(id) != "id" {
					t.Errorf("id %q", id)
				}
				want := test.header
				want.Version, want.TLVs, got.TLVs = 2, nil, nil
				want.Local = !want.hasAddresses() && !want.Unix
				if d := cmp.Diff(want, got, compareAddrPort); d != "" {
					t.Error(d)
				}
			}
		})
	}
	for _, h := range []Header{
		{Local: true, TLVs: AppendTLV(nil, 0xe0, make([]byte, 5000))},
		{Unix: true, SourcePath: make([]byte, 109)},
	} {
		if b, err := h.AppendV2([]byte("x"), false); err == nil || string(b) != "x" {
			t.Errorf("%d bytes, %v; want an error", len(b), err)
		}
	}
}

func TestParseAllocatesNothing(t *testing.T) {
	for _, in := range []string{v2(0x21, 0x11, four, tlv(ALPN, "h2")), v2(0x21, 0x21, six)} {
		b := []byte(in)
		if n := testing.AllocsPerRun(100, func() {
			if _, n, _ := Parse(b); n == 0 {
				t.Fatal("not parsed")
			}
		}); n != 0 {
			t.Errorf("%v allocations", n)
		}
	}
}

// TestParseHAProxy reads what HAProxy 2.6 sends with crc32c, unique-id, authority and
// all it says about TLS: without and with TLS and a client certificate.
func TestParseHAProxy(t *testing.T) {
	plain := "\r\n\r\n\x00\r\nQUIT\n!\x11\x00-\x7f\x00\x00\x01\x7f\x00\x00\x01\xe9r\"\xed\x03\x00\x04\xa5\x05\x8b\xce\x05\x00\x0f127.0.0.1-59762 \x00\x05\x00\x00\x00\x00\x00"
	h, n, err := Parse([]byte(plain))
	if err != nil || n != len(plain) || h.Source != ap("127.0.0.1:59762") || h.Destination != ap("127.0.0.1:8941") {
		t.Errorf("%d, %+v, %v", n, h, err)
	}
	if ssl, ok := h.SSL(); !ok || ssl.TLS || ssl.Verified {
		t.Errorf("%v, %+v", ok, ssl)
	}
	secure := "\r\n\r\n\x00\r\nQUIT\n!\x11\x00\x81\x7f\x00\x00\x01\x7f\x00\x00\x01\xc3\xe2\"\xee\x03\x00\x04\n\xae\xad\x19\x02\x00\x0fwww.example.com\x05\x00\x0f127.0.0.1-50146 \x00G\x07\x00\x00\x00\x00!\x00\x07TLSv1.3\"\x00\x05front%\x00\x07RSA2048$\x00\nRSA-SHA256#\x00\x16TLS_AES_256_GCM_SHA384"
	h, n, err = Parse([]byte(secure))
	if err != nil || n != len(secure) {
		t.Fatal(n, err)
	}
	name, _ := h.Find(Authority)
	id, _ := h.Find(UniqueID)
	if string(name) != "www.example.com" || string(id) != "127.0.0.1-50146" {
		t.Errorf("authority %q, id %q", name, id)
	}
	want := SSL{TLS: true, Certificate: true, Session: true, Verified: true, Version: []byte("TLSv1.3"), CommonName: []byte("front"),
		Cipher: []byte("TLS_AES_256_GCM_SHA384"), Signature: []byte("RSA-SHA256"), Key: []byte("RSA2048")}
	if ssl, ok := h.SSL(); !ok || cmp.Diff(want, ssl) != "" {
		t.Error(ok, cmp.Diff(want, ssl))
	}
}

func BenchmarkParse(b *testing.B) {
	for _, test := range []struct{ name, in string }{
		{"v1", "PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n"},
		{"v2", v2(0x21, 0x11, four)},
	} {
		b.Run(test.name, func(b *testing.B) {
			in := []byte(test.in)
			b.ReportAllocs()
			for b.Loop() {
				_, _, _ = Parse(in)
			}
		})
	}
}
