package rule

// Chain is a list of rules that run at one point of a request's life.
//
//	request   route*           before an upstream is chosen
//	error     error-route*     a response with a status of 400 or more is known,
//	                           from a vassal, a rule or the router itself, and
//	                           nothing of it has been sent
//	response  response-route*  a response is known, and nothing of it has been sent
//	final     final-route*     the response has been sent
//
// For an error both the error and the response chain run, in this order; when the
// error chain replaces the response, the response chain sees the new one. The
// error chain runs at most once for a request.
//
// uWSGI runs error-route* for every status line, 200 included; here it means what
// it says.
type Chain uint8

const (
	RequestChain Chain = iota
	ErrorChain
	ResponseChain
	FinalChain

	chains = 4
)

// chainPrefixes are what the directives of a chain begin with.
var chainPrefixes = [chains]string{"route", "error-route", "response-route", "final-route"}

var chainNames = [chains]string{"request", "error", "response", "final"}

// String returns "request", "error", "response" or "final".
func (c Chain) String() string { return chainNames[c] }

// Has reports whether a chain has any rule: where it has none there is no need to
// run it.
func (t *Table) Has(c Chain) bool { return len(t.chains[c].rules) > 0 }

// chainSet is a set of chains: those in which an action may stand.
type chainSet uint8

func only(members ...Chain) (s chainSet) {
	for _, c := range members {
		s |= 1 << c
	}
	return s
}

func (s chainSet) has(c Chain) bool { return s&(1<<c) != 0 }
