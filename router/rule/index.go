package rule

import "slices"

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
// Labels are filed nowhere: nothing happens at them. What is filed under one key is
// a list of nodes in ascending order of rules; the rest is one sorted list, so that
// a jump over thousands of rules does not look at each of them.
type index struct {
	nodes []node
	exact map[string]int32 // to the first node
	// suffix keys begin with a dot; shortest and longest bound the looking.
	suffix            map[string]int32
	shortest, longest int
	grams             map[uint32]int32
	gramFilter        *[gramFilterSize / 64]uint64 // bit set: some gram hashes there
	rest              []int32
	ports             bool // some host rule spells a colon
}

// node is one entry of a list: a rule and the next node, -1 at the end.
type node struct{ rule, next int32 }

// cursor is a place in a list.
type cursor int32

// walk is where the search for rules has come to, for one request.
type walk struct {
	cursors []cursor // in the lists of the keys that the host has
	rest    int      // in index.rest
}

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

// neverTried is the filing of a label.
var neverTried = &filing{}

// build files all rules; filings[i] is nil when rule i does not test the host.
func (x *index) build(filings []*filing) {
	*x = index{nodes: make([]node, 0, len(filings))}
	var exact, suffixes, literals int
	for _, f := range filings {
		switch {
		case f == nil || f == neverTried:
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
			if f != nil && f != neverTried && f.finite == nil && (f.suffix == "" || f.colon) {
				f.eachGram(func(g uint32) { counts[g]++ })
			}
		}
		x.grams = make(map[uint32]int32, literals)
		x.gramFilter = new([gramFilterSize / 64]uint64)
	}
	// From the last to the first, so that putting in front keeps chains ascending.
	for i := len(filings) - 1; i >= 0; i-- {
		f := filings[i]
		if f == neverTried {
			continue
		}
		if f == nil {
			x.rest = append(x.rest, int32(i))
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
			x.rest = append(x.rest, int32(i))
		}
	}
	slices.Reverse(x.rest)
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

// start prepares w for the lists that may hold a match.
func (x *index) start(w *walk, q *Query) {
	cursors := w.cursors[:0]
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
	w.cursors, w.rest = cursors, 0
}

// next returns the first rule from number from on that may match, or -1, and
// moves w there. A rule met through two lists is returned once, because the caller
// asks for higher numbers only.
func (x *index) next(w *walk, from int) int {
	lowest := int32(-1)
	for i, c := range w.cursors {
		for c >= 0 && int(x.nodes[c].rule) < from {
			c = cursor(x.nodes[c].next)
		}
		w.cursors[i] = c
		if c >= 0 && (lowest < 0 || x.nodes[c].rule < lowest) {
			lowest = x.nodes[c].rule
		}
	}
	if w.rest < len(x.rest) {
		if int(x.rest[w.rest]) < from {
			w.rest++ // as a rule it is the very next
			if w.rest < len(x.rest) && int(x.rest[w.rest]) < from {
				n, _ := slices.BinarySearch(x.rest[w.rest:], int32(from))
				w.rest += n
			}
		}
		if w.rest < len(x.rest) && (lowest < 0 || x.rest[w.rest] < lowest) {
			lowest = x.rest[w.rest]
		}
	}
	return int(lowest)
}
