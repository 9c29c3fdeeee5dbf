package hello

import (
	"encoding/binary"
	"strings"
)

// vector is content behind its length, which has size bytes.
func vector(size int, content ...string) string {
	joined := strings.Join(content, "")
	length := binary.BigEndian.AppendUint32(nil, uint32(len(joined)))
	return string(length[4-size:]) + joined
}

// extension is one of a hello.
func extension(kind uint16, content string) string {
	return string(binary.BigEndian.AppendUint16(nil, kind)) + vector(2, content)
}

// named is the extension server_name.
func named(name string) string {
	return extension(extServerName, vector(2, "\x00"+vector(2, name)))
}

// offering is the extension for ALPN.
func offering(protocols ...string) string {
	list := ""
	for _, p := range protocols {
		list += vector(1, p)
	}
	return extension(extProtocols, vector(2, list))
}

// message is a ClientHello of TLS 1.2 and its head.
func message(extensions ...string) string {
	return bare(vector(2, extensions...))
}

// bare is a ClientHello that ends as it is told.
func bare(end string) string {
	return "\x01" + vector(3, "\x03\x03", strings.Repeat("r", 32), vector(1, "session"), vector(2, "\x13\x01\x0a\x0a"), vector(1, "\x00"), end)
}

// records puts bytes into records of given sizes, which are repeated as often as it
// takes; into as few as possible without sizes.
func records(content string, sizes ...int) string {
	var wire strings.Builder
	for i := 0; len(content) > 0; i++ {
		size := recordMax
		if len(sizes) > 0 {
			size = sizes[i%len(sizes)]
		}
		size = min(size, len(content))
		wire.WriteString("\x16\x03\x01" + vector(2, content[:size]))
		content = content[size:]
	}
	return wire.String()
}

// firefox is a hello as long as a browser's with a post-quantum key is, with what
// Chrome adds so that servers do not stiffen (GREASE).
func firefox() string {
	return message(
		extension(0x2a2a, ""),
		named("www.example.com"),
		extension(10, vector(2, "\x6a\x6a\x11\xec\x00\x1d\x00\x17")),
		offering("\x8a\x8a", "h2", "http/1.1"),
		extension(51, vector(2, "\x6a\x6a"+vector(2, "\x00"), "\x11\xec"+vector(2, strings.Repeat("k", 1216)), "\x00\x1d"+vector(2, strings.Repeat("k", 32)))),
		extension(extSupportedVersions, vector(1, "\xfa\xfa\x03\x03\x03\x04")),
		extension(extECH, "\x00\x00\x01\x00\x01\x07"+vector(2, strings.Repeat("e", 32))+vector(2, strings.Repeat("p", 144))),
		extension(0xdada, "\x00"),
	)
}
