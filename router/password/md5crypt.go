package password

import (
	"bytes"
	"crypto/md5"
	"crypto/subtle"
	"errors"
	"strings"
)

// md5Crypt is Poul-Henning Kamp's MD5 crypt, and Apache's variant of it, which
// differs in its name only: what htpasswd writes when it is not told otherwise.
type md5Crypt struct {
	name string // "$1$" or "$apr1$"
	salt []byte
	sum  []byte // as text
}

func parseMD5Crypt(text string) (hash, error) {
	name := "$1$"
	if strings.HasPrefix(text, "$apr1$") {
		name = "$apr1$"
	}
	salt, sum, ok := strings.Cut(text[len(name):], "$")
	if !ok || len(salt) > 8 || len(sum) != 22 || !isCryptText(sum) {
		return nil, errors.New("this MD5 hash is not whole; " + anew)
	}
	return md5Crypt{name, []byte(salt), []byte(sum)}, nil
}

func (md5Crypt) slow() bool { return true }

func (h md5Crypt) matches(password []byte) bool {
	d := md5.New()
	write := func(pieces ...[]byte) {
		for _, p := range pieces {
			d.Write(p)
		}
	}
	write(password, h.salt, password)
	b := d.Sum(nil)

	d.Reset()
	write(password, []byte(h.name), h.salt, stretch(b, len(password)))
	for n := len(password); n > 0; n >>= 1 {
		if n&1 != 0 {
			write([]byte{0})
		} else {
			write(password[:1])
		}
	}
	c := d.Sum(nil)
	for i := range 1000 {
		d.Reset()
		if i&1 != 0 {
			write(password)
		} else {
			write(c)
		}
		if i%3 != 0 {
			write(h.salt)
		}
		if i%7 != 0 {
			write(password)
		}
		if i&1 != 0 {
			write(c)
		} else {
			write(password)
		}
		c = d.Sum(c[:0])
	}
	var text bytes.Buffer
	for _, o := range [][3]int{{0, 6, 12}, {1, 7, 13}, {2, 8, 14}, {3, 9, 15}, {4, 10, 5}} {
		text.Write(appendCrypt(nil, uint32(c[o[0]])<<16|uint32(c[o[1]])<<8|uint32(c[o[2]]), 4))
	}
	text.Write(appendCrypt(nil, uint32(c[11]), 2))
	return subtle.ConstantTimeCompare(text.Bytes(), h.sum) == 1
}
