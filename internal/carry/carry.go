// Package carry writes values down for the emperor's next binary, and reads what an
// earlier one wrote (emperor upgrade).
//
// The one idea: what is carried is found by the names of fields, also of those that
// are not exported, so that a field which is added to a vassal's Spec is carried
// without anybody's having thought of it. Two binaries may differ: a field that the
// reader does not know is skipped, and one that the writer did not know keeps the value
// it has, so that Unmarshal into a value with sensible contents leaves them.
//
// A field may be given another name in Go and keep the one that earlier binaries have
// written: `carry:"name"` at the field says it. A field _ struct{} with `carry:"small"`
// says of all fields of its struct that their names begin with a small letter, as they did
// before they were exported (UID: uid, MaxFD: maxFD).
//
// The text is JSON. Strings need not be UTF-8 (paths and environments are not). Types
// that write themselves (time.Time, netip.AddrPort) do. Channels, functions,
// interfaces and floating-point numbers cannot be carried: that is an error of
// Marshal, found by the first test.
package carry

import (
	"bytes"
	"encoding"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"iter"
	"reflect"
	"strings"
	"unicode/utf8"
	"unsafe"
)

// Marshal writes a value down.
func Marshal(value any) ([]byte, error) {
	v := reflect.ValueOf(value)
	if v.Kind() != reflect.Pointer { // so that fields can be reached by their address
		p := reflect.New(v.Type())
		p.Elem().Set(v)
		v = p
	}
	tree, err := encode(v.Elem(), v.Elem().Type().String())
	if err != nil {
		return nil, err
	}
	return json.Marshal(tree)
}

// Unmarshal reads a value that Marshal wrote into what the pointer leads to. After an
// error some of it may have been read.
func Unmarshal(text []byte, into any) error {
	v := reflect.ValueOf(into)
	if v.Kind() != reflect.Pointer || v.IsNil() {
		return fmt.Errorf("carry: want a pointer, got %T", into)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var tree any
	if err := d.Decode(&tree); err != nil {
		return fmt.Errorf("carry: %w", err)
	}
	return decode(tree, v.Elem(), v.Elem().Type().String())
}

// Shape describes a type down to its last field: equal shapes, nothing to skip and
// nothing missing.
func Shape(of reflect.Type) string {
	var b strings.Builder
	seen := map[reflect.Type]bool{}
	var visit func(t reflect.Type)
	visit = func(t reflect.Type) {
		b.WriteString(t.Kind().String())
		if seen[t] || writesItself(t) {
			return
		}
		switch t.Kind() {
		case reflect.Struct:
			seen[t] = true
			b.WriteByte('{')
			for i, name := range names(t) {
				b.WriteString(name + " ")
				visit(t.Field(i).Type)
				b.WriteByte(';')
			}
			b.WriteByte('}')
		case reflect.Pointer, reflect.Slice, reflect.Array:
			visit(t.Elem())
		case reflect.Map:
			visit(t.Key())
			visit(t.Elem())
		}
	}
	visit(of)
	return b.String()
}

var textMarshaler, textUnmarshaler = reflect.TypeFor[encoding.TextMarshaler](), reflect.TypeFor[encoding.TextUnmarshaler]()

func writesItself(t reflect.Type) bool {
	return t.Implements(textMarshaler) && reflect.PointerTo(t).Implements(textUnmarshaler)
}

// names are the fields of a struct by their index, and what each is called in the text.
func names(of reflect.Type) iter.Seq2[int, string] {
	blank, _ := of.FieldByName("_")
	small := blank.Tag.Get("carry") == "small"
	return func(yield func(int, string) bool) {
		for i := range of.NumField() {
			f := of.Field(i)
			name, given := f.Tag.Lookup("carry")
			switch {
			case f.Name == "_":
				continue
			case given:
			case small:
				name = smallened(f.Name)
			default:
				name = f.Name
			}
			if !yield(i, name) {
				return
			}
		}
	}
}

// smallened is the name of a field as it would be if it were not exported.
func smallened(name string) string {
	capitals := 0
	for capitals < len(name) && 'A' <= name[capitals] && name[capitals] <= 'Z' {
		capitals++
	}
	if capitals > 1 && capitals < len(name) {
		capitals-- // the last one begins a word
	}
	return strings.ToLower(name[:capitals]) + name[capitals:]
}

// field is a field that can be read and set, exported or not.
func field(v reflect.Value, i int) reflect.Value {
	f := v.Field(i)
	return reflect.NewAt(f.Type(), unsafe.Pointer(f.UnsafeAddr())).Elem()
}

// encode makes of a value what encoding/json writes. at is where we are, for errors.
func encode(v reflect.Value, at string) (any, error) {
	if writesItself(v.Type()) {
		text, err := v.Interface().(encoding.TextMarshaler).MarshalText()
		return string(text), err
	}
	switch v.Kind() {
	case reflect.Bool:
		return v.Bool(), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return v.Int(), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return v.Uint(), nil
	case reflect.String:
		return encodeString(v.String()), nil
	case reflect.Pointer:
		if v.IsNil() {
			return nil, nil
		}
		inner, err := encode(v.Elem(), at)
		return []any{inner}, err
	case reflect.Slice, reflect.Array:
		if v.Kind() == reflect.Slice && v.IsNil() {
			return nil, nil
		}
		if v.Type().Elem().Kind() == reflect.Uint8 {
			b := make([]byte, v.Len())
			reflect.Copy(reflect.ValueOf(b), v)
			return base64.StdEncoding.EncodeToString(b), nil
		}
		list := make([]any, v.Len())
		for i := range list {
			var err error
			if list[i], err = encode(v.Index(i), at); err != nil {
				return nil, err
			}
		}
		return list, nil
	case reflect.Map:
		if v.IsNil() {
			return nil, nil
		}
		list := make([]any, 0, v.Len())
		for entries := v.MapRange(); entries.Next(); {
			pair := make([]any, 2)
			for i, part := range []reflect.Value{entries.Key(), entries.Value()} {
				addressable := reflect.New(part.Type()).Elem()
				addressable.Set(part)
				var err error
				if pair[i], err = encode(addressable, at); err != nil {
					return nil, err
				}
			}
			list = append(list, pair)
		}
		return list, nil
	case reflect.Struct:
		object := make(map[string]any, v.NumField())
		for i, name := range names(v.Type()) {
			one, err := encode(field(v, i), at+"."+name)
			if err != nil {
				return nil, err
			}
			object[name] = one
		}
		return object, nil
	}
	return nil, fmt.Errorf("carry: %s: a %s cannot be carried", at, v.Type())
}

// encodeString keeps bytes that JSON would replace.
func encodeString(s string) any {
	if utf8.ValidString(s) {
		return s
	}
	return map[string]any{"bytes": base64.StdEncoding.EncodeToString([]byte(s))}
}

func decode(tree any, v reflect.Value, at string) error {
	wrong := func() error { return fmt.Errorf("carry: %s: want a %s, got %T", at, v.Type(), tree) }
	if writesItself(v.Type()) {
		text, ok := tree.(string)
		if !ok {
			return wrong()
		}
		if err := v.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(text)); err != nil {
			return fmt.Errorf("carry: %s: %w", at, err)
		}
		return nil
	}
	switch v.Kind() {
	case reflect.Bool:
		b, ok := tree.(bool)
		if !ok {
			return wrong()
		}
		v.SetBool(b)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		n, ok := tree.(json.Number)
		if !ok {
			return wrong()
		}
		i, err := n.Int64()
		if err != nil || v.OverflowInt(i) {
			return fmt.Errorf("carry: %s: %s does not fit", at, n)
		}
		v.SetInt(i)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		n, ok := tree.(json.Number)
		if !ok {
			return wrong()
		}
		var u uint64
		if _, err := fmt.Sscan(n.String(), &u); err != nil || v.OverflowUint(u) {
			return fmt.Errorf("carry: %s: %s does not fit", at, n)
		}
		v.SetUint(u)
	case reflect.String:
		s, ok := decodeString(tree)
		if !ok {
			return wrong()
		}
		v.SetString(s)
	case reflect.Pointer:
		if tree == nil {
			v.SetZero()
			return nil
		}
		inner, ok := tree.([]any)
		if !ok || len(inner) != 1 {
			return wrong()
		}
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		return decode(inner[0], v.Elem(), at)
	case reflect.Slice, reflect.Array:
		return decodeList(tree, v, at, wrong)
	case reflect.Map:
		return decodeMap(tree, v, at, wrong)
	case reflect.Struct:
		object, ok := tree.(map[string]any)
		if !ok {
			return wrong()
		}
		for i, name := range names(v.Type()) {
			one, there := object[name]
			if !there {
				continue // the writer did not know it
			}
			if err := decode(one, field(v, i), at+"."+name); err != nil {
				return err
			}
		}
	default:
		return fmt.Errorf("carry: %s: a %s cannot be carried", at, v.Type())
	}
	return nil
}

func decodeString(tree any) (string, bool) {
	switch tree := tree.(type) {
	case string:
		return tree, true
	case map[string]any:
		if text, ok := tree["bytes"].(string); ok {
			b, err := base64.StdEncoding.DecodeString(text)
			return string(b), err == nil
		}
	}
	return "", false
}

func decodeList(tree any, v reflect.Value, at string, wrong func() error) error {
	if tree == nil && v.Kind() == reflect.Slice {
		v.SetZero()
		return nil
	}
	if v.Type().Elem().Kind() == reflect.Uint8 {
		text, ok := tree.(string)
		b, err := base64.StdEncoding.DecodeString(text)
		if !ok || err != nil || v.Kind() == reflect.Array && len(b) != v.Len() {
			return wrong()
		}
		if v.Kind() == reflect.Slice {
			v.Set(reflect.MakeSlice(v.Type(), len(b), len(b)))
		}
		for i, one := range b {
			v.Index(i).SetUint(uint64(one))
		}
		return nil
	}
	list, ok := tree.([]any)
	if !ok || v.Kind() == reflect.Array && len(list) != v.Len() {
		return wrong()
	}
	if v.Kind() == reflect.Slice {
		v.Set(reflect.MakeSlice(v.Type(), len(list), len(list)))
	}
	for i, one := range list {
		if err := decode(one, v.Index(i), at); err != nil {
			return err
		}
	}
	return nil
}

func decodeMap(tree any, v reflect.Value, at string, wrong func() error) error {
	if tree == nil {
		v.SetZero()
		return nil
	}
	list, ok := tree.([]any)
	if !ok {
		return wrong()
	}
	v.Set(reflect.MakeMapWithSize(v.Type(), len(list)))
	for _, one := range list {
		pair, ok := one.([]any)
		if !ok || len(pair) != 2 {
			return wrong()
		}
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		if err := decode(pair[0], key, at); err != nil {
			return err
		}
		if err := decode(pair[1], value, at); err != nil {
			return err
		}
		v.SetMapIndex(key, value)
	}
	return nil
}
