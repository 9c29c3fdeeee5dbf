package rule

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
)

// hashAction picks one of several texts by a key, and sets a request variable to
// it: hash:key=KEY,var=NAME,items=a;b;c[,algo=ALGORITHM]. The algorithms choose
// what uWSGI's choose.
type hashAction struct {
	key       template
	name      string
	items     []string
	algorithm string
	choose    func(a *hashAction, key []byte) uint32
	turn      atomic.Uint32 // of rr
}

var hashAlgorithms = map[string]func(a *hashAction, key []byte) uint32{
	"djb33x":  func(_ *hashAction, key []byte) uint32 { return djb33x(key) },
	"murmur2": func(_ *hashAction, key []byte) uint32 { return murmur2(key) },
	"random":  func(*hashAction, []byte) uint32 { return rand.Uint32() },
	"rand":    func(*hashAction, []byte) uint32 { return rand.Uint32() },
	"rr":      func(a *hashAction, _ []byte) uint32 { return a.turn.Add(1) - 1 },
}

func parseHash(arguments string, s *scope) (action, error) {
	pairs, err := parsePairs(arguments, "key var items algo")
	if err != nil {
		return nil, err
	}
	a := &hashAction{name: pairs["var"], algorithm: pairs["algo"]}
	if !isVariableName(a.name) || pairs["items"] == "" || pairs["key"] == "" {
		return nil, errors.New("want key=KEY,var=NAME,items=a;b;c with all three of them")
	}
	if a.algorithm == "" {
		a.algorithm = "djb33x"
	}
	if a.choose = hashAlgorithms[a.algorithm]; a.choose == nil {
		return nil, fmt.Errorf("unknown algorithm %q, want one of djb33x murmur2 random rr", a.algorithm)
	}
	if err := fixed(pairs["items"]); err != nil {
		return nil, err
	}
	for item := range strings.SplitSeq(pairs["items"], ";") {
		if item == "" {
			return nil, fmt.Errorf("items=%s: want a text on each side of a ;", pairs["items"])
		}
		a.items = append(a.items, item)
	}
	a.key, err = parseTemplate(pairs["key"], anywhere, s)
	return a, err
}

func (a *hashAction) apply(r *Rule, q *Query, d *Decision) flow {
	at := len(d.buf)
	key, _ := d.fill(&a.key, q)
	item := a.items[a.choose(a, key)%uint32(len(a.items))]
	d.buf = d.buf[:at]
	// A client may choose among the items, but spells none of them.
	d.Vars = append(d.Vars, Var{Name: a.name, Value: d.keep(item), from: origin{own: true, raw: true}})
	return next
}

func (a *hashAction) String() string {
	return "hash:key=" + a.key.String() + ",var=" + a.name + ",items=" + strings.Join(a.items, ";") + ",algo=" + a.algorithm
}

func (a *hashAction) templates(visit func(*template)) { visit(&a.key) }

// djb33x is Bernstein's hash with exclusive or.
func djb33x(key []byte) uint32 {
	hash := uint32(5381)
	for _, c := range key {
		// uWSGI's bytes are signed.
		hash = hash*33 ^ uint32(int32(int8(c)))
	}
	return hash
}

// murmur2 is MurmurHash2 by Austin Appleby with the seed 0, but for mistakes of
// uWSGI's: what is left when the key has been read by fours is taken from its
// beginning, as signed bytes. A key must choose the same node as it did there.
func murmur2(key []byte) uint32 {
	const m = 0x5bd1e995
	hash := uint32(len(key))
	for rest := key; len(rest) >= 4; rest = rest[4:] {
		k := (uint32(rest[0]) | uint32(rest[1])<<8 | uint32(rest[2])<<16 | uint32(rest[3])<<24) * m
		hash = hash*m ^ (k^k>>24)*m
	}
	if left := key[:len(key)%4]; len(left) > 0 {
		for i, c := range left {
			hash ^= uint32(int32(int8(c))) << (8 * i)
		}
		hash *= m
	}
	hash = (hash ^ hash>>13) * m
	return hash ^ hash>>15
}
