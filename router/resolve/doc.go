// Package resolve turns host names into addresses, for connections to sites that
// are named and not numbered.
//
// The one idea: a request never waits for the DNS when there is an answer. Names
// that requests use are asked for again in the background when their TTL ends;
// the answer there is stays in use until there is a new one, also when every
// server fails. Only the first request for a name waits, and it waits on a
// channel, so that its own time limit ends the wait.
//
// Visitors may choose names (a rule makes them of what a client sends), so what is known
// and asked is bounded, and a name that was used only once is not asked for again after
// a minute.
//
// A name server may itself have a name. That is a name like all others, for a second
// Resolver inside, which asks the system's servers.
//
// It reads no file and needs none: the contents of resolv.conf and hosts are
// given to ParseConfig, because the process that resolves may be confined. The
// standard library's resolver would read them itself, and keeps the TTL to
// itself.
package resolve
