// Package proc starts, watches, signals and ends child processes.
//
// The one idea: a process number is not a process. Linux gives a number to
// somebody else as soon as its process is gone, so everything here that waits or
// signals goes through a pidfd (a descriptor of one process, never of its
// successor), and everything found in /proc is confirmed by its start time
// before it is touched.
//
// A Starter owns one operating system thread on which every child is made:
// the kernel sends a child's parent-death signal when the thread that made it
// ends, and Go ends threads as it likes. What cannot be arranged from outside, such as
// LISTEN_PID, umask and limits, the child arranges itself before it becomes the
// program: it is first a list of system calls (the short way, see internal/steps), or,
// for what a list cannot do or when it fails, this same binary (the exec shim, see
// internal/shim). The list is there for its speed alone: a child is the same either way.
// Why not fork and do it all at once: a Go program shares its memory with a child that
// executes nothing yet, and stands still with it, so one in the folder of a dead network
// file system would stop all sites. All that is done before is to choose descriptors
// (lowFiles), so that a start costs the same however many vassals there are.
//
// Ownership: the caller owns every descriptor named in Command.Files and keeps
// it open until Start returns; the child has duplicates. A Process is watched by
// one goroutine of this package, parked in the runtime's poller and not in a
// thread, that ends when the process does.
//
// What it does not do: decide when to start or stop, restart, or read output.
package proc
