// Package acme has certificates for hosts that the front serves: it orders them
// from an ACME certificate authority such as Let's Encrypt (RFC 8555), keeps them on
// disk with their keys, renews them in time, and never orders more than it should.
//
// The one idea: ordering is slow, can fail for reasons outside, and is limited by the
// authority, so it happens beside everything else and nobody depends on it. A
// [Manager] knows for each name what there is and what comes next; a handshake gets
// what is on disk at once, and waits, for a moment, only for a name whose order is
// under way.
//
// # What is ordered
//
// Hosts that rules spell are ordered before anybody asks; others, which rules with
// captures serve, when somebody asks for them first and acme-allow or acme-ask says
// yes. In either case the order waits until a vassal is really there for the name.
//
// # How it is proved
//
// The authority comes to the front, by HTTP or TLS, for what [Options].Prove has
// given it. The front is another process without any right to files: keys of
// certificates reach it only as answers to its questions, one name at a time.
//
// # How too many orders are avoided
//
// The ledger, on disk beside the certificates, has each order before it is sent. A
// program that crashes while it orders, and is started again, and crashes again, finds
// its own traces and waits; see the type ledger for the limits.
//
// # What CertMagic does
//
// The library's storage, locks between processes, keys and requests are used as they
// are, so that its files are laid out as in other programs that use it. Of its issuer
// only what it rests on (acmez) is used, since it would open ports of its own for
// challenges; and when to order or renew is decided here, because what it would try
// again by itself knows no ledger.
//
// It runs in the emperor's own process. What it reads from outside is an authority's
// answers over verified TLS, and acme-ask's status code; a process of its own would
// need the same folder and the same keys, and have nothing less to lose.
package acme
