package rule

// Match runs the request chain for the request that q describes and fills in d.
// It allocates nothing, once d has grown to its working size, unless a pattern
// needs package regexp and its captures are used, or the outcome is Unsafe.
func (t *Table) Match(q *Query, d *Decision) {
	d.reset()
	t.chains[RequestChain].run(q, d)
}

// MatchError runs the error chain: q.Status is that of the response, 400 or more.
// d is the one that Match filled in for this request, see [Decision].
func (t *Table) MatchError(q *Query, d *Decision) { t.matchLater(ErrorChain, q, d) }

// MatchResponse runs the response chain likewise, for any status.
func (t *Table) MatchResponse(q *Query, d *Decision) { t.matchLater(ResponseChain, q, d) }

// MatchFinal runs the final chain likewise, after the response. Its Kind is
// always None: all it can want is in Notes, LogVars, Vars and Unlogged.
func (t *Table) MatchFinal(q *Query, d *Decision) { t.matchLater(FinalChain, q, d) }

func (t *Table) matchLater(c Chain, q *Query, d *Decision) {
	d.decideAnew()
	t.chains[c].run(q, d)
}

// run walks the rules of a chain, as far as the index does not rule them out.
func (c *chain) run(q *Query, d *Decision) {
	d.cursors = c.index.start(d.cursors[:0], q)
	for at := 0; ; {
		i := c.index.next(d.cursors, at)
		if i < 0 {
			return
		}
		at = i + 1
		r := &c.rules[i]
		if !r.test.holds(q, d) {
			continue
		}
		switch r.action.apply(r, q, d) {
		case stop:
			return
		case jump:
			at = d.target
		}
	}
}

// NextNode takes the first of the addresses "a|b|c" off: a rule that names
// several means any one of them. rest is empty after the last.
func NextNode(address []byte) (node, rest []byte) {
	for i, c := range address {
		if c == '|' {
			return address[:i], address[i+1:]
		}
	}
	return address, nil
}
