package password

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/bcrypt"
)

// hash is what is stored of one password.
type hash interface {
	matches(password []byte) bool
	// slow: computing it is to be done by few at a time, and not again for every
	// request.
	slow() bool
}

// One password may not occupy a processor for long: 14 is about a second.
const (
	mostCost   = 14      // of bcrypt
	mostRounds = 500_000 // of SHA-crypt
)

const anew = "write it anew with htpasswd -B"

// parseHash reads a hash in any of the forms known. A warning does not make it
// useless.
func parseHash(text string) (h hash, warning string, err error) {
	switch {
	case strings.HasPrefix(text, "$2a$"), strings.HasPrefix(text, "$2b$"), strings.HasPrefix(text, "$2y$"):
		h, err = parseBcrypt(text)
	case strings.HasPrefix(text, "$5$"), strings.HasPrefix(text, "$6$"):
		h, err = parseSHACrypt(text)
	case strings.HasPrefix(text, "$apr1$"), strings.HasPrefix(text, "$1$"):
		h, err = parseMD5Crypt(text)
	case strings.HasPrefix(text, "{SHA}"):
		h, err = parseSHA(text[len("{SHA}"):], false)
		warning = "{SHA} is quickly guessed by who gets the file; " + anew
	case strings.HasPrefix(text, "{SSHA}"):
		h, err = parseSHA(text[len("{SSHA}"):], true)
		warning = "{SSHA} is quickly guessed by who gets the file; " + anew
	case strings.HasPrefix(text, "{PLAIN}"):
		h = newPlain(text[len("{PLAIN}"):])
		warning = "the password is there for everybody to read; " + anew
	case text[0] == '$' || text[0] == '{':
		end := strings.IndexAny(text[1:], "$}") + 2
		err = fmt.Errorf("a hash that begins with %q is not known here; %s", text[:end], anew)
	case len(text) == 13 && isCryptText(text):
		h = desCrypt(text)
		warning = "only the first 8 characters of this password count (DES crypt); " + anew
	default:
		err = errors.New("this is no hash; " + anew)
	}
	if err != nil {
		return nil, "", err
	}
	return h, warning, nil
}

type bcryptHash []byte

func parseBcrypt(text string) (hash, error) {
	if len(text) != 60 || text[6] != '$' || !isCryptText(text[7:]) {
		return nil, errors.New("this bcrypt hash is not whole; " + anew)
	}
	cost, err := bcrypt.Cost([]byte(text))
	if err != nil {
		return nil, fmt.Errorf("%w; %s", err, anew)
	}
	if cost > mostCost {
		return nil, fmt.Errorf("bcrypt of cost %d takes longer than a visitor waits; at most %d: htpasswd -B -C 10", cost, mostCost)
	}
	return bcryptHash(text), nil
}

func (h bcryptHash) matches(password []byte) bool {
	return bcrypt.CompareHashAndPassword(h, password) == nil
}

func (bcryptHash) slow() bool { return true }

// shaHash is {SHA}, or {SSHA} with a salt.
type shaHash struct {
	sum  []byte
	salt []byte
}

func parseSHA(text string, salted bool) (hash, error) {
	decoded, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(decoded) < sha1.Size || salted == (len(decoded) == sha1.Size) {
		return nil, errors.New("this SHA hash is not whole; " + anew)
	}
	return shaHash{decoded[:sha1.Size], decoded[sha1.Size:]}, nil
}

func (h shaHash) matches(password []byte) bool {
	sum := sha1.Sum(append(bytes.Clone(password), h.salt...))
	return subtle.ConstantTimeCompare(sum[:], h.sum) == 1
}

func (shaHash) slow() bool { return false }

// plain is a password as it was written. Sums of equal length are compared, so that
// not even the length can be measured.
type plain [sha256.Size]byte

func newPlain(password string) plain { return sha256.Sum256([]byte(password)) }

func (h plain) matches(password []byte) bool {
	sum := sha256.Sum256(password)
	return subtle.ConstantTimeCompare(sum[:], h[:]) == 1
}

func (plain) slow() bool { return false }

// cryptText are the digits of crypt(3), least significant first where there are
// several.
const cryptText = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

func isCryptText(text string) bool { return strings.Trim(text, cryptText) == "" }

// appendCrypt appends n digits that stand for the bits of x.
func appendCrypt(dst []byte, x uint32, n int) []byte {
	for range n {
		dst = append(dst, cryptText[x&63])
		x >>= 6
	}
	return dst
}
