// Package logsink brings lines of output to files, sockets, syslog and the journal
// without making anybody wait who should not.
//
// The one idea: who writes and who brings it there are two. A Sink is one place
// and the one goroutine that writes to it. Whoever has lines gets a Source of that
// Sink, with a queue of its own, so that one who talks much fills his own queue and
// not that of another; the goroutine serves the sources in turn. A place that hangs
// (a dead disk, a pipe that nobody reads) holds up its own goroutine only.
//
// What happens when lines come faster than they can be written: a Source waits a
// moment for room (patience), so that nothing is lost while the place keeps up at
// all; a place that does not gets no second chance to slow anybody down until it
// has taken something. What finds no room is dropped, by whole lines. Where they are
// missing a line says so, and the emperor's log says it once for each burst.
//
// A place that fails (no space left, a directory that vanished) is tried again every
// second; what is queued waits for it, and failing and recovering are each said once.
//
// How it is cut: lines.go makes lines of bytes; source.go and sink.go are the queue
// and its goroutine; file.go (with rotation), datagram.go and stdio.go are the places;
// format.go, syslog.go and journal.go the forms in which a line goes there. target.go
// reads what a configuration says, options.go declares it, and set.go shares sinks
// between those who name the same place.
package logsink
