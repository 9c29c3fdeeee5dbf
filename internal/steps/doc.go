// Package steps makes a program out of a list of system calls: an executable file of a
// few kilobytes that does one after the other and nothing else.
//
// The one idea: a new process has to do some twenty system calls on itself before it is
// what it shall be, and a Go program that does them first brings up its whole runtime: a
// heap, threads, tables, more than all else that a start costs. But what is to be called,
// and with what, is known beforehand. So whoever starts the process writes the calls down,
// with the texts that they point to, and the process executes the list: fifteen
// instructions that load the registers, call, compare the result with what was expected,
// and take the next.
//
// A list decides nothing but where it goes on after a result that was not expected. What
// needs more than that, such as putting an error into words, is for a program that can.
//
// A short list can also be done by a new process before it is a program (Spawn), in the
// memory of this one.
//
// The file is an ELF executable at fixed addresses, so that addresses can be written down,
// too. It loads no library, uses neither heap nor stack, and is for the
// processors that there is a run_*.s for.
//
// What it does not do: know what the calls mean, or execute the file (a Spawn may).
package steps
