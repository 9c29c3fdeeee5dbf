package spec

import (
	"reflect"
	"testing"
)

func TestSpecsAreCarried(t *testing.T) {
	for _, text := range []string{
		"[uwsgi]\nsocket = 127.0.0.1:3000\nwsgi-file = app.py\nidle = 5\ndie-on-idle = true\n",
		"[uwsgi]\nsocket = s\ncommand = x $HOME\nenv = A=\xff\nuid = nobody\nprocesses = 3\non-demand = true\n",
		"[uwsgi]\nstatic = .\n",
	} {
		spec, problems, _ := readText(t, "site.ini", text, nil)
		if spec == nil {
			t.Fatalf("%q: %s", text, problems)
		}
		carried, err := Carry(spec)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Uncarry(carried, nil)
		if err != nil || !reflect.DeepEqual(got, spec) || got.Fingerprint() != spec.Fingerprint() {
			t.Errorf("%q:\ngot  %+v, %v\nwant %+v", text, got, err, spec)
		}
	}
}
