package rule

// index finds, for one request, the rules whose test may hold, without looking at
// all of them. It only ever leaves out host rules that can not match, so walking
// what it yields in ascending order is walking the whole list. Each rule is
// filed once or more under one of:
//
//	exact   every host it can match, when these are few: ^www\.example\.com$
//	suffix  the end, from a dot on, of every host it can match: ^(.+)\.example\.com$
//	grams   four bytes that every host it matches contains (for many such rules only)
//	rest    none: tried for every request
//
// What is filed under one key is a chain of nodes in ascending order of rules.
type index struct {
	nodes []node
	exact map[string]int32 // to the first node
	// suffix keys begin with a dot; shortest and longest bound the looking.
	suffix            map[string]int32
	shortest, longest int
	grams             map[uint32]int32
	gramFilter        *[gramFilterSize / 64]uint64 // bit set: some gram hashes there
	rest              int32
	ports             bool // some host rule spells a colon
}

// node is one entry of a chain: a rule and the next node, -1 at the end.
type node struct{ rule, next int32 }

// cursor is a place in a chain.
type cursor int32

const (
	gramLength     = 4
	gramFilterSize = 1 << 14
	// gramsFrom is the number of rules from which the gram index pays: below it,
	// trying each rule's own literal is cheaper.
	gramsFrom = 24
)

// filing is what the index needs to know of a host rule, see shape.
type filing struct {
	finite []string
	suffix string
	must   []string
	colon  bool
}

// build files all rules; filings[i] is nil when rule i does not test the host.
func (x *index) build(filings []*filing) {
	*x = index{rest: -1, nodes: make([]node, 0, len(filings))}
	var exact, suffixes, literals int
	for _, f := range filings {
		switch {
		case f == nil:
		case f.finite != nil:
			exact += len(f.finite)
		case f.suffix != "" && !f.colon:
			suffixes++
		case f.hasGram():
			literals++
		}
	}
	x.exact = make(map[string]int32, exact)
	x.suffix = make(map[string]int32, suffixes)
	var counts map[uint32]int
	if literals >= gramsFrom {
		counts = make(map[uint32]int, literals)
		for _, f := range filings {
			if f != nil && f.finite == nil && (f.suffix == "" || f.colon) {
				f.eachGram(func(g uint32) { counts[g]++ })
			}
		}
		x.grams = make(map[uint32]int32, literals)
		x.gramFilter = new([gramFilterSize / 64]uint64)
	}
	// From the last to the first, so that putting in front keeps chains ascending.
	for i := len(filings) - 1; i >= 0; i-- {
		f := filings[i]
		if f == nil {
			x.rest = x.link(i, x.rest)
			continue
		}
		x.ports = x.ports || f.colon
		switch {
		case f.finite != nil:
			for _, host := range f.finite {
				put(x, x.exact, host, i)
			}
		case f.suffix != "" && !f.colon:
			put(x, x.suffix, f.suffix, i)
			if x.shortest == 0 || len(f.suffix) < x.shortest {
				x.shortest = len(f.suffix)
			}
			x.longest = max(x.longest, len(f.suffix))
		case counts != nil && f.hasGram():
			rarest, fewest := uint32(0), 0
			f.eachGram(func(g uint32) {
				if fewest == 0 || counts[g] < fewest {
					rarest, fewest = g, counts[g]
				}
			})
			put(x, x.grams, rarest, i)
			h := gramHash(rarest)
			x.gramFilter[h/64] |= 1 << (h % 64)
		default:
			x.rest = x.link(i, x.rest)
		}
	}
}

func (x *index) link(rule int, next int32) int32 {
	x.nodes = append(x.nodes, node{int32(rule), next})
	return int32(len(x.nodes) - 1)
}

func put[K comparable](x *index, chains map[K]int32, key K, rule int) {
	next, ok := chains[key]
	if !ok {
		next = -1
	}
	chains[key] = x.link(rule, next)
}

func gramAt[T string | []byte](text T, at int) uint32 {
	return uint32(text[at]) | uint32(text[at+1])<<8 | uint32(text[at+2])<<16 | uint32(text[at+3])<<24
}

func gramHash(g uint32) uint32 { return g * 2654435761 >> 18 } // 14 bits

func (f *filing) eachGram(visit func(uint32)) {
	for _, text := range f.must {
		for i := 0; i+gramLength <= len(text); i++ {
			visit(gramAt(text, i))
		}
	}
}

func (f *filing) hasGram() bool {
	for _, text := range f.must {
		if len(text) >= gramLength {
			return true
		}
	}
	return false
}

// start appends to cursors one for each chain that may hold a match.
func (x *index) start(cursors []cursor, q *Query) []cursor {
	if x.rest >= 0 {
		cursors = append(cursors, cursor(x.rest))
	}
	if len(x.exact) > 0 {
		if head, ok := x.exact[string(q.Host)]; ok {
			cursors = append(cursors, cursor(head))
		}
		if x.ports && len(q.HostPort) > 0 {
			if head, ok := x.exact[string(q.HostPort)]; ok {
				cursors = append(cursors, cursor(head))
			}
		}
	}
	if len(x.suffix) > 0 {
		for at := max(0, len(q.Host)-x.longest); len(q.Host)-at >= x.shortest; at++ {
			if q.Host[at] != '.' {
				continue
			}
			if head, ok := x.suffix[string(q.Host[at:])]; ok {
				cursors = append(cursors, cursor(head))
			}
		}
	}
	if x.grams != nil {
		text := q.Host
		if x.ports && len(q.HostPort) > 0 {
			text = q.HostPort // Host is its beginning
		}
		for at := 0; at+gramLength <= len(text); at++ {
			g := gramAt(text, at)
			if h := gramHash(g); x.gramFilter[h/64]&(1<<(h%64)) == 0 {
				continue
			}
			if head, ok := x.grams[g]; ok {
				cursors = append(cursors, cursor(head))
			}
		}
	}
	return cursors
}

// next returns the first rule from number from on that may match, or -1, and
// moves the cursors there. A rule met through two chains is returned once, because
// the caller asks for higher numbers only.
func (x *index) next(cursors []cursor, from int) int {
	lowest := int32(-1)
	for i, c := range cursors {
		for c >= 0 && int(x.nodes[c].rule) < from {
			c = cursor(x.nodes[c].next)
		}
		cursors[i] = c
		if c >= 0 && (lowest < 0 || x.nodes[c].rule < lowest) {
			lowest = x.nodes[c].rule
		}
	}
	return int(lowest)
}
