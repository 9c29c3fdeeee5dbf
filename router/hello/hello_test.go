package hello

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// said is what a hello says, to compare.
type said struct {
	Name      string
	Protocols []string
	Version   uint16
	ECH       bool
}

func saidBy(h *Hello) said {
	s := said{Name: string(h.ServerName), Version: h.Version, ECH: h.ECH}
	for _, p := range h.Protocols {
		s.Protocols = append(s.Protocols, string(p))
	}
	return s
}

// parse reads bytes that come at once.
func parse(wire string) (s said, complete bool, err error) {
	var h Hello
	complete, err = h.Parse([]byte(wire))
	return saidBy(&h), complete, err
}

// pieceByPiece reads bytes that come a few at a time, until there is an answer. at is how
// many it took.
func pieceByPiece(wire string, step int) (s said, at int, complete bool, err error) {
	var h Hello
	b := []byte(wire)
	for at = 0; ; at = min(at+step, len(b)) {
		complete, err = h.Parse(b[:at])
		if complete || err != nil || at == len(b) {
			return saidBy(&h), at, complete, err
		}
	}
}

func TestHello(t *testing.T) {
	tls12 := func(s said) said { s.Version = 0x0303; return s }
	longest := strings.Repeat("n", longestSNI)
	many := []string{"a", "b", "c", "d", "e", "f", strings.Repeat("g", 255)}
	for _, test := range []struct {
		name, message string
		want          said
		err           string
	}{
		{"a browser's", firefox(), said{"www.example.com", []string{"h2", "http/1.1"}, 0x0304, true}, ""},
		{"nothing", message(), tls12(said{}), ""},
		{"before there were extensions", bare(""), tls12(said{}), ""},
		{"a name as it is sent", message(named("WWW.Example.com.")), tls12(said{Name: "WWW.Example.com."}), ""},
		{"an address for a name", message(named("192.0.2.1")), tls12(said{Name: "192.0.2.1"}), ""},
		{"bytes above ASCII", message(named("b\xc3\xbccher.example")), tls12(said{Name: "b\xc3\xbccher.example"}), ""},
		{"the longest name", message(named(longest)), tls12(said{Name: longest}), ""},
		{"a name that is too long", message(named(longest + "n")), said{}, "the server name is longer than 255 bytes"},
		{"an empty name", message(named("")), said{}, "the extension server_name is malformed"},
		{"a NUL", message(named("good.example\x00.evil.example")), said{}, "the server name has a NUL"},
		{"no list", message(extension(extServerName, "")), said{}, "the extension server_name is malformed"},
		{"an empty list", message(extension(extServerName, vector(2))), said{}, "the extension server_name is malformed"},
		{"bytes behind the list", message(extension(extServerName, vector(2, "\x00"+vector(2, "a"))+"x")), said{}, "the extension server_name is malformed"},
		{"a list that is too short", message(extension(extServerName, "\x00\x04\x00\x00\x02a")), said{}, "the extension server_name is malformed"},
		{"a name that ends behind its list", message(extension(extServerName, "\x00\x04\x00\x00\x02a"), named("b")), said{}, "the extension server_name is malformed"},
		{"two names", message(extension(extServerName, vector(2, "\x00"+vector(2, "a"), "\x00"+vector(2, "b")))), said{}, "two server names"},
		{"a name of another kind", message(extension(extServerName, vector(2, "\x07"+vector(2, "a\x00"), "\x00"+vector(2, "b")))), tls12(said{Name: "b"}), ""},
		{"two lists", message(named("a"), named("b")), said{}, "an extension comes twice"},
		{"two lists of protocols", message(offering("a"), offering("a")), said{}, "an extension comes twice"},
		{"two lists of versions", message(extension(extSupportedVersions, vector(1, "\x03\x04")), extension(extSupportedVersions, vector(1, "\x03\x03"))), said{}, "an extension comes twice"},
		{"many protocols", message(offering(many...)), tls12(said{Protocols: many}), ""},
		{"GREASE alone", message(offering("\x0a\x0a")), tls12(said{}), ""},
		{"what only looks like GREASE", message(offering("\x0a\x1a")), tls12(said{Protocols: []string{"\x0a\x1a"}}), ""},
		{"no protocols", message(offering()), said{}, "the extension application_layer_protocol_negotiation is malformed"},
		{"an empty protocol", message(offering("h2", "")), said{}, "the extension application_layer_protocol_negotiation is malformed"},
		{"a protocol that is cut off", message(extension(extProtocols, vector(2, "\x03h2"))), said{}, "the extension application_layer_protocol_negotiation is malformed"},
		{"versions in any order", message(extension(extSupportedVersions, vector(1, "\x03\x03\x03\x04\x03\x01"))), said{Version: 0x0304}, ""},
		{"versions that are none", message(extension(extSupportedVersions, vector(1, "\xda\xda\x7f\x1c"))), tls12(said{}), ""},
		{"no versions", message(extension(extSupportedVersions, vector(1))), said{}, "the extension supported_versions is malformed"},
		{"half a version", message(extension(extSupportedVersions, vector(1, "\x03"))), said{}, "the extension supported_versions is malformed"},
		{"an extension that is cut off", bare(vector(2, "\x00\x23\x00\x01")), said{}, "an extension is cut off"},
		{"extensions that are cut off", bare("\x00\x0b" + named("a")), said{}, "it is cut off"},
		{"bytes after the extensions", bare(vector(2, named("a")) + "x"), said{}, "bytes after the extensions"},
		{"an empty message", "\x01\x00\x00\x00", said{}, "it is cut off"},
		{"a session id that is cut off", "\x01" + vector(3, "\x03\x03", strings.Repeat("r", 32), "\x20session"), said{}, "it is cut off"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.err != "" {
				test.err = "ClientHello: " + test.err
			}
			for _, sizes := range [][]int{nil, {1}, {2}, {3, 1}, {40, 7}, {len(test.message) - 1}} {
				wire := records(test.message, sizes...)
				got, at, complete, err := pieceByPiece(wire, 1)
				if complete != (test.err == "") || !complete && (err == nil || err.Error() != test.err) {
					t.Fatalf("records of %v: complete %t, %v; want %q", sizes, complete, err, test.err)
				}
				if at != len(wire) {
					t.Errorf("records of %v: an answer after %d of %d bytes", sizes, at, len(wire))
				}
				if diff := cmp.Diff(test.want, got); diff != "" {
					t.Errorf("records of %v (-want +got):\n%s", sizes, diff)
				}
				// What comes behind it changes nothing: early data, or more of the same record.
				for _, more := range []string{"\x17\x03\x03\x00\x01x", "\x00", strings.Repeat("x", MaxSize)} {
					after, complete2, err := parse(wire + more)
					if complete2 != complete || (err == nil) != complete || !cmp.Equal(after, got) {
						t.Errorf("records of %v and %q behind them: complete %t, %v, %v", sizes, more[:1], complete2, err, after)
					}
				}
			}
		})
	}
}

// TestEveryCut: two records and two segments, cut at every byte.
func TestEveryCut(t *testing.T) {
	content := firefox()
	want, _, _ := parse(records(content))
	for at := 1; at < len(content); at++ {
		wire := records(content, at, len(content))
		got, complete, err := parse(wire)
		if !complete || err != nil || !cmp.Equal(got, want) {
			t.Fatalf("two records, cut at %d: complete %t, %v, %v", at, complete, err, got)
		}
		var h Hello
		whole := records(content)
		if complete, err := h.Parse([]byte(whole[:at])); complete || err != nil {
			t.Fatalf("the first %d bytes: complete %t, %v", at, complete, err)
		}
		if complete, err := h.Parse([]byte(whole)); !complete || err != nil || !cmp.Equal(saidBy(&h), want) {
			t.Fatalf("two segments, cut at %d: complete %t, %v, %v", at, complete, err, saidBy(&h))
		}
	}
}

// TestNotTLS: what is something else is known from its first bytes, before a client
// that waits for an answer would wait for ours.
func TestNotTLS(t *testing.T) {
	for _, test := range []struct {
		name, wire string
		after      int // bytes, 0: it is not said to be something else
	}{
		{"SSH", "SSH-2.0-OpenSSH_9.2p1\r\n", 1},
		{"RDP", "\x03\x00\x00\x13\x0e\xe0\x00\x00\x00\x00\x00\x01\x00\x08\x00\x03\x00\x00\x00", 1},
		{"HTTP", "GET / HTTP/1.1\r\n\r\n", 1},
		{"PostgreSQL asks for TLS", "\x00\x00\x00\x08\x04\xd2\x16\x2f", 1},
		{"PROXY protocol", "PROXY TCP4", 1},
		{"SSLv2", "\x80\x2e\x01\x03\x01\x00\x15\x00\x00\x00\x10", 1},
		{"an alert", "\x15\x03\x01\x00\x02\x02\x28", 1},
		{"a line with SYN", "\x16hello", 2},
		{"DTLS", "\x16\xfe\xff\x00\x00", 2},
		{"nothing", "", 0},
		{"one byte of TLS", "\x16", 0},
		{"two bytes of TLS", "\x16\x03", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, at, complete, err := pieceByPiece(test.wire, 1)
			if complete || errors.Is(err, ErrNotTLS) != (test.after > 0) || test.after == 0 && err != nil {
				t.Fatalf("complete %t, %v", complete, err)
			}
			if test.after > 0 && at != test.after {
				t.Errorf("known after %d bytes, want %d", at, test.after)
			}
		})
	}
}

func TestRecords(t *testing.T) {
	content := firefox()
	head := func(length int) string {
		return "\x16\x03\x01" + string(binary.BigEndian.AppendUint16(nil, uint16(length)))
	}
	for _, test := range []struct {
		name, wire, err string
		after           int // bytes
	}{
		{"an empty record", head(0), "ClientHello: an empty record", 5},
		{"an empty record later", records(content[:9]) + head(0), "ClientHello: an empty record", 5 + 9 + 5},
		{"a record that is too long", head(recordMax + 1), "ClientHello: a record of 16385 bytes, more than 16384", 5},
		{"an alert in between", records(content[:9]) + "\x15\x03\x03\x00\x02\x01\x00", "ClientHello: a record of type 21 before its end", 5 + 9 + 1},
		{"another version in between", records(content[:9]) + "\x16\x05", "ClientHello: a record of version 5, want 3", 5 + 9 + 2},
		{"a ServerHello", "\x16\x03\x03\x00\x40\x02", "the first message is of type 2, want a ClientHello (1)", 6},
		{"a message that is too long", head(100) + "\x01\x01\x00\x00", "ClientHello: of 65540 bytes, in records of more than 65536", 9},
		{"a message that its records make too long", records("\x01"+vector(3, strings.Repeat("x", MaxSize-recordHead-headSize)), 3),
			"ClientHello: of 65531 bytes, in records of more than 65536", 2*recordHead + headSize},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, at, complete, err := pieceByPiece(test.wire, 1)
			if complete || err == nil || err.Error() != test.err || errors.Is(err, ErrNotTLS) {
				t.Fatalf("complete %t, %v; want %s", complete, err, test.err)
			}
			if at != test.after {
				t.Errorf("known after %d bytes, want %d", at, test.after)
			}
		})
	}
}

// TestMaxSize: a hello of all the bytes that are allowed is read, one more is refused
// before it is waited for, and a buffer of that size is always enough.
func TestMaxSize(t *testing.T) {
	frame := len(message(named("a.example"), extension(21, "")))
	for _, size := range []int{recordMax, 8000, 257} {
		length := MaxSize // of the message, without its records' heads
		for length+(length+size-1)/size*recordHead > MaxSize {
			length--
		}
		wire := records(message(named("a.example"), extension(21, strings.Repeat("\x00", length-frame))), size)
		if len(wire) != MaxSize {
			t.Fatalf("records of %d: %d bytes", size, len(wire))
		}
		if got, at, complete, err := pieceByPiece(wire, 1); !complete || at != MaxSize || got.Name != "a.example" {
			t.Errorf("records of %d: complete %t after %d bytes, %v", size, complete, at, err)
		}
		more := records(message(named("a.example"), extension(21, strings.Repeat("\x00", length-frame+1))), size)
		if _, at, complete, err := pieceByPiece(more, 1); complete || err == nil || at == MaxSize {
			t.Errorf("records of %d: complete %t after %d of %d bytes, %v", size, complete, at, len(more), err)
		}
	}
	for _, sizes := range [][]int{{1}, {2}, {255}, nil} {
		wire := records("\x01\x00\xff\xff"+strings.Repeat("x", 0xffff), sizes...)
		if _, complete, err := parse(wire[:MaxSize]); complete || err == nil {
			t.Errorf("records of %v: no answer after %d bytes", sizes, MaxSize)
		}
	}
}

// TestUsedAgain: a Hello that has answered remembers nothing.
func TestUsedAgain(t *testing.T) {
	first, second := records(firefox()), records(message(offering("imap")))
	var h Hello
	for range 2 {
		if complete, err := h.Parse([]byte(first)); !complete {
			t.Fatal(err)
		}
		if _, err := h.Parse([]byte("GET")); !errors.Is(err, ErrNotTLS) || h.ServerName != nil || h.Protocols != nil || h.Version != 0 || h.ECH {
			t.Errorf("after an error: %v, %v", err, saidBy(&h))
		}
		complete, err := h.Parse([]byte(second))
		if want := (said{Protocols: []string{"imap"}, Version: 0x0303}); !complete || !cmp.Equal(saidBy(&h), want) {
			t.Errorf("complete %t, %v, %v", complete, err, saidBy(&h))
		}
	}
	// Fewer bytes than before are another connection's.
	if complete, err := h.Parse([]byte(records(firefox(), 100)[:1000])); complete || err != nil {
		t.Fatalf("complete %t, %v", complete, err)
	}
	if complete, err := h.Parse([]byte(second)); !complete {
		t.Error(err)
	}
}

// TestAllocations: what a connection costs.
func TestAllocations(t *testing.T) {
	for _, test := range []struct {
		name, wire string
		want       float64
	}{
		{"one record", records(firefox()), 0},
		{"many records", records(firefox(), 100), 1},
		{"not TLS", "SSH-2.0", 0},
	} {
		var h Hello
		b := []byte(test.wire)
		if got := testing.AllocsPerRun(100, func() { h.Parse(b) }); got != test.want {
			t.Errorf("%s: %v allocations, want %v", test.name, got, test.want)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	largest := message(named("a.example"), extension(21, strings.Repeat("\x00", 10800)))
	for _, bench := range []struct {
		name, wire string
		step       int
	}{
		{"one record", records(firefox()), MaxSize},
		{"segments", records(firefox()), 1448},
		{"records of 100", records(firefox(), 100), MaxSize},
		{"64 KiB in records of 1, byte by byte", records(largest, 1), 1},
	} {
		b.Run(bench.name, func(b *testing.B) {
			wire := []byte(bench.wire)
			b.ReportAllocs()
			b.SetBytes(int64(len(wire)))
			var h Hello
			for b.Loop() {
				for at := min(bench.step, len(wire)); ; at = min(at+bench.step, len(wire)) {
					complete, err := h.Parse(wire[:at])
					if err != nil {
						b.Fatal(err)
					}
					if complete {
						break
					}
				}
			}
		})
	}
}
