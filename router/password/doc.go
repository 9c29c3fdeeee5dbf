// Package password checks the user and password of HTTP's basic authentication
// against an htpasswd file.
//
// The one idea: a good password hash is slow, and a browser sends the password
// with every request. So what was found right is remembered for a short time, and
// what is not remembered is checked by few at a time, in turns between files: a
// protected site costs 50 ms per visitor, not per request, and a guesser costs one
// processor's half at most, not the machine.
//
// An unknown user costs the time of a known one, so that names can't be found
// out.
package password
