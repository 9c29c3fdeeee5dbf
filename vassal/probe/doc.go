// Package probe asks a program whether it works: one question in the protocol that it
// speaks (HTTP, uwsgi, FastCGI, SCGI), answered or not. A program of which nothing is known
// is connected to, and has to take the connection.
//
// It knows nothing of vassals: an address, a protocol and a path are all it is told. Who
// asks, when and how often, and what follows from the answer is package vassal's business
// (readiness, health).
package probe
