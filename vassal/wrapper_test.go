package vassal

import "testing"

func TestWrappers(t *testing.T) {
	env := []string{"PATH=/bin:/usr/bin"}
	for _, test := range []struct {
		name string
		w    Wrappers
		own  string
		want string
	}{
		{"none", Wrappers{}, "uwsgi", "uwsgi"},
		{"the first that is there", Wrappers{Override: []string{"/nowhere/a", "/bin/sh", "/bin/true"}}, "uwsgi", "/bin/sh"},
		{"found on PATH", Wrappers{Override: []string{"true"}}, "uwsgi", "true"},
		{"none is there", Wrappers{Override: []string{"/nowhere/a"}}, "/bin/true", "/bin/true"},
		{"a fallback that is not needed", Wrappers{Fallback: []string{"/bin/sh"}}, "/bin/true", "/bin/true"},
		{"a fallback", Wrappers{Fallback: []string{"/nowhere/a", "/bin/sh"}}, "/nowhere/own", "/bin/sh"},
		{"nothing at all", Wrappers{Fallback: []string{"/nowhere/a"}}, "/nowhere/own", "/nowhere/own"},
	} {
		if got := test.w.Choose(test.own, env); got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
}
