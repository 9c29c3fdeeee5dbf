package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var testStart = time.Date(2026, 11, 21, 10, 30, 0, 0, time.UTC)

func TestPageShowsWhoAnswered(t *testing.T) {
	request := httptest.NewRequest("GET", "http://blog.localhost:8080/", nil)
	request.Header.Set("X-Forwarded-For", "192.0.2.7")
	request.Header.Set("User-Agent", "<script>")
	response := httptest.NewRecorder()
	newSite("blog", 4711, testStart).ServeHTTP(response, request)

	if response.Code != http.StatusOK {
		t.Fatalf("status %d", response.Code)
	}
	body := response.Body.String()
	for _, want := range []string{"<h1>blog</h1>", "4711", "2026-11-21T10:30:00Z", "blog.localhost:8080", "192.0.2.7", "touch blog.ini", "&lt;script&gt;"} {
		if !strings.Contains(body, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	for _, external := range []string{"src=\"http", "href=\"http", "url(http", "@import"} {
		if strings.Contains(body, external) {
			t.Errorf("the page loads something from elsewhere: %s", external)
		}
	}
}

func TestInfoCountsAnswers(t *testing.T) {
	s := newSite("hello", 12, testStart)
	var last facts
	for range 3 {
		response := httptest.NewRecorder()
		s.ServeHTTP(response, httptest.NewRequest("GET", "http://hello.localhost/info", nil))
		if err := json.Unmarshal(response.Body.Bytes(), &last); err != nil {
			t.Fatalf("%v in %s", err, response.Body)
		}
	}
	if last.Vassal != "hello" || last.PID != 12 || last.Answers != 3 || last.Host != "hello.localhost" {
		t.Errorf("third answer is %+v", last)
	}
}

func TestStatusCodes(t *testing.T) {
	s := newSite("hello", 12, testStart)
	for _, test := range []struct {
		method, target string
		want           int
	}{
		{"GET", "/", http.StatusOK},
		{"HEAD", "/", http.StatusOK},
		{"POST", "/", http.StatusMethodNotAllowed},
		{"GET", "/nothing-here", http.StatusNotFound},
		{"GET", "/slow?for=1ms", http.StatusOK},
		{"GET", "/slow?for=soon", http.StatusBadRequest},
		{"GET", "/slow?for=-1s", http.StatusBadRequest},
		{"GET", "/slow?for=2h", http.StatusBadRequest},
	} {
		response := httptest.NewRecorder()
		s.ServeHTTP(response, httptest.NewRequest(test.method, test.target, nil))
		if response.Code != test.want {
			t.Errorf("%s %s: status %d, want %d", test.method, test.target, response.Code, test.want)
		}
	}
}

// A request that has arrived before the order to stop is still answered, and
// serve returns only afterwards.
func TestServeFinishesWhatIsUnderWay(t *testing.T) {
	listener, err := net.Listen("unix", filepath.Join(t.TempDir(), "s.sock"))
	if err != nil {
		t.Fatal(err)
	}
	arrived, mayAnswer := make(chan struct{}), make(chan struct{})
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-mayAnswer
		io.WriteString(w, "done")
	})
	stop, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- serve(stop, listener, handler) }()

	type answer struct {
		body string
		err  error
	}
	answered := make(chan answer, 1)
	go func() {
		client := http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
			return net.Dial("unix", listener.Addr().String())
		}}}
		response, err := client.Get("http://hello.localhost/")
		if err != nil {
			answered <- answer{err: err}
			return
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		answered <- answer{string(body), err}
	}()

	<-arrived
	cancel()
	select {
	case err := <-served:
		t.Fatalf("serve returned (%v) with a request under way", err)
	default:
	}
	close(mayAnswer)
	if a := <-answered; a.err != nil || a.body != "done" {
		t.Errorf("got %q, %v, want the answer", a.body, a.err)
	}
	if err := <-served; err != nil {
		t.Errorf("serve: %v", err)
	}
}

// The folder promises that a copy of hello.ini under any name is a site of its
// own, so nothing in the file may spell the name out.
func TestVassalFileWorksUnderAnyName(t *testing.T) {
	file, err := os.ReadFile("../hello.ini")
	if err != nil {
		t.Fatal(err)
	}
	for number, line := range bytes.Split(file, []byte("\n")) {
		if bytes.HasPrefix(line, []byte("#")) {
			continue
		}
		// The program is called hello too: its path is the one place allowed.
		if rest := bytes.ReplaceAll(line, []byte("%dbin/hello"), nil); bytes.Contains(rest, []byte("hello")) {
			t.Errorf("hello.ini:%d: %s: names the site, want %%n", number+1, line)
		}
	}
	if target, err := os.Readlink("../again.ini"); err != nil || target != "hello.ini" {
		t.Errorf("again.ini points to %q (%v), want hello.ini", target, err)
	}
}
