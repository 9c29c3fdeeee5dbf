package rule

import "time"

// Query is what the rules may ask about a request. The caller fills it in; the
// table reads it and keeps nothing of it. What rules change of the request is in
// the [Decision], never here.
type Query struct {
	// Host is the canonical host: lower case, without port, without a trailing
	// dot; an IPv6 address in brackets. Empty when the request named none.
	Host []byte
	// HostPort is Host with ":" and the port appended as the client sent it, or
	// empty when the client sent none. A route-host pattern that spells a colon is
	// tried on HostPort first and then on Host; any other pattern sees Host only.
	HostPort []byte
	// Path is PATH_INFO: decoded and normalised. URI is REQUEST_URI: as sent, in
	// origin form (it begins with a slash), because rules put it behind a host.
	Path, URI []byte
	// QueryString is what follows the first "?", as sent.
	QueryString []byte
	// RemoteAddr is the client's address in text, without port.
	RemoteAddr []byte
	// Vars answers for all other request variables. May be nil.
	Vars Vars

	// Status is the status of the response and Sent how many bytes of it went to
	// the client; for the chains that run when there is one. See [Chain].
	Status int
	Sent   int64
	// Started is when the request came in, Now the time for ${time[…]} and its
	// kind; where it is zero, the clock is asked.
	Started, Now time.Time

	// Files, Passwords and Types do for rules what this package can not, because it
	// knows no files. A nil one answers no to everything.
	Files     Files
	Passwords Passwords
	Types     Types
}

// Vars looks up request variables by CGI name: HTTP_USER_AGENT, HTTP_HOST (as
// the vassal gets it), HTTP_COOKIE, REQUEST_METHOD, REMOTE_USER, SERVER_PORT,
// HTTPS, … It is asked for everything but PATH_INFO, REQUEST_URI, QUERY_STRING
// and REMOTE_ADDR, which are in Query. The answer must stay unchanged while the
// rules run.
type Vars interface {
	Var(name string) (value []byte, ok bool)
}

// Files answers what conditions (isfile:, exists:, …) and the -next actions ask
// about files. root is the number of a [Root]. name is a path below its Dir: no
// slash at its beginning, no "." and ".." in it, empty for Dir itself. name may
// have been chosen by a client: the answer must not follow a symbolic link out of
// the root.
type Files interface {
	Is(kind FileKind, root int, name []byte) bool
	// ModTime is when the file was last changed; ok is false when there is none.
	ModTime(root int, name []byte) (t time.Time, ok bool)
}

// FileKind is a question about a file.
type FileKind uint8

const (
	Exists     FileKind = iota // exists: there is something of that name
	Regular                    // isfile: a regular file
	Directory                  // isdir:
	Symlink                    // islink: itself a symbolic link
	Executable                 // isexec: may be executed
	Readable                   // of the -next actions: a regular file that can be opened
)

// Passwords checks passwords against htpasswd files, see basicauth.
type Passwords interface {
	// Check finds the user whose password the value of an Authorization field (empty:
	// there is none) carries, in the file of that [Root]. user stays valid while the
	// rules run. It is called with what a client sent, and may take its time.
	Check(root int, authorization []byte) (user string, verdict Verdict)
}

// Verdict is what became of a password.
type Verdict uint8

const (
	Denied   Verdict = iota // none was sent, or not the right one: 401
	Accepted                // user is who it is
	Busy                    // it can not be checked at the moment: 503
)

// Types knows media types: "text/html" for a name that ends in ".html", "" for
// what it does not know. For ${mime[…]}.
type Types interface {
	TypeOf(name []byte) string
}
