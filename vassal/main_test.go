package vassal

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"emperor/internal/config"
	"emperor/internal/logsink"
	"emperor/internal/proc"
	"emperor/internal/testlog"
	"emperor/internal/testvassal"
	"emperor/vassal/spec"
)

func TestMain(m *testing.M) {
	testvassal.MaybeRun()
	// These tests wait for processes most of the time (each is believed ready after
	// a second at the earliest), not for a processor.
	flag.Set("test.parallel", "6")
	goleak.VerifyTestMain(m)
}

// deadline is generous: tests wait for events, never for time.
const deadline = 60 * time.Second

// site is a vassal under test, with its file and what it needs.
type site struct {
	*Vassal
	t       testing.TB
	dir     string
	file    string
	log     *testlog.Text
	cancel  context.CancelFunc
	ended   chan struct{}
	changed chan struct{}
	mu      sync.Mutex
	states  []Status
}

// newSite starts the loop of a vassal with the given file; it ends with the test.
func newSite(t testing.TB, text string, adjust func(*Deps)) *site {
	t.Helper()
	// Short, because a socket's path has at most 107 bytes.
	dir, err := os.MkdirTemp("", "v")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := &site{t: t, dir: dir, file: filepath.Join(dir, "site.ini"), log: &testlog.Text{}, ended: make(chan struct{}), changed: make(chan struct{}, 1)}
	starter := proc.NewStarter(proc.NewMark(filepath.Base(dir))) // processes are told apart by it
	output := logsink.New(logsink.Options{Device: logsink.NewStream(s.log)})
	deps := Deps{
		Log:     slog.New(slog.NewTextHandler(s.log, nil)),
		Logs:    logsink.NewSet(slog.New(slog.DiscardHandler), []logsink.Destination{{Sink: output, Format: func() logsink.Format { return logsink.NewText(false) }}}),
		Starter: starter,
		Changed: func(st Status) {
			s.mu.Lock()
			s.states = append(s.states, st)
			s.mu.Unlock()
			select {
			case s.changed <- struct{}{}:
			default:
			}
		},
		Defaults: Defaults{Boot: deadline, Mercy: deadline},
	}
	if adjust != nil {
		adjust(&deps)
	}
	s.Vassal = New("site", deps)
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	go func() {
		s.Run(ctx)
		close(s.ended)
	}()
	t.Cleanup(func() {
		cancel()
		<-s.ended
		starter.Close()
		output.Close(deadline)
		if t.Failed() || os.Getenv("SHOWLOG") != "" {
			t.Log("log of the vassal:\n" + s.log.String())
		}
	})
	if text != "" {
		s.write(text)
		s.want()
	}
	return s
}

// write puts the file's text, with DIR for its directory.
func (s *site) write(text string) {
	s.t.Helper()
	if err := os.WriteFile(s.file, []byte(strings.ReplaceAll(text, "DIR", s.dir)), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

// readSpec is Read, where only the Spec and the problems matter.
func readSpec(r spec.Reading) (*spec.Spec, config.Problems) {
	result := spec.Read(r)
	return result.Spec, result.Problems
}

// read reads the file as it is now.
func (s *site) read() *spec.Spec {
	s.t.Helper()
	spec, problems := readSpec(spec.Reading{Name: "site", File: s.file})
	if spec == nil {
		s.t.Fatalf("reading %s:\n%s", s.file, problems)
	}
	return spec
}

func (s *site) want() { s.t.Helper(); s.Want(s.read(), time.Time{}) }

// until waits for a status.
func (s *site) until(what string, ok func(Status) bool) Status {
	s.t.Helper()
	timeout := time.After(deadline)
	for {
		st := s.Status()
		if ok(st) {
			return st
		}
		select {
		case <-s.changed:
		case <-s.ended:
			if st := s.Status(); ok(st) {
				return st
			}
			s.t.Fatalf("Run returned before it was %s; status %+v", what, s.Status())
		case <-timeout:
			s.t.Fatalf("not %s in time; status %+v", what, s.Status())
		}
	}
}

func (s *site) ready(generation uint64) Status {
	s.t.Helper()
	return s.until(fmt.Sprintf("ready with generation %d", generation), func(st Status) bool {
		return st.State == Ready && st.Generation == generation
	})
}

// eventually waits for what another process or goroutine does and tells nobody.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(deadline); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within %v", what, deadline)
		}
	}
}

// get asks a unix socket that speaks HTTP.
func get(socket, path string) (string, error) {
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(context.Context, string, string) (net.Conn, error) { return net.Dial("unix", socket) },
	}, Timeout: deadline}
	r, err := client.Get("http://site" + path)
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err == nil && r.StatusCode != 200 {
		err = fmt.Errorf("status %s", r.Status)
	}
	return string(b), err
}

func (s *site) mustGet(path string) string {
	s.t.Helper()
	text, err := get(filepath.Join(s.dir, "s"), path)
	if err != nil {
		s.t.Fatalf("GET %s: %v", path, err)
	}
	return text
}

// play is a command line that plays words of testvassal.
func play(t testing.TB, words ...string) string {
	path, args, _ := testvassal.Command(t, words...)
	line := path
	for _, a := range args[1:] {
		line += " '" + a + "'"
	}
	return line
}

func errorsOf(p config.Problems) string { return p.Errors().String() }

// readText reads a vassal file of that text; DIR is its directory.
func readText(t *testing.T, name, text string, adjust func(*spec.Reading)) (*spec.Spec, config.Problems, string) {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(text, "DIR", dir)), 0o644); err != nil {
		t.Fatal(err)
	}
	r := spec.Reading{Name: "site", File: file, Env: []string{"HOME=/home/x", "NAME=value"}}
	if adjust != nil {
		adjust(&r)
	}
	spec, problems := readSpec(r)
	return spec, problems, dir
}
