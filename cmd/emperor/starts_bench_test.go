package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"emperor/internal/testport"
)

// The benchmarks here run the program as users do, without the race detector:
//
//	go test ./cmd/emperor -run - -bench 'Starts|Neighbours' -benchtime 1x

// plainBinary is the program, built as it is released.
var plainBinary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "emperor-bench")
	if err != nil {
		return "", err
	}
	_ = os.Chmod(dir, 0o755)
	binary.plain = dir // removed by TestMain
	build := exec.Command("go", "build", "-o", filepath.Join(dir, "emperor"), ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return filepath.Join(dir, "emperor"), nil
})

// bench is a folder with vassals, and a port.
type bench struct {
	b    *testing.B
	dir  string
	port string
}

func newBench(b *testing.B) *bench {
	b.Helper()
	dir, err := os.MkdirTemp("/tmp", "emp")
	if err != nil {
		b.Fatal(err)
	}
	_ = os.Chmod(dir, 0o755)
	b.Cleanup(func() { _ = os.RemoveAll(dir) })
	m := &bench{b, dir, testport.Free(b)}
	m.write("uwsgi.ini", "[uwsgi]\nemperor = %dvassals.d/*.ini\nhttp = 127.0.0.1:"+m.port+"\nroute-host = ^(\\w+)\\.test$ vassal:$1\n")
	return m
}

func (m *bench) write(name, text string) {
	m.b.Helper()
	path := filepath.Join(m.dir, name)
	_ = os.MkdirAll(filepath.Dir(path), 0o755)
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(text, "DIR", m.dir)), 0o644); err != nil {
		m.b.Fatal(err)
	}
}

// run starts the emperor; stop ends it, and gives what it has logged.
func (m *bench) run() (stop func() string) {
	m.b.Helper()
	path, err := plainBinary()
	if err != nil {
		m.b.Fatal(err)
	}
	command := exec.Command(path, "uwsgi.ini", "--control", filepath.Join(m.dir, "control.sock"))
	command.Dir = m.dir
	log, err := os.Create(filepath.Join(m.dir, "log"))
	if err != nil {
		m.b.Fatal(err)
	}
	command.Stdout, command.Stderr = log, log
	if err := command.Start(); err != nil {
		m.b.Fatal(err)
	}
	return func() string {
		_ = command.Process.Signal(syscall.SIGTERM)
		_ = command.Wait()
		log.Close()
		text, _ := os.ReadFile(log.Name())
		return string(text)
	}
}

// answers asks until a host answers with 200.
func (m *bench) answers(host string) {
	client := http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true}}
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		request, _ := http.NewRequest("GET", "http://127.0.0.1:"+m.port+"/", nil)
		request.Host = host
		response, err := client.Do(request)
		if err != nil {
			continue
		}
		_, _ = io.Copy(io.Discard, response.Body)
		response.Body.Close()
		if response.StatusCode == 200 {
			return
		}
	}
	m.b.Errorf("%s does not answer", host)
}

// ready waits until the log says that the vassal is.
func (m *bench) ready(name string) {
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		text, _ := os.ReadFile(filepath.Join(m.dir, "log"))
		if strings.Contains(string(text), name+": vassal ready") {
			return
		}
	}
	m.b.Errorf("%s is not ready", name)
}

const (
	goodSite   = "[uwsgi]\nsocket = DIR/%n.sock\nplugin = python3\nwsgi-file = DIR/good.py\n"
	brokenSite = "[uwsgi]\nsocket = DIR/%n.sock\nplugin = python3\nwsgi-file = DIR/broken.py\n"
	goodApp    = "def application(e, r):\n    r('200 OK', [('Content-Length', '2')])\n    return [b'ok']\n"
	brokenApp  = "import no_such_module\n"
)

// BenchmarkBrokenNeighbours is how long it takes from the start of the emperor until a
// good site answers, alone and beside 200 whose apps cannot be imported; and, when those
// are in their back-off, until one whose file is new does.
func BenchmarkBrokenNeighbours(b *testing.B) {
	if _, err := plainBinary(); err != nil {
		b.Fatal(err)
	}
	for _, broken := range []int{0, 200} {
		for _, visited := range []bool{true, false} {
			b.Run(fmt.Sprintf("broken=%d/visited=%t", broken, visited), func(b *testing.B) {
				var cold, added time.Duration
				for range b.N {
					m := newBench(b)
					m.write("good.py", goodApp)
					m.write("broken.py", brokenApp)
					for i := range broken {
						m.write(fmt.Sprintf("vassals.d/b%03d.ini", i), brokenSite)
					}
					m.write("vassals.d/good.ini", goodSite) // the last by name
					await := func(name string) {
						if visited {
							m.answers(name + ".test")
						} else {
							m.ready(name)
						}
					}
					began := time.Now()
					stop := m.run()
					await("good")
					cold += time.Since(began)
					m.write("vassals.d/later.ini", goodSite)
					began = time.Now()
					await("later")
					added += time.Since(began)
					stop()
				}
				b.ReportMetric(0, "ns/op")
				b.ReportMetric(cold.Seconds()/float64(b.N), "s/first")
				b.ReportMetric(added.Seconds()/float64(b.N), "s/added")
			})
		}
	}
}

// quick is a program that serves from its first moments.
const quick = `import socket
l = socket.socket(fileno=3)
while True:
    c, _ = l.accept()
    c.recv(65536)
    c.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
    c.close()
`

// BenchmarkStarts compares how many programs the emperor starts in a second with a loop
// that only forks, executes, and waits until each answers.
func BenchmarkStarts(b *testing.B) {
	const programs = 500
	if _, err := plainBinary(); err != nil {
		b.Fatal(err)
	}
	b.Run("emperor", func(b *testing.B) {
		var took time.Duration
		for range b.N {
			m := newBench(b)
			m.write("app.py", quick)
			for i := range programs {
				m.write(fmt.Sprintf("vassals.d/s%03d.ini", i), "[uwsgi]\nsocket = DIR/%n.sock\ncommand = python3 -S -E DIR/app.py\n")
			}
			began := time.Now()
			stop := m.run()
			for end := time.Now().Add(4 * time.Minute); ; time.Sleep(20 * time.Millisecond) {
				text, _ := os.ReadFile(filepath.Join(m.dir, "log"))
				if n := strings.Count(string(text), "vassal ready"); n == programs {
					break
				}
				if time.Now().After(end) {
					b.Error("not all are ready")
					break
				}
			}
			took += time.Since(began)
			stop()
		}
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(programs/(took.Seconds()/float64(b.N)), "starts/s")
		b.ReportMetric(took.Seconds()/float64(b.N), "s/500")
	})
	b.Run("byhand", func(b *testing.B) {
		var took time.Duration
		for range b.N {
			m := newBench(b)
			m.write("app.py", quick)
			var commands []*exec.Cmd
			began := time.Now()
			for i := range programs {
				l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(m.dir, fmt.Sprintf("s%03d.sock", i)), Net: "unix"})
				if err != nil {
					b.Fatal(err)
				}
				file, _ := l.File()
				command := exec.Command("python3", "-S", "-E", filepath.Join(m.dir, "app.py"))
				command.ExtraFiles = []*os.File{file}
				if err := command.Start(); err != nil {
					b.Fatal(err)
				}
				file.Close()
				defer l.Close()
				commands = append(commands, command)
			}
			for i := range programs {
				c, err := net.Dial("unix", filepath.Join(m.dir, fmt.Sprintf("s%03d.sock", i)))
				if err != nil {
					b.Fatal(err)
				}
				_, _ = c.Write([]byte("GET / HTTP/1.0\r\n\r\n"))
				_, _ = io.ReadAll(c)
				c.Close()
			}
			took += time.Since(began)
			for _, c := range commands {
				_ = c.Process.Kill()
				_ = c.Wait()
			}
		}
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(programs/(took.Seconds()/float64(b.N)), "starts/s")
		b.ReportMetric(took.Seconds()/float64(b.N), "s/500")
	})
}
