package environment

import (
	"slices"
	"testing"
)

func TestInheritedEnvironment(t *testing.T) {
	base := []string{"A=1", "PORT=80", "LISTEN_FDS=1", "NOTIFY_SOCKET=x", "WATCHDOG_USEC=1", "UWSGI_RELOADS=1", "UWSGI_EMPEROR=/etc",
		"UWSGI_HTTP=:80", "UWSGI_VASSAL_CHEAPER=2", "UWSGI_THREADS=4", "UWSGI_VASSALS_SET=x", "PORTS=kept", "EMPEROR_MARK=x"}
	if got, want := Inherited(base, true), []string{"A=1", "UWSGI_CHEAPER=2", "UWSGI_THREADS=4", "PORTS=kept"}; !slices.Equal(got, want) {
		t.Errorf("uWSGI inherits %q, want %q", got, want)
	}
	if got, want := Inherited(base, false), []string{"A=1", "UWSGI_VASSAL_CHEAPER=2", "UWSGI_THREADS=4", "PORTS=kept"}; !slices.Equal(got, want) {
		t.Errorf("a command inherits %q, want %q", got, want)
	}
	got := Apply([]string{"A=1", "B=2"}, []Change{{Name: "A", Value: "x"}, {Name: "B", Unset: true}, {Name: "C", Value: "a=b"}})
	if want := []string{"A=x", "C=a=b"}; !slices.Equal(got, want) {
		t.Errorf("environment %q, want %q", got, want)
	}
}
