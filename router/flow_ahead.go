package router

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"emperor/router/proxyproto"
	"emperor/router/sni"
)

// opening is what goes ahead of the client's bytes, and what has been read of those.
func (f *flow) opening() []byte {
	var read []byte
	if x := f.c.x; x != nil {
		read = x.in[x.start:x.end]
	}
	if f.decision.Proxy == 0 {
		return read
	}
	return append(f.appendProxyHeader(nil), read...)
}

// appendProxyHeader says who the client is, whom it asks for, and how it speaks.
func (f *flow) appendProxyHeader(dst []byte) []byte {
	c := f.c
	h := proxyproto.Header{Source: netip.AddrPortFrom(c.peer.remote, c.peer.port16), Destination: c.localAddress()}
	h.Local = !h.Source.IsValid() || !h.Destination.IsValid()
	if f.decision.Proxy == 1 {
		return h.AppendV1(dst)
	}
	if f.asked != nil {
		if f.asked.Name != "" {
			h.TLVs = proxyproto.AppendTLV(h.TLVs, proxyproto.Authority, []byte(f.asked.Name))
		}
		// What will be agreed upon is known where TLS ends here, or nothing else is offered.
		if c.tls != nil {
			if p := c.peer.secured.state.NegotiatedProtocol; p != "" {
				h.TLVs = proxyproto.AppendTLV(h.TLVs, proxyproto.ALPN, []byte(p))
			}
		} else if len(f.asked.Protocols) == 1 {
			h.TLVs = proxyproto.AppendTLV(h.TLVs, proxyproto.ALPN, f.asked.Protocols[0])
		}
	}
	if c.tls != nil {
		state := &c.peer.secured.state
		h.TLVs = proxyproto.AppendSSL(h.TLVs, &proxyproto.SSL{TLS: true, Version: []byte(sni.ProtocolName(state.Version)), Cipher: []byte(sni.CipherName(state.CipherSuite))})
	}
	if whole, err := h.AppendV2(dst, false); err == nil {
		return whole
	}
	h.TLVs = nil // too long a name for a header
	whole, _ := h.AppendV2(dst, false)
	return whole
}

// localAddress is the one that the client has connected to; invalid for a unix socket.
func (c *client) localAddress() (local netip.AddrPort) {
	if c.peer.local.IsValid() {
		return c.peer.local
	}
	c.socket.Control(func(fd int) {
		name, err := unix.Getsockname(fd)
		if err != nil {
			return
		}
		switch name := name.(type) {
		case *unix.SockaddrInet4:
			local = netip.AddrPortFrom(netip.AddrFrom4(name.Addr), uint16(name.Port))
		case *unix.SockaddrInet6:
			local = netip.AddrPortFrom(netip.AddrFrom16(name.Addr).Unmap(), uint16(name.Port))
		}
	})
	return local
}

// mostGreeting is the longest line that a mail server may greet with (RFC 5321
// §4.5.3.1.5), and then some.
const mostGreeting = 4 << 10

// greet hands a mail server's greeting on, and tells the server who its client is
// (rawrouter-xclient). The server's answer to that goes to the client, as uWSGI's
// rawrouter does it: Postfix greets once more.
func (f *flow) greet(patience time.Duration) error {
	f.conn.Deadline.Set(patience)
	var greeting []byte
	for buffer := make([]byte, mostGreeting); !bytes.HasSuffix(greeting, []byte("\n")); {
		n, err := f.conn.Read(buffer)
		greeting = append(greeting, buffer[:n]...)
		if err != nil {
			return err
		}
		if len(greeting) > mostGreeting {
			return errors.New("the first line has no end")
		}
	}
	address := f.c.peer.remoteAddr
	if f.c.peer.remote.Is6() {
		address = append([]byte("IPV6:"), address...)
	}
	if _, err := fmt.Fprintf(f.conn, "XCLIENT ADDR=%s\r\n", address); err != nil {
		return err
	}
	f.c.socket.Writing.Set(patience)
	defer f.c.socket.Writing.Clear()
	_, err := f.c.socket.Write(greeting)
	return err
}
