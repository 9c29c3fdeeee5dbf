package spec

import (
	"crypto/sha256"
	"encoding/hex"
	"reflect"
	"sync"

	"emperor/internal/carry"
)

// Shape tells binaries with another idea of a vassal's file apart.
var Shape = sync.OnceValue(func() string {
	sum := sha256.Sum256([]byte(carry.Shape(reflect.TypeFor[Spec]())))
	return hex.EncodeToString(sum[:8])
})

// Carry writes a spec down; Uncarry reads it. base is as for Adopt.
func Carry(s *Spec) ([]byte, error) { return carry.Marshal(s) }

// Uncarry reads what Carry wrote.
func Uncarry(text []byte, base *Spec) (*Spec, error) {
	s := new(Spec)
	if base != nil {
		*s = *base
	}
	return s, carry.Unmarshal(text, s)
}
