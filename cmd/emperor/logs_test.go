package main

import (
	"bytes"
	endian "encoding/binary"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// talker is a program that writes what it is asked to: /say?TEXT a line, /burst?N that
// many numbered lines of 100 bytes, as fast as it can.
const talker = `
import os, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Talker(BaseHTTPRequestHandler):
    def do_GET(self):
        what, _, text = self.path.partition('?')
        if what == '/say':
            os.write(1, (text + '\n').encode())
        if what == '/burst':
            n, text = int(text), b'x' * 90 + b'\n'
            for start in range(0, n, 600):
                piece = b''.join(b'%09d' % i + text for i in range(start, min(start + 600, n)))
                while piece:
                    piece = piece[os.write(1, piece):]
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'said')
    def log_message(self, *args):
        pass
ThreadingHTTPServer(('127.0.0.1', int(sys.argv[1])), Talker).serve_forever()
`

const logMain = `[uwsgi]
emperor = vassals.d/*.ini
http = 127.0.0.1:PORT
route-host = ^([a-z]+)\.example\.com$ vassal:$1
`

func talkerSite(lines string) string {
	return "[uwsgi]\ncommand = python3 DIR/talker.py %(port)\nport = auto\n" + lines + "\n"
}

// file is the text of a file in the folder; empty when there is none.
func (m *machine) file(name string) string {
	text, _ := os.ReadFile(m.path(name))
	return string(text)
}

// inOrder takes the numbered lines of a burst, and says what is wrong with them.
func inOrder(text string, next *int) error {
	for line := range strings.Lines(text) {
		n, err := strconv.Atoi(line[:min(9, len(line))])
		if err != nil || n != *next || len(line) != 100 {
			return fmt.Errorf("%q, want line %d", line, *next)
		}
		*next++
	}
	return nil
}

// TestBurstOfOutput: a site writes more than a hundred megabytes as fast as it can.
// Its log is rotated all the time and nothing is missing in it; meanwhile what another
// one writes is in its log at once.
func TestBurstOfOutput(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.write("talker.py", talker)
	m.write("uwsgi.ini", logMain)
	m.write("vassals.d/loud.ini", talkerSite("logto = DIR/loud.log\nlog-maxsize = 16m"))
	m.write("vassals.d/quiet.ini", talkerSite("logto = DIR/quiet.log"))
	m.start()
	m.waitReady()
	const lines = 1_100_000
	said := make(chan string, 1)
	go func() { // ends with the burst
		_, body, err := m.get("loud.example.com", fmt.Sprint("/burst?", lines))
		said <- fmt.Sprint(body, err)
	}()
	m.eventually("the burst has begun", func() bool { return m.file("loud.log") != "" })
	want := ""
	for i := 0; ; i++ {
		m.page("quiet.example.com", fmt.Sprint("/say?line", i))
		want += fmt.Sprintln("line" + strconv.Itoa(i))
		m.eventually("the quiet one's line is there", func() bool { return m.file("quiet.log") == want })
		if len(said) > 0 {
			break
		}
	}
	if got := <-said; got != "said<nil>" {
		t.Fatal(got)
	}
	if strings.Count(want, "\n") < 2 {
		t.Error("no line was written during the burst")
	}
	m.eventually("everything is written", func() bool { return strings.HasSuffix(m.file("loud.log"), "\n") && m.sizeOf("loud.log*") == 100*lines })
	next := 0
	for _, name := range append(m.backups("loud.log"), m.path("loud.log")) {
		if err := inOrder(m.file(filepath.Base(name)), &next); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	if next != lines || m.logged("lost") || m.logged("missing") {
		t.Errorf("%d lines of %d", next, lines)
	}
	if m.logged("xxxx") {
		t.Error("the emperor's log has what has a log of its own")
	}
}

// sizeOf is how many bytes all files of that pattern have.
func (m *machine) sizeOf(pattern string) (size int64) {
	names, _ := filepath.Glob(m.path(pattern))
	for _, name := range names {
		if info, err := os.Stat(name); err == nil {
			size += info.Size()
		}
	}
	return size
}

// backups are the rotated files of a log, oldest first.
func (m *machine) backups(name string) []string {
	names, _ := filepath.Glob(m.path(name) + ".*")
	number := func(path string) int {
		at, n, _ := strings.Cut(strings.TrimPrefix(path, m.path(name)+"."), ".")
		a, _ := strconv.Atoi(at)
		b, _ := strconv.Atoi(n)
		return a*1000 + b
	}
	for i := range names {
		for j := range i {
			if number(names[i]) < number(names[j]) {
				names[i], names[j] = names[j], names[i]
			}
		}
	}
	return names
}

// TestLogFilesMovedAway: logrotate's mv with an order reaches the files of commands,
// those of a uWSGI, which writes them itself, and the emperor's.
func TestLogFilesMovedAway(t *testing.T) {
	t.Parallel()
	m := uwsgiMachine(t)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(m.file("emperor.log"))
		}
	})
	m.remove("vassals.d/example_vassal.ini")
	m.write("talker.py", talker)
	m.write("uwsgi.ini", logMain+"logto = DIR/emperor.log\nlogfile-chmod = 604\n")
	m.write("vassals.d/shop.ini", pythonSite+"logto = DIR/shop.log\n")
	m.write("vassals.d/talk.ini", talkerSite("daemonize = talk.log\nlog-date = %%Y\nlog-backups = 1"))
	m.start()
	m.eventually("the emperor's log says that both are ready", func() bool { return strings.Contains(m.file("emperor.log"), `ready vassals="2 vassals: 2 ready"`) })
	if info, _ := os.Stat(m.path("emperor.log")); info.Mode().Perm() != 0o604 {
		t.Errorf("mode %v", info.Mode())
	}
	year := strconv.Itoa(time.Now().Year())
	m.page("talk.example.com", "/say?one")
	m.eventually("the line of a command", func() bool { return m.file("vassals.d/talk.log") == year+" - one\n" })
	m.page("shop.example.com", "/")
	m.eventually("the line of a uWSGI", func() bool { return strings.Contains(m.file("shop.log"), "GET /") })
	logs := []string{"emperor.log", "shop.log", "vassals.d/talk.log"}
	for _, name := range logs {
		if err := os.Rename(m.path(name), m.path(name+".1")); err != nil {
			t.Fatal(err)
		}
	}
	if out, code := m.order("logs", "--reopen"); code != 0 {
		t.Fatalf("exit %d: %s", code, out)
	}
	for _, name := range logs {
		m.eventually(name+" is there again", func() bool { _, err := os.Stat(m.path(name)); return err == nil })
	}
	m.page("talk.example.com", "/say?two")
	m.eventually("the line of a command", func() bool { return m.file("vassals.d/talk.log") == year+" - two\n" })
	m.page("shop.example.com", "/other")
	m.eventually("the line of a uWSGI", func() bool { return strings.Contains(m.file("shop.log"), "GET /other") })
	if out, code := m.order("logs", "talk"); code != 0 || !strings.Contains(out, "one") || !strings.Contains(out, "two") {
		t.Errorf("exit %d: %s", code, out)
	}
	// Rotation by order, of one and of another.
	if out, code := m.order("logs", "--rotate", "talk", "shop"); code != 0 {
		t.Fatalf("exit %d: %s", code, out)
	}
	m.eventually("both are rotated", func() bool {
		return len(m.backups("shop.log")) == 2 && len(m.backups("vassals.d/talk.log")) == 2 && m.file("vassals.d/talk.log") == ""
	})
	if out, code := m.order("logs", "--reopen", "nobody"); code == 0 {
		t.Errorf("an order for nobody: %s", out)
	}
	// And the same when another binary has taken over.
	if out, code := m.order("upgrade"); code != 0 {
		t.Fatalf("exit %d: %s", code, out)
	}
	for _, name := range logs {
		if err := os.Rename(m.path(name), m.path(name+".2")); err != nil {
			t.Fatal(err)
		}
	}
	if out, code := m.order("logs", "--reopen"); code != 0 {
		t.Fatalf("exit %d: %s", code, out)
	}
	m.page("talk.example.com", "/say?three")
	m.eventually("the line of a command", func() bool { return m.file("vassals.d/talk.log") == year+" - three\n" })
	m.eventually("the file of a uWSGI", func() bool { _, err := os.Stat(m.path("shop.log")); return err == nil })
	m.signal(syscall.SIGTERM)
	m.waitExit()
	if !strings.Contains(m.file("emperor.log"), "ended after=") || len(m.lines) > 0 {
		t.Errorf("the emperor's last words are %q, on stderr are %q", m.file("emperor.log"), m.lines)
	}
}

// receiver is a datagram socket and what came to it.
type receiver struct {
	address string
	mu      sync.Mutex
	got     []string // guarded by mu
}

func receive(t *testing.T, network, address string) *receiver {
	t.Helper()
	conn, err := net.ListenPacket(network, address)
	if err != nil {
		t.Fatal(err)
	}
	r := &receiver{address: conn.LocalAddr().String()}
	var reading sync.WaitGroup
	reading.Go(func() {
		buffer, control := make([]byte, 1<<20), make([]byte, 128)
		for {
			n, rights, err := 0, 0, error(nil)
			if c, ok := conn.(*net.UnixConn); ok {
				n, rights, _, _, err = c.ReadMsgUnix(buffer, control)
			} else {
				n, _, err = conn.ReadFrom(buffer)
			}
			if err != nil {
				return
			}
			text := string(buffer[:n])
			if rights > 0 { // a large record of the journal's
				messages, _ := unix.ParseSocketControlMessage(control[:rights])
				fds, _ := unix.ParseUnixRights(&messages[0])
				file := os.NewFile(uintptr(fds[0]), "record")
				info, _ := file.Stat()
				whole := make([]byte, info.Size())
				_, _ = file.ReadAt(whole, 0)
				file.Close()
				text = string(whole)
			}
			r.mu.Lock()
			r.got = append(r.got, text)
			r.mu.Unlock()
		}
	})
	t.Cleanup(func() { conn.Close(); reading.Wait() })
	return r
}

// find gives the first datagram that matches.
func (r *receiver) find(pattern string) (string, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	matcher := regexp.MustCompile(pattern)
	for _, text := range r.got {
		if matcher.MatchString(text) {
			return text, true
		}
	}
	return "", false
}

// record decodes a record of the journal's native protocol.
func record(t *testing.T, text string) map[string]string {
	t.Helper()
	fields := map[string]string{}
	for text != "" {
		line, rest, _ := strings.Cut(text, "\n")
		name, value, simple := strings.Cut(line, "=")
		if !simple {
			size := endian.LittleEndian.Uint64([]byte(rest[:8]))
			value, rest = rest[8:8+size], rest[8+size+1:]
		}
		fields[name], text = value, rest
	}
	return fields
}

// TestJournal: records have fields, of the emperor's own words and of a site's, and a
// line larger than a datagram arrives whole.
func TestJournal(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	journal := receive(t, "unixgram", m.path("journal"))
	m.write("talker.py", talker)
	m.write("uwsgi.ini", logMain+"log-journal = DIR/journal\n")
	m.write("vassals.d/shop.ini", talkerSite(""))
	m.start()
	find := func(pattern string) map[string]string {
		t.Helper()
		var text string
		m.eventually(pattern, func() (ok bool) { text, ok = journal.find(pattern); return ok })
		return record(t, text)
	}
	ready := find("MESSAGE=vassal ready")
	if ready["VASSAL"] != "shop" || ready["SYSLOG_IDENTIFIER"] != "shop" || ready["PRIORITY"] != "6" || ready["STREAM"] != "emperor" {
		t.Errorf("%v", ready)
	}
	m.page("shop.example.com", "/say?<3>it%20fails")
	fails := find("it%20fails")
	if fails["VASSAL"] != "shop" || fails["GENERATION"] != "1" || fails["STREAM"] != "output" || fails["PRIORITY"] != "3" || fails["MESSAGE"] != "it%20fails" {
		t.Errorf("%v", fails)
	}
	if started := find("MESSAGE=emperor "); started["SYSLOG_IDENTIFIER"] != "emperor" || started["VASSAL"] != "" {
		t.Errorf("%v", started)
	}
	long := strings.Repeat("y", 20000)
	m.page("shop.example.com", "/say?"+long)
	if got := find("y{1000}")["MESSAGE"]; got != long {
		t.Errorf("%d bytes of a long line arrived", len(got))
	}
}

// TestSyslogAsUWSGI: what a uWSGI sends to a syslog daemon, and what is sent for a
// command with the same lines, look alike.
func TestSyslogAsUWSGI(t *testing.T) {
	t.Parallel()
	m := uwsgiMachine(t)
	m.remove("vassals.d/example_vassal.ini")
	theirs, ours := receive(t, "udp", "127.0.0.1:0"), receive(t, "udp", "127.0.0.1:0")
	local := receive(t, "unixgram", m.path("lines"))
	m.write("talker.py", talker)
	m.write("uwsgi.ini", logMain)
	m.write("vassals.d/shop.ini", pythonSite+"plugin = rsyslog\nlogger = rsyslog:"+theirs.address+",the sites\n")
	m.write("vassals.d/talk.ini", talkerSite("logger = rsyslog:"+ours.address+",the sites\nlogger = named socket:DIR/lines,from-\nlogger = stdio"))
	m.start()
	m.waitReady()
	m.page("shop.example.com", "/")
	m.page("talk.example.com", "/say?hello")
	const head = `^<29>[A-Z][a-z]{2} [ 0-9][0-9] [0-9:]{8} the sites: `
	for name, r := range map[string]*receiver{`.*GET /.*`: theirs, `hello`: ours} {
		m.eventually(name, func() bool { _, ok := r.find(head + name + "$"); return ok })
	}
	m.eventually("the line at the socket", func() bool { _, ok := local.find("^from-hello\n$"); return ok })
	m.waitLog(0, "talk | hello")
}

// TestLogsInJSON: one object a line, the emperor's log and a site's file.
func TestLogsInJSON(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.write("talker.py", talker)
	m.write("uwsgi.ini", logMain+"logto = DIR/emperor.log\nlog-json = true\n")
	m.write("vassals.d/shop.ini", talkerSite(""))
	m.write("vassals.d/talk.ini", talkerSite("logto = DIR/talk.log\nlog-json = true"))
	m.start()
	m.eventually("both are ready", func() bool { return strings.Count(m.file("emperor.log"), "vassal ready") == 2 })
	m.page("shop.example.com", "/say?of-the-shop")
	m.page("talk.example.com", "/say?of-another")
	m.eventually("the lines", func() bool {
		return strings.Contains(m.file("emperor.log"), "of-the-shop") && strings.HasSuffix(m.file("talk.log"), "}\n")
	})
	type object struct {
		Time      time.Time
		Level     string
		Msg, From string
		Vassal    string
		Gen       int
	}
	found := false
	for line := range strings.Lines(m.file("emperor.log") + m.file("talk.log")) {
		var o object
		d := json.NewDecoder(bytes.NewReader([]byte(line)))
		if err := d.Decode(&o); err != nil || o.Time.IsZero() || o.Level == "" || o.Msg == "" {
			t.Errorf("%q: %v", line, err)
		}
		if o.Msg == "of-another" {
			found = o.Vassal == "talk" && o.From == "output" && o.Gen == 1 && o.Level == "INFO"
		}
	}
	if !found || strings.Contains(m.file("emperor.log"), "of-another") {
		t.Errorf("talk.log: %s", m.file("talk.log"))
	}
}

// TestLogOfATenant: what a tenant's file names as a log is opened with the tenant's
// rights, though the emperor is root; one that may not be written is said, and the site
// runs all the same.
func TestLogOfATenant(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Fatal("this test needs root: it makes files of another user")
	}
	m := newMachine(t)
	m.write("talker.py", talker)
	m.write("uwsgi.ini", logMain)
	m.write("precious", "do not write here\n")
	if err := os.Mkdir(m.path("tenant"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(m.path("precious"), m.path("tenant/link.log")); err != nil {
		t.Fatal(err)
	}
	m.write("vassals.d/evil.ini", talkerSite("uid = nobody\nlogto = DIR/tenant/link.log"))
	m.write("vassals.d/good.ini", talkerSite("uid = nobody\nlogto = DIR/tenant/good.log"))
	// root's line, and a folder into which only the user may write: who opens it is the user.
	m.write("vassals.d/two.ini", talkerSite("uid = nobody\nlogto2 = DIR/tenant/two.log"))
	for _, name := range []string{"tenant", "tenant/link.log", "vassals.d/evil.ini", "vassals.d/good.ini"} {
		if err := os.Lchown(m.path(name), 65534, 65534); err != nil {
			t.Fatal(err)
		}
	}
	m.start()
	m.waitReady()
	m.page("evil.example.com", "/say?scribble")
	m.page("good.example.com", "/say?fine")
	m.waitLog(0, "the log cannot be written", "link.log", "nobody")
	m.eventually("the good one's line", func() bool { return m.file("tenant/good.log") == "fine\n" })
	m.page("two.example.com", "/say?second")
	m.eventually("the line in logto2", func() bool { return m.file("tenant/two.log") == "second\n" })
	for _, name := range []string{"good", "two"} {
		var st syscall.Stat_t
		if err := syscall.Stat(m.path("tenant/"+name+".log"), &st); err != nil || st.Uid != 65534 || st.Mode&0o777 != 0o640 {
			t.Errorf("%s.log: %v: user %d, mode %o", name, err, st.Uid, st.Mode)
		}
	}
	if got := m.file("precious"); got != "do not write here\n" {
		t.Errorf("it was written: %q", got)
	}
}
