package control

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestEmperorThatHangs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path) // the kernel takes connections, nobody else does
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := NewClient(path)
	c.Patience = 20 * time.Millisecond
	want := fmt.Sprintf("the emperor at %s has not answered within 20ms: it may hang, or be stopped (process %d; its state: ps -o stat,wchan:20,args -p %d)", path, os.Getpid(), os.Getpid())
	check := func(what, before string, err error) {
		t.Helper()
		if err == nil || err.Error() != before+want || errors.Is(err, ErrNotRunning) {
			t.Errorf("%s: %v; want %s", what, err, before+want)
		}
	}
	_, err = c.Status(t.Context())
	check("status", "", err)
	_, err = c.Vassal(t.Context(), "shop")
	check("why", "", err)
	_, err = c.Order(t.Context(), "shop", Reload)
	check("reload", "the order may still be carried out: ", err)
	for _, err := range c.Logs(t.Context(), "shop", true) {
		check("logs", "", err)
	}
}

func TestWhyNobodyAnswers(t *testing.T) {
	dir := t.TempDir()
	left := filepath.Join(dir, "left.sock")
	l, err := net.Listen("unix", left)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close()
	file := filepath.Join(dir, "emperor.ini")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		path, want string
		notRunning bool
	}{
		{filepath.Join(dir, "none.sock"), "no emperor answers at " + dir + "/none.sock: there is no such socket; is it running? (--control PATH names another socket", true},
		{filepath.Join(dir, "none/none.sock"), "no emperor answers at ", true},
		{left, "no emperor answers at " + left + ": the socket is left over from one that has ended", true},
		{file, file + " is not a socket", false},
		{dir, dir + " is not a socket", false},
	} {
		_, err := NewClient(test.path).Status(t.Context())
		if err == nil || !strings.HasPrefix(err.Error(), test.want) || errors.Is(err, ErrNotRunning) != test.notRunning {
			t.Errorf("%s: %v; want %s", test.path, err, test.want)
		}
	}
}
