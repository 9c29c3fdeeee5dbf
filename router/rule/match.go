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
	c.index.start(&d.walk, q)
	for at := 0; ; {
		i := c.index.next(&d.walk, at)
		if i < 0 {
			return
		}
		at = i + 1
		r := &c.rules[i]
		if !r.test.holds(q, d) {
			continue
		}
		switch r.apply(q, d) {
		case stop:
			return
		case jump:
			at = d.target
		}
	}
}

// apply carries the rule's action out. Where it may not, because of what the
// client sent, the request is refused; when a response is under way already, this
// rule alone is passed over.
func (r *Rule) apply(q *Query, d *Decision) flow {
	f := r.action.apply(r, q, d)
	if d.Kind == Unsafe && r.Chain() != RequestChain {
		why := d.Why
		d.Kind, d.Rule, d.Why = None, nil, ""
		d.warn(r, "the rule is passed over: "+why)
		return next
	}
	return f
}
