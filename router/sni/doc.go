// Package sni decides which certificate and which demand for a client certificate a
// TLS connection gets, by the name that its client asks for, for one name or for a
// hundred thousand:
//
//	https      = :443,/etc/front/default.crt,/etc/front/default.key
//	sni        = www.example.com /etc/site.crt,/etc/site.key,HIGH,!/etc/staff-ca.pem
//	sni        = *.example.com /etc/wild.crt,/etc/wild.key
//	sni-regexp = ^([a-z]+)\.example\.net$ /etc/net/$1.crt,/etc/net/$1.key
//	sni-dir    = /etc/customers/certificates
//
// It never opens a file. The router is confined and has no right to any key, so
// what a file holds comes as bytes through a [Loader], and paths are only names by
// which to ask for it.
//
// # From options to connections
//
//  1. [ParseHTTPS], [ParseHTTPS2], [ParseSNI] and [ParseSNIRegexp] read the options,
//     [ReadDirectory] the file names below an sni-dir, [ParseCiphers] OpenSSL's
//     cipher strings.
//  2. [Compile] makes an immutable [Table] of them: names only, so that a hundred
//     thousand cost little and start at once. [Table.Find] answers with a [Choice].
//  3. [Certificates] owns what is loaded: a bounded cache, one load per pair however
//     many clients wait for it, failures remembered for a moment. A pair that was
//     good stays when its successor is not.
//  4. [Certificates.Listener] makes a [Listener] whose TLSConfig goes to crypto/tls.
//     A [Handshake] given along notes what was chosen and why, for the log and for
//     [Listener.Misdirected].
//  5. [Client] is what vassals are told of a verified client certificate.
//
// # The order of names
//
// A name is matched in lower case and without its trailing dot: exact names of sni,
// exact names of the directories, wildcards with the longest first, regular
// expressions as they are written, names whose certificates are ordered ([Issued]),
// sni = *, the listener's own certificate. If it has none,
// the client gets the alert unrecognized_name. "*.example.com" is for names of any
// depth below example.com and not for example.com itself.
//
// # A name's demands follow the Host
//
// TLS knows the name that a client asks for, a request the host that it is meant
// for, and nobody makes the two agree. Each name has a [Policy]; a request for a host
// whose PolicyID differs from the one that its connection was made under has to be
// answered 421. Nor may a session that began under one policy go on under another:
// tickets are sealed with keys that are derived, from one [Ring] that all generations
// of the router share, for each pair of files and policy.
package sni
