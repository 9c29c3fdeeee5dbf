package proxyproto

import (
	"bufio"
	"bytes"
	"net"
	"testing"

	library "github.com/pires/go-proxyproto"
)

// FuzzAgainstLibrary holds Parse to another implementation: what we take it takes
// too and understands the same; what it takes and we do not is stricter on purpose,
// for a reason that is listed here.
func FuzzAgainstLibrary(f *testing.F) {
	for _, in := range []string{
		"PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\nrest",
		"PROXY TCP6 2001:db8::1 ::ffff:192.0.2.1 0 65535\r\n",
		"PROXY UNKNOWN a b\r\n", "PROXY UNKNOWN\n", "PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n", "GET /\r\n",
		v2(0x21, 0x11, four), v2(0x21, 0x21, six, tlv(ALPN, "h2")), v2(0x21, 0x31, unix), v2(0x20, 0), v2(0x20, 0x11, "x"),
		v2(0x21, 0x12, four), v2(0x21, 0x11, four, tlv(TLSInfo, "\x01\x00\x00\x00\x00"+tlv(0x21, "TLSv1.3"))),
		v2(0x21, 0x11, four, tlv(CRC32C, "abcd")), v2(0x21, 0x21, mapped), v2(0x21, 0x11, four, tlv(UniqueID, "x"), tlv(NoOp, "0000")),
	} {
		f.Add([]byte(in))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		h, n, err := Parse(b)
		if n > len(b) || n < 0 || (n > 0) != (err == nil && h.Version != 0) {
			t.Fatalf("%d of %d bytes, version %d, %v", n, len(b), h.Version, err)
		}
		reader := bufio.NewReaderSize(bytes.NewReader(b), 1<<17)
		theirs, theirErr := library.Read(reader)
		switch {
		case n > 0 && theirErr != nil:
			// The specification leaves a visitor without an address family to the receiver.
			if h.Version == 2 && b[12] == commandProxy && b[13] == familyNone {
				return
			}
			t.Fatalf("the library: %v", theirErr)
		case n == 0 && theirErr == nil:
			if !stricter(b, theirs) {
				t.Fatalf("the library takes it as %+v, we: %v", theirs, err)
			}
		case n > 0:
			if rest := reader.Buffered(); rest != len(b)-n {
				t.Fatalf("%d bytes, the library leaves %d of %d", n, rest, len(b))
			}
			compare(t, &h, theirs)
			again(t, &h)
		}
	})
}

// stricter tells whether Parse has a reason of its own to refuse what the library
// takes.
func stricter(b []byte, theirs *library.Header) bool {
	if theirs.Version == 1 {
		// It lets anything follow UNKNOWN.
		return theirs.Command.IsLocal()
	}
	size := int(b[14])<<8 | int(b[15])
	fields := lengthV2 + addressesSize(b[13])
	switch {
	case lengthV2+size > MaxSize:
	case theirs.TransportProtocol.IsDatagram():
	case fields <= lengthV2+size && checkTLVs(b[:lengthV2+size], fields) != nil: // it looks at them when asked
	default:
		return false
	}
	return true
}

func compare(t *testing.T, h *Header, theirs *library.Header) {
	t.Helper()
	if int(theirs.Version) != h.Version || theirs.Command.IsLocal() != h.Local {
		t.Fatalf("version %d, local %v; the library: %d, %v", h.Version, h.Local, theirs.Version, theirs.Command.IsLocal())
	}
	switch {
	case h.Local:
	case h.Unix:
		source, destination, ok := theirs.UnixAddrs()
		// It ends an abstract name before it begins.
		if !ok || !named(source, h.SourcePath) || !named(destination, h.DestinationPath) {
			t.Fatalf("%q, %q; the library: %v, %v", h.SourcePath, h.DestinationPath, source, destination)
		}
	default:
		source, destination, ok := theirs.TCPAddrs()
		if !ok || !same(source, h.Source.Addr().Unmap().AsSlice(), h.Source.Port()) || !same(destination, h.Destination.Addr().AsSlice(), h.Destination.Port()) {
			t.Fatalf("%v, %v; the library: %v, %v", h.Source, h.Destination, source, destination)
		}
	}
	tlvs, err := theirs.TLVs()
	if h.Version == 1 || h.Local {
		return
	}
	if err != nil {
		t.Fatalf("the library takes no fields: %v", err)
	}
	i := 0
	for kind, value := range h.All() {
		if i == len(tlvs) || byte(tlvs[i].Type) != kind || kind != NoOp && !bytes.Equal(tlvs[i].Value, value) {
			t.Fatalf("field %d: %#02x %q; the library: %v", i, kind, value, tlvs)
		}
		i++
	}
	if i != len(tlvs) {
		t.Fatalf("%d fields, the library: %v", i, tlvs)
	}
}

func named(a *net.UnixAddr, name []byte) bool {
	if len(name) > 0 && name[0] == 0 {
		name = nil
	}
	return a.Name == string(name)
}

func same(a *net.TCPAddr, ip net.IP, port uint16) bool {
	return a.IP.Equal(ip) && a.Port == int(port)
}

// again: what is written from a header is read as the same, by the library too.
func again(t *testing.T, h *Header) {
	t.Helper()
	if !h.Unix {
		b := h.AppendV1(nil)
		back, n, err := Parse(b)
		if err != nil || n != len(b) || back.Source != h.Source || back.Destination != h.Destination || back.Local != h.Local {
			t.Fatalf("%q is read as %+v, %v", b, back, err)
		}
		if _, err := library.Read(bufio.NewReader(bytes.NewReader(b))); err != nil {
			t.Fatalf("%q: the library: %v", b, err)
		}
	}
	b, err := h.AppendV2(nil, true)
	if err != nil {
		if len(h.TLVs) < MaxSize-lengthV2-2*pathSize-tlvHead-4 {
			t.Fatal(err)
		}
		return
	}
	back, n, err := Parse(b)
	if err != nil || n != len(b) || back.Source != h.Source || back.Destination != h.Destination || back.Local != h.Local || back.Unix != h.Unix {
		t.Fatalf("%q is read as %+v, %v", b, back, err)
	}
	theirs, err := library.Read(bufio.NewReader(bytes.NewReader(b)))
	if err != nil {
		t.Fatalf("%q: the library: %v", b, err)
	}
	compare(t, &back, theirs)
}
