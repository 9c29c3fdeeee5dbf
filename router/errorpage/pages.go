package errorpage

// Page is one page of the operator's own.
type Page struct {
	Selector
	Content []byte
	Origin  string // for errors: "/srv/errors/down.html"
}

// Selector says which answers a page is for.
type Selector struct {
	Host     Host     // the zero value is every host
	Statuses []Status // at least one
}

// Status is a range of statuses: 404–404, 500–599.
type Status struct{ From, To int }

// ParseOption reads the value of error-page: "[HOST] STATUS[,STATUS…] FILE", where a
// STATUS is 404, 5xx or 500-503.
func ParseOption(value string) (s Selector, file string, err error) { return }

// Pages is the compiled set. It is immutable; nil is usable and has the built-in
// forms only.
type Pages struct{}

// Compile compiles pages. For a request the most specific one is taken: an exact
// host before a wildcard (the longest first) before a pattern (in their order)
// before every host; and within it the narrowest range of statuses. Two for the same
// host, status and type are an error. What the file's name ends with decides its
// type: .html, .htm, .json, .txt.
func Compile(pages []Page) (*Pages, error) { return &Pages{}, nil }

// Answer is what is to be said.
type Answer struct {
	Status    int
	Host      []byte // canonical: lower case, without port
	Accept    []byte // the value of the request's Accept field, several joined by ", "
	RequestID []byte
	Text      string // one line for people, without a full stop; empty: the status's own words
	// RetryAfter is in how many seconds it is worth trying again, 0 if unknown. With
	// Reload the built-in page does that by itself (for a GET).
	RetryAfter int
	Reload     bool
}

// Append appends the body of the answer and tells its Content-Type.
func (p *Pages) Append(dst []byte, a *Answer) (body []byte, contentType string) { return dst, "" }
