// Package errorpage makes the front's own error answers: what a visitor, a program
// or an operator at a terminal is told when a site can't answer.
//
// The one idea: everything is compiled when the configuration is read. Pages come
// as bytes (who may open their files is decided elsewhere), are checked and cut at
// their placeholders, and an answer is then a few appends.
//
// Who gets what follows the Accept field: a browser gets a page, a client that asks
// for JSON gets JSON, and everybody else (curl) gets one line of text. A page of the
// operator's own replaces the built-in page and, for clients without a preference,
// the line: who writes one wants to see it with curl too.
//
// Nothing internal is ever part of an answer: no address, no vassal's name, no
// path, no error text of the system. The request's id is, so that a visitor can
// report it and the operator can find the line in the log.
//
// Maintenance is the same thing on purpose: a host that is to answer 503 with its
// page, except to the addresses of those who work on it.
package errorpage
