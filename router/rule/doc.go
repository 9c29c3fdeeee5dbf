// Package rule is the route language of the front: it reads route directives
// such as
//
//	route-host = ^www\.example\.com$ uwsgi:/run/sites/www.sock,0,0
//	route-host = ^([-\w]+)\.example\.com$ uwsgi:/run/sites/$1.sock,0,0
//	route-if   = isfile:/srv/maint/${HTTP_HOST}.flag return:503
//	route-run  = return:404
//	error-route-status = 502 static:/srv/pages/502.html
//	response-route-run = addheader:X-Frame-Options: DENY
//
// and answers, for one request, what shall be done with it and with its response.
// It names an upstream by its address or a vassal by its name, and a file by its
// directory and path, and knows nothing of sockets, HTTP connections, open files or
// configuration files; its caller does the rest.
//
// # How it works
//
// A rule has two halves: a test (a pattern on the host, path, … of the request, a
// condition, or none) and an action. [Compile] turns the directives into an
// immutable [Table], or says for each mistake where it is and what was expected.
// [Table.Match] walks the rules in the order in which they were written, as uWSGI
// does: a rule whose test holds runs its action, which either lets the next rule
// have its turn (log:, addvar:, rewrite:, addheader:), jumps forward (goto:), ends
// routing (last:) or decides (uwsgi:, return:, static:). What came of it is in the
// [Decision]. Walking is only what the user sees: host rules are indexed, so that
// ten thousand of them cost what ten do.
//
// There are four such lists, one for each point in the life of a request: see
// [Chain]. One Decision goes with the request through all of them.
//
// [Table.Explain] tells for one request of every rule why it matched or not.
//
// # What a client sent stays in its place
//
// Captures and variables go into addresses, paths, header fields and URLs. Each
// such place admits only what can not make it something else: no other directory,
// no other host, no second header. Text that does not fit ends the request with
// [Unsafe] (in later chains, where there is a response already, only the rule is
// passed over). Substitution is one pass: what was put in is not looked at again.
//
// Files are named below a directory that the rule spells itself, the [Root], so
// that a confined process can be given these directories and nothing else.
//
// # Where it differs from uWSGI, on purpose
//
//   - The host is canonical: lower case, without port and without a trailing
//     dot. A pattern that spells a colon sees "host:port" first. See [Query].
//   - Regular expressions are RE2 (package regexp): linear time, and $ is the end
//     of the text, not the newline before it. What only PCRE has is an error that
//     says what to write instead.
//   - Mistakes that uWSGI notices during a request (a jump backwards, an unknown
//     label, an unknown status, a header without a colon) are found when the rules
//     are read.
//   - The error chain runs for errors, also for those of the router itself;
//     delheader: works in the response chain; rewrite: decodes once; "/" divides;
//     arithmetic on an unset variable counts from 0; expires: counts from now;
//     basicauth: takes any spelling of "Basic" and compares in constant time.
//   - vassal:, https:, fastcgi:, scgi: and several addresses for one action
//     ("uwsgi:/a.sock|/b.sock,0,0") are new.
package rule
