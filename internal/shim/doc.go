// Package shim is the child side of a start: what runs in a new process between its being
// made and its becoming the program that was asked for. It can do whatever an Order may
// say, and says why something could not be done; what needs neither is done without it
// (see package proc).
//
// The one idea: the shim is this same binary, so that nothing else has to be installed
// and the two sides always speak the same language; and it need not pay for it. A
// binary initialises all packages that it is made of before main begins, several
// milliseconds of tables that a shim has no use for. Packages are initialised in the
// order of their import paths as soon as those that they import are, so one that
// imports next to nothing comes nearly first: this package's init function looks
// whether the process is a shim (an environment variable says so), and if it is, never
// returns. Every program that imports this package can be its own shim.
//
// So it may import only packages that are ready at once: no fmt, no os, no strings, no
// golang.org/x/sys. A test holds it to that; the constants that have to be written out
// for it are compared with those of golang.org/x/sys in another.
//
// What the child must be comes as an Order in an anonymous file (an argument vector and
// an environment show in ps, and are limited in size) that is the child's first
// descriptor after those of the program; the next is a pipe for the answer, see Answer.
//
// What it does not do: make the process, wait for it, know what a vassal is.
package shim
