package logsink

import (
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"emperor/internal/config"
	"emperor/internal/testlog"
)

// TestLocalSyslog: lines of the main file and of vassals lead to the daemon of this
// machine, in the form of syslog(3), also when it is restarted.
func TestLocalSyslog(t *testing.T) {
	values := []config.Value{
		{Key: "logger", Value: "syslog:shop,local3", HasValue: true},
		{Key: "log-syslog", Value: "true", HasValue: true},
	}
	targets := Reading{Config: &config.Config{Values: values}, Wrong: func(v config.Value, format string, args ...any) {
		t.Errorf("%s = %s: "+format, append([]any{v.Key, v.Value}, args...)...)
	}}.Targets()
	if len(targets) != 2 {
		t.Fatalf("%+v", targets)
	}
	path := filepath.Join(t.TempDir(), "log")
	said := &testlog.Text{}
	set := NewSet(slog.New(slog.NewTextHandler(said, nil)), nil)
	for i := range targets {
		if targets[i].Kind != Syslog || targets[i].Path != "/dev/log" {
			t.Errorf("%+v", targets[i])
		}
		targets[i].Path = path // the test's own daemon
	}
	daemon := listenLog(t, path)
	out := set.Outlet("shop", targets)
	defer set.Close(deadline)
	defer out.Close()
	stamp := noon.Local().Format(time.Stamp)
	send := func(text string) {
		out.Write(&Message{Time: noon, Vassal: "shop", Stream: StreamOutput, Priority: 6}, []byte(text+"\n"))
	}
	send("one")
	daemon.want(t, "<158>"+stamp+" shop: one", "<30>"+stamp+" uwsgi: one")
	// A daemon that is restarted has another socket at the path.
	_ = daemon.Close()
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	daemon = listenLog(t, path)
	defer daemon.Close()
	send("two")
	daemon.want(t, "<158>"+stamp+" shop: two", "<30>"+stamp+" uwsgi: two")
}

// logDaemon is the end of /dev/log.
type logDaemon struct{ *net.UnixConn }

func listenLog(t *testing.T, path string) logDaemon {
	t.Helper()
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	return logDaemon{c}
}

// want are the next datagrams, in any order.
func (d logDaemon) want(t *testing.T, texts ...string) {
	t.Helper()
	missing := map[string]bool{}
	for _, text := range texts {
		missing[text] = true
	}
	_ = d.SetReadDeadline(time.Now().Add(deadline))
	b := make([]byte, 1000)
	for range texts {
		n, err := d.Read(b)
		if err != nil {
			t.Fatalf("%v; missing: %v", err, missing)
		}
		if text := string(b[:n]); !missing[text] {
			t.Errorf("%q, want one of %v", text, missing)
		} else {
			delete(missing, text)
		}
	}
}
