package shim

import (
	"bytes"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var orders = map[string]*Order{
	"nothing": {},
	"all": {
		Label: "app", Path: "app", Dir: "/srv/\xff", Chroot: "/jail",
		Args: []string{"app", "", "--x=\n"}, Env: []string{"A=1", strings.Repeat("B", 100_000)},
		Files: []int{0, 1, 2, 7}, Listen: true,
		Credential: &Credential{UID: 1000, GID: 1<<32 - 2, Groups: []uint32{4, 27}},
		Umask:      -1, MaxOpenFiles: 1 << 63,
		Restrictions: Restrictions{
			NoNewPrivileges: true,
			Limits:          []Limit{{Name: "rlimit-nofile", Resource: 7, Soft: 10, Hard: 1<<64 - 1, LowerOnly: true}, {Name: "rlimit-core", Resource: 4}},
			Bounded:         true, Bounding: 1 << 40, Granted: 1 << 10, NoAmbient: true, Group: "/sys/fs/cgroup/x",
		},
		Confined: true, MayRead: true, Parent: 4711, DeathSignal: syscall.SIGTERM,
	},
	"a user without groups": {Credential: &Credential{UID: 1}},
}

// TestOrder: what is written is read, and nothing less.
func TestOrder(t *testing.T) {
	for name, order := range orders {
		text := order.Encode()
		got, err := decode(string(text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if diff := cmp.Diff(order, got); diff != "" {
			t.Errorf("%s: want -, got +\n%s", name, diff)
		}
		for end := range min(len(text), 2000) {
			if _, err := decode(string(text[:end])); err == nil {
				t.Errorf("%s: %d of %d bytes are taken for the whole", name, end, len(text))
			}
		}
		if _, err := decode(string(text) + "\x00"); err == nil {
			t.Errorf("%s: a byte too many is taken for the whole", name)
		}
	}
}

func FuzzOrder(f *testing.F) {
	for _, order := range orders {
		f.Add(order.Encode())
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		order, err := decode(string(text))
		if err != nil {
			return
		}
		again, err := decode(string(order.Encode()))
		if err != nil {
			t.Fatalf("%v: not read again: %v", text, err)
		}
		if !bytes.Equal(again.Encode(), order.Encode()) {
			t.Errorf("%v: read as %+v, then as %+v", text, order, again)
		}
	})
}

func TestAnswer(t *testing.T) {
	missing := &Failure{Text: "app: not found", Errno: syscall.ENOENT}
	for _, test := range []struct {
		name     string
		answer   []byte
		executed bool
		failure  *Failure
	}{
		{"the program runs", []byte{AboutToExec}, true, nil},
		{"it ended without a word", nil, false, nil},
		{"before the exec", missing.encode(), false, missing},
		{"the exec failed", append([]byte{AboutToExec}, missing.encode()...), false, missing},
		{"without an error of the system", (&Failure{Text: "why"}).encode(), false, &Failure{Text: "why"}},
		{"half a word", missing.encode()[:10], false, nil},
	} {
		executed, failure := ParseAnswer(test.answer)
		if executed != test.executed || !cmp.Equal(failure, test.failure) {
			t.Errorf("%s: %t, %+v; want %t, %+v", test.name, executed, failure, test.executed, test.failure)
		}
	}
}
