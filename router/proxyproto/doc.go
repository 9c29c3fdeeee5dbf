// Package proxyproto reads and writes the PROXY protocol, versions 1 and 2: the
// header by which a load balancer in front of us says who the visitor is, and by
// which we say it to a backend that TLS is passed through to.
//
// The one idea: bytes in, header out. Parse works on whatever has been read so far
// and asks for more; it neither reads nor waits, so that the engine's own buffers
// and time limits hold. It accepts exactly what the specification (HAProxy's
// proxy-protocol.txt) allows and repairs nothing: who may send this header may say
// that a request comes from anywhere, so a header that can be read in two ways is
// refused.
//
// Whom to believe is not decided here: ask for the header only where the
// connection's peer is on the list of those that may send it, and require it there.
package proxyproto
