// Package hello reads the ClientHello that a TLS connection begins with: the name
// that the client asks for, the protocols and the version that it offers. Nothing is
// decrypted and nothing is answered; whoever reads it may still pass every byte on
// to somebody else, as if it had never looked.
//
// The one idea: bytes in, hello out. [Hello.Parse] works on whatever has been read so
// far and asks for more; it neither reads nor waits, so that the engine's own buffers
// and time limits hold.
//
//	var h hello.Hello // one for each connection
//	for {
//		buffer = append(buffer, whatCame...)
//		complete, err := h.Parse(buffer)
//		...
//	}
//
// # What a client may do to us
//
// A hello is longer than a TCP segment as soon as it offers a post-quantum key, and a
// client may cut it into as many records as it likes, one byte each if it must.
// Parse remembers how far it has come, so that a hello that arrives byte by byte
// costs no more than one that arrives at once. [MaxSize] bounds what has to be
// kept: Parse never asks for more than that.
//
// The first byte tells TLS from nearly everything else that may be spoken on the same
// port (SSH sends its banner, RDP 0x03 0x00, HTTP a letter), the second from the
// rest: [ErrNotTLS] comes as soon as that. The hello of SSLv2, which begins with
// 0x80, is not TLS either: nobody has spoken it since 2011 (RFC 6176).
//
// # What is checked
//
// What could be read in two ways is refused, since the server behind us may read it
// in the other: two server names, a name with a NUL, an extension that comes twice
// or is cut off. Anything else that is wrong with a hello is left to the server that
// answers it. Names are returned as they were sent, neither folded to lower
// case nor checked to be host names.
//
// A client that encrypts its hello (ECH) sends two: the outer one, readable, with the
// name of whoever holds the key, and the inner one, which only that server can
// read. The outer one is the one we see; a router routes by it.
package hello
