// Package check finds out which addresses can be reached, before a client does.
//
// The one idea: a check is a client that wants nothing. It connects, through the
// Dialer that clients' streams go through (so that names, networks and limits are the
// same), hangs up, and tells the balance.Book what came of it; whoever picks addresses
// from the Book's Groups passes over those that failed. Nothing else knows of checks.
//
// Each node has a goroutine that sleeps nearly always; how many connect at the same
// time is bounded for all together, and no two keep in step. Run owns the goroutines;
// Set says what is to be checked from now on, and leaves those alone that stay.
package check
