// Package archtest keeps the house in the shape that was agreed on. It has no code
// for the program: its test reads policy.txt, asks the go command what imports what,
// and compares.
//
// The one idea: a line of policy.txt is a decision. Change it on purpose, with the
// reason in the commit, and not to make a build pass.
package archtest
