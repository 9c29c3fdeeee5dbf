// Package static answers requests with the files of a folder.
//
// The one idea: a Site knows its folder by descriptor, which somebody with the
// owner's rights opened, and the kernel sees to it that no name leads out of it
// (openat2 with RESOLVE_BENEATH: also not for a moment, also not by a symbolic
// link). What a client may see is decided on what was opened, never on a name that
// could mean another file the next moment.
//
// It speaks no protocol: a Request is a method, a path and header fields, an
// Answer is a status, header fields and a body to be read, so that every engine of
// the router uses it the same way:
//
//	site.Open(&request, &answer)
//	defer answer.Close()
//	… answer.Status, answer.Fields, answer.Length …
//	for { n, err := answer.Read(piece) … }
//
// What changes while it is served: a site that is replaced as a whole (a new
// folder moved over the old, a symbolic link turned) is noticed with the next
// request. A file that is replaced by rename is served to its end as it was. A file
// that is rewritten or cut in place while it is sent makes Read fail before the
// body is complete: the client sees a broken response, never a mixture that looks
// whole. (File times tell; before Linux 6.13 they tell steps of 4 to 10 ms.)
//
// Nothing is kept open between requests: a small file costs 3 µs of processor time,
// of which a cache of open files would save one, and would have to be asked what
// else was changed meanwhile.
package static
