package rule

// Step is what became of one rule when a request was explained.
type Step struct {
	Rule    *Rule
	Matched bool
	Text    string // why it matched or not, and what it did, in words
}

// Explain matches as Match does and tells of every rule, in order, up to the one
// that decided, what it saw and what it did. The Decision is the one of Match.
func (t *Table) Explain(q *Query) ([]Step, *Decision) { return nil, &Decision{} }

// Catching returns a directive that would catch requests for host, which no rule
// matched: text for a log line. The address is modelled on the rules there are.
// It returns "" for text that is no host name.
func (t *Table) Catching(host string) string { return "" }

// AddressOf returns the address that the rules would use for a vassal called
// name: that of the first rule whose address has one place for a capture. It is
// what to tell somebody whose vassal has no socket.
func (t *Table) AddressOf(name string) (address string, r *Rule, ok bool) { return "", nil, false }

// Capitals tells that address, the socket of some vassal, is one that a
// route-host rule means but never opens, because hosts, and so captures, are
// lower case: it returns the rule and the address it opens instead.
func (t *Table) Capitals(address string) (opens string, r *Rule, ok bool) { return "", nil, false }
