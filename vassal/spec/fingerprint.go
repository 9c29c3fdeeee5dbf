package spec

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"net/netip"
	"reflect"

	"emperor/internal/config"
	"emperor/internal/link"
)

// Fingerprint stands for everything in the Spec that decides how the vassal runs:
// equal fingerprints, equal vassals. Where a line stands makes no difference to it.
// It is told to those who compare what runs with what a file says now, and says
// nothing about the values itself.
func (s *Spec) Fingerprint() string {
	h := sha256.New()
	fingerprint(h, reflect.ValueOf(s).Elem())
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// explanations are fields that only say why other fields are what they are, or what the
// file is called.
var explanations = map[string]bool{"KindReason": true, "OverlapReason": true, "Why": true, "OnDemandReason": true, "ToldFile": true, "ToldDir": true, "IdleReason": true, "PathReason": true}

func fingerprint(h hash.Hash, v reflect.Value) {
	switch v.Type() {
	case reflect.TypeFor[config.Pos](), reflect.TypeFor[netip.AddrPort](): // the latter is in the text beside it
		return
	case reflect.TypeFor[link.Option]():
		fingerprint(h, v.FieldByName("Key"))
		fingerprint(h, v.FieldByName("Value"))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if !explanations[v.Type().Field(i).Name] {
				fingerprint(h, v.Field(i))
			}
		}
	case reflect.Pointer:
		fmt.Fprint(h, v.IsNil(), ";")
		if !v.IsNil() {
			fingerprint(h, v.Elem())
		}
	case reflect.Slice, reflect.Array:
		fmt.Fprint(h, v.Len(), ";")
		for i := range v.Len() {
			fingerprint(h, v.Index(i))
		}
	case reflect.String: // with its length, so that two texts cannot look like two others
		fmt.Fprintf(h, "%d:%s;", v.Len(), v.String())
	case reflect.Bool:
		fmt.Fprint(h, v.Bool(), ";")
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		fmt.Fprint(h, v.Int(), ";")
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		fmt.Fprint(h, v.Uint(), ";")
	}
	// A test sees to it that a Spec holds nothing else.
}
