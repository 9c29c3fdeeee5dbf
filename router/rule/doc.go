// Package rule is the route language of the front: it reads route directives
// such as
//
//	route-host = ^www\.example\.com$ uwsgi:/run/sites/www.sock,0,0
//	route-host = ^([-\w]+)\.example\.com$ uwsgi:/run/sites/$1.sock,0,0
//	route-run  = return:404
//
// and answers, for one request, what shall be done with it. It names an
// upstream by its address or a vassal by its name and knows nothing of sockets,
// HTTP connections or configuration files; its caller does the rest.
//
// # How it works
//
// [Compile] turns the directives into an immutable [Table], or says for each
// mistake where it is and what was expected. [Table.Match] walks the rules in the
// order in which they were written, as uWSGI does: a rule whose subject matches
// runs its action, which either lets the next rule have its turn (log, addvar),
// ends routing (last) or decides ([Decision]). Walking is only what the user sees:
// host rules are indexed, so that ten thousand of them cost what ten do.
//
// # Where it differs from uWSGI, on purpose
//
//   - The host is canonical: lower case, without port and without a trailing
//     dot. A pattern that spells a colon sees "host:port" first. See [Query].
//   - Substitution is one pass: text that a client sent is never expanded again.
//   - What a client sent can not steer an address out of the directory that the
//     rule names, nor out of its place in a header or URL. See [Unsafe].
//   - Regular expressions are RE2 (package regexp): linear time, and $ is the end
//     of the text, not the newline before it. What only PCRE has is an error that
//     says what to write instead.
//   - Mistakes that uWSGI notices during a request (a jump backwards, an unknown
//     label, an unknown status) are found when the rules are read.
package rule
