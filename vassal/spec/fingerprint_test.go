package spec

import (
	"net/netip"
	"reflect"
	"testing"
)

func TestFingerprint(t *testing.T) {
	const text = "[uwsgi]\nsocket = 127.0.0.1:3000\ncommand = x $HOME\nuid = nobody\nenv = A=1\n"
	of := func(name, text string) string {
		t.Helper()
		spec, problems, _ := readText(t, "site.ini", text, nil)
		if spec == nil {
			t.Fatalf("%s: %s", name, problems)
		}
		spec.File, spec.Files = "", nil // each text has a folder of its own
		spec.Command.Dir, spec.UWSGI.Dir, spec.SocketRules.Dir, spec.UWSGI.Arguments = "", "", "", nil
		return spec.Fingerprint()
	}
	first := of("as it is", text)
	for _, same := range []string{text, "\n; a comment\n" + text, "[uwsgi]\nunused = 1\n" + text[len("[uwsgi]\n"):]} {
		if got := of("the same", same); got != first {
			t.Errorf("%q: %s, want %s", same, got, first)
		}
	}
	seen := map[string]string{first: text}
	for _, other := range []string{
		"[uwsgi]\nsocket = 127.0.0.1:3001\ncommand = x $HOME\nuid = nobody\nenv = A=1\n",
		"[uwsgi]\nhttp-socket = 127.0.0.1:3000\ncommand = y $HOME\nuid = nobody\nenv = A=1\n",
		"[uwsgi]\nsocket = 127.0.0.1:3000\ncommand = x $HOME\nuid = nobody\nenv = A=\nenv = 1=\n",
		"[uwsgi]\nsocket = 127.0.0.1:3000\ncommand = x $HOME\nuid = daemon\nenv = A=1\n",
		"[uwsgi]\nsocket = 127.0.0.1:3000\ncommand = x $HOME\nenv = A=1\n",
		"[uwsgi]\nsocket = 127.0.0.1:3000\nmodule = x\nuid = nobody\nenv = A=1\n",
		"[uwsgi]\ncommand = x\n",
	} {
		got := of("another", other)
		if before, double := seen[got]; double {
			t.Errorf("%q has the fingerprint of %q", other, before)
		}
		seen[got] = other
	}
}

// A field of a kind that no fingerprint takes in would make two vassals look alike.
func TestFingerprintsTakeEverythingIn(t *testing.T) {
	seen := map[reflect.Type]bool{}
	var visit func(path string, of reflect.Type)
	visit = func(path string, of reflect.Type) {
		if seen[of] {
			return
		}
		seen[of] = true
		switch of.Kind() {
		case reflect.Struct:
			for i := range of.NumField() {
				visit(path+"."+of.Field(i).Name, of.Field(i).Type)
			}
		case reflect.Pointer, reflect.Slice, reflect.Array:
			visit(path, of.Elem())
		case reflect.Map, reflect.Func, reflect.Chan, reflect.Float32, reflect.Float64, reflect.Interface, reflect.UnsafePointer:
			t.Errorf("%s is a %s", path, of)
		}
	}
	seen[reflect.TypeFor[netip.AddrPort]()] = true
	visit("Spec", reflect.TypeFor[Spec]())
}
