// Package balance chooses which of several addresses a request goes to, and
// remembers which of them did not answer.
//
// The one idea: what is known of an address (requests under way, failures)
// belongs to the address, not to the list that names it. A Book holds that
// knowledge; a Group is one list with its weights and its algorithm, immutable,
// made anew whenever the configuration is read. An address that is in the old
// list and the new one, or in the lists of two rules, keeps its counters and
// its bad mark.
//
// A failed address is passed over for a grace time that doubles with every
// failure in a row, up to a cap. When it is over, one request at a time tries
// the address; a connection makes the address whole again. When every address has
// failed, the one that failed longest ago is tried: trying costs less than an
// error that may not be needed.
package balance
