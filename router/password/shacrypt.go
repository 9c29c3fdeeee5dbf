package password

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"errors"
	"fmt"
	stdhash "hash"
	"strconv"
	"strings"
)

// shaCrypt is SHA-crypt as Ulrich Drepper specified it ("Unix crypt using SHA-256
// and SHA-512"), which most systems use, or used, in /etc/shadow.
type shaCrypt struct {
	long   bool // SHA-512
	rounds int
	salt   []byte
	sum    []byte // as text
}

func parseSHACrypt(text string) (hash, error) {
	h := shaCrypt{long: text[1] == '6', rounds: 5000}
	rest := text[3:]
	if after, ok := strings.CutPrefix(rest, "rounds="); ok {
		digits, after, ok := strings.Cut(after, "$")
		n, err := strconv.Atoi(digits)
		if !ok || err != nil {
			return nil, errors.New("this SHA-crypt hash has no readable number of rounds; " + anew)
		}
		if n > mostRounds {
			return nil, fmt.Errorf("SHA-crypt with %d rounds takes longer than a visitor waits; at most %d", n, mostRounds)
		}
		h.rounds = max(1000, n)
		rest = after
	}
	salt, sum, ok := strings.Cut(rest, "$")
	size := 43
	if h.long {
		size = 86
	}
	if !ok || len(salt) > 16 || len(sum) != size || !isCryptText(sum) {
		return nil, errors.New("this SHA-crypt hash is not whole; " + anew)
	}
	h.salt, h.sum = []byte(salt), []byte(sum)
	return h, nil
}

func (shaCrypt) slow() bool { return true }

// The orders in which the bytes of a sum are written as text, by threes.
var (
	order256 = [][3]int{{0, 10, 20}, {21, 1, 11}, {12, 22, 2}, {3, 13, 23}, {24, 4, 14}, {15, 25, 5}, {6, 16, 26}, {27, 7, 17}, {18, 28, 8}, {9, 19, 29}}
	order512 = [][3]int{{0, 21, 42}, {22, 43, 1}, {44, 2, 23}, {3, 24, 45}, {25, 46, 4}, {47, 5, 26}, {6, 27, 48}, {28, 49, 7}, {50, 8, 29}, {9, 30, 51},
		{31, 52, 10}, {53, 11, 32}, {12, 33, 54}, {34, 55, 13}, {56, 14, 35}, {15, 36, 57}, {37, 58, 16}, {59, 17, 38}, {18, 39, 60}, {40, 61, 19}, {62, 20, 41}}
)

func (h shaCrypt) matches(password []byte) bool {
	newSum := sha256.New
	if h.long {
		newSum = sha512.New
	}
	sum := h.compute(password, newSum())
	var text []byte
	three := func(a, b, c int) { text = appendCrypt(text, uint32(sum[a])<<16|uint32(sum[b])<<8|uint32(sum[c]), 4) }
	if h.long {
		for _, o := range order512 {
			three(o[0], o[1], o[2])
		}
		text = appendCrypt(text, uint32(sum[63]), 2)
	} else {
		for _, o := range order256 {
			three(o[0], o[1], o[2])
		}
		text = appendCrypt(text, uint32(sum[31])<<8|uint32(sum[30]), 3)
	}
	return subtle.ConstantTimeCompare(text, h.sum) == 1
}

// compute follows the steps of the specification, whose letters are used.
func (h shaCrypt) compute(password []byte, d stdhash.Hash) []byte {
	digest := func(write func()) []byte {
		d.Reset()
		write()
		return d.Sum(nil)
	}
	b := digest(func() { d.Write(password); d.Write(h.salt); d.Write(password) })
	a := digest(func() {
		d.Write(password)
		d.Write(h.salt)
		d.Write(stretch(b, len(password)))
		for n := len(password); n > 0; n >>= 1 {
			if n&1 != 0 {
				d.Write(b)
			} else {
				d.Write(password)
			}
		}
	})
	p := stretch(digest(func() { d.Write(bytes.Repeat(password, len(password))) }), len(password))
	s := stretch(digest(func() { d.Write(bytes.Repeat(h.salt, 16+int(a[0]))) }), len(h.salt))
	c := a
	for i := range h.rounds {
		d.Reset()
		if i&1 != 0 {
			d.Write(p)
		} else {
			d.Write(c)
		}
		if i%3 != 0 {
			d.Write(s)
		}
		if i%7 != 0 {
			d.Write(p)
		}
		if i&1 != 0 {
			d.Write(c)
		} else {
			d.Write(p)
		}
		c = d.Sum(c[:0])
	}
	return c
}

// stretch repeats b to n bytes.
func stretch(b []byte, n int) []byte {
	return bytes.Repeat(b, n/len(b)+1)[:n]
}
