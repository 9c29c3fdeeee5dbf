package vassal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"emperor/internal/link"
	"emperor/vassal/clock"
)

// fakeFront does what the router does for one vassal: clients ask it for leave
// before each request, and it knows which generation a request belongs to.
type fakeFront struct {
	mu       sync.Mutex
	change   *sync.Cond
	held     bool
	row      link.Vassal
	rows     []link.Vassal
	inFlight map[uint64]int
	dialing  int // requests that have not connected yet
}

func newFakeFront() *fakeFront {
	f := &fakeFront{inFlight: map[uint64]int{}}
	f.change = sync.NewCond(&f.mu)
	return f
}

func (f *fakeFront) Publish(_ context.Context, row link.Vassal) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.row = row
	f.rows = append(f.rows, row)
	f.change.Broadcast()
	return nil
}

func (f *fakeFront) Try(context.Context, link.Vassal) error { return nil }

func (f *fakeFront) Hold(context.Context, string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.held = true
	for f.dialing > 0 { // as the router does: see its gate
		f.change.Wait()
	}
	return nil
}

// connected says that a request that was begun has its connection, or none.
func (f *fakeFront) connected() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dialing--
	f.change.Broadcast()
}

func (f *fakeFront) Release(string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.held = false
	f.change.Broadcast()
}

func (f *fakeFront) Drained(ctx context.Context, _ string, generation uint64) error {
	stop := context.AfterFunc(ctx, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.change.Broadcast()
	})
	defer stop()
	f.mu.Lock()
	defer f.mu.Unlock()
	for {
		older := 0
		for g, n := range f.inFlight {
			if g < generation {
				older += n
			}
		}
		if older == 0 {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		f.change.Wait()
	}
}

func (f *fakeFront) Unused(ctx context.Context, _ string, quiet time.Duration) error {
	if quiet == 0 {
		f.mu.Lock()
		defer f.mu.Unlock()
		for _, n := range f.inFlight {
			if n > 0 {
				return errors.New("a request is under way")
			}
		}
		return nil
	}
	if !clock.Sleep(ctx, clock.System{}, quiet) {
		return ctx.Err()
	}
	return f.Drained(ctx, "", math.MaxUint64)
}

// Answered: what its clients get it does not see.
func (f *fakeFront) Answered(ctx context.Context, _ string, _ uint64) error {
	<-ctx.Done()
	return ctx.Err()
}

// begin waits until a request may be sent.
func (f *fakeFront) begin() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	for f.held || f.row.State != link.Ready {
		f.change.Wait()
	}
	f.inFlight[f.row.Generation]++
	f.dialing++
	return f.row.Generation
}

func (f *fakeFront) end(generation uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.inFlight[generation]--
	f.change.Broadcast()
}

func (f *fakeFront) published() []link.Vassal {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]link.Vassal(nil), f.rows...)
}

// hammer lets clients ask without pause, half of them with a body, until stop;
// it returns how many requests were made and which failed. check looks at each answer.
func hammer(front *fakeFront, socket string, clients int, stop <-chan struct{}) (asked int, failures []string) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	for client := range clients {
		wg.Go(func() {
			connected := func() {}
			transport := &http.Transport{DisableKeepAlives: true, DialContext: func(context.Context, string, string) (net.Conn, error) {
				defer connected()
				return net.Dial("unix", socket)
			}}
			c := &http.Client{Transport: transport, Timeout: deadline}
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				generation := front.begin()
				connected = sync.OnceFunc(front.connected)
				err := askOnce(c, client%2 == 1, n)
				front.end(generation)
				mu.Lock()
				asked++
				if err != nil {
					failures = append(failures, fmt.Sprintf("client %d, request %d, generation %d: %v", client, n, generation, err))
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return asked, failures
}

func askOnce(c *http.Client, withBody bool, n int) error {
	var r *http.Response
	var err error
	path := "/"
	if n%20 == 7 {
		path = "/slow?for=30ms"
	}
	if withBody {
		// To a path that reads its body: a server that answers without reading may
		// close before the client has written, whoever replaces it.
		r, err = c.Post("http://site/count", "text/plain", strings.NewReader(strings.Repeat("x", 20000)))
	} else {
		r, err = c.Get("http://site" + path)
	}
	if err != nil {
		return err
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	if r.StatusCode != 200 || len(text) == 0 {
		return fmt.Errorf("status %s, %d bytes", r.Status, len(text))
	}
	return nil
}

// handOvers is how often the load tests replace the vassal.
const handOvers = 20

// TestNoRequestIsLost replaces vassals while eight clients ask without pause.
func TestNoRequestIsLost(t *testing.T) {
	for _, test := range []struct {
		name, text string
		swaps      int
	}{
		{"uwsgi processes", uwsgiSite, handOvers},
		{"uwsgi threads", "[uwsgi]\nplugin = python3\nhttp-socket = DIR/s\nwsgi-file = DIR/app.py\nprocesses = 1\nthreads = 4\nlisten = 64\n", handOvers},
		{"command", "[uwsgi]\nsocket = DIR/s\nenv = GORACE=atexit_sleep_ms=0\ncommand = " + play(t, "serve", "fd=3") + "\n", handOvers},
		{"gunicorn", "[uwsgi]\nsocket = DIR/s\nchdir = DIR\nenv = PYTHONPATH=DIR\nprocesses = 1\ncommand = gunicorn --worker-class gthread --threads 4 --workers 2 app:application\n", handOvers},
		{"command alone", "[uwsgi]\nsocket = DIR/s\nenv = GORACE=atexit_sleep_ms=0\noverlap = false\nprocesses = 2\ncommand = " + play(t, "serve", "fd=3") + "\n", handOvers / 3},
		{"uwsgi alone", uwsgiSite + "overlap = false\n", handOvers / 3},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			front := newFakeFront()
			s := newSite(t, "", func(d *Deps) { d.Front = front })
			s.app(pythonApp)
			s.write(test.text)
			s.want()
			s.ready(1)
			stop, finished := make(chan struct{}), make(chan struct{})
			var asked int
			var failures []string
			go func() {
				asked, failures = hammer(front, filepath.Join(s.dir, "s"), 8, stop)
				close(finished)
			}()
			for n := range uint64(test.swaps) {
				s.want()
				s.ready(n + 2)
			}
			close(stop)
			<-finished
			if len(failures) > 0 {
				t.Errorf("%d of %d requests failed in %d hand-overs:\n%s", len(failures), asked, test.swaps, strings.Join(failures, "\n"))
			}
			if asked < test.swaps {
				t.Errorf("only %d requests were made", asked)
			}
			t.Logf("%d requests, %d hand-overs", asked, test.swaps)
			s.until("alone", func(st Status) bool { return len(st.Draining) == 0 })
		})
	}
}
