package main

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"os"
	"sync/atomic"
	"time"
)

//go:embed page.html
var pageSource string

var page = template.Must(template.New("page.html").Parse(pageSource))

// site is the web site of one process. It is safe for concurrent use: all but
// the counter is fixed when it is made.
type site struct {
	name    string
	pid     int
	started time.Time
	machine string
	answers atomic.Int64
	mux     *http.ServeMux
}

func newSite(name string, pid int, started time.Time) *site {
	machine, err := os.Hostname()
	if err != nil {
		machine = "unknown"
	}
	s := &site{name: name, pid: pid, started: started, machine: machine, mux: http.NewServeMux()}
	s.mux.HandleFunc("GET /{$}", s.page)
	s.mux.HandleFunc("GET /info", s.info)
	s.mux.HandleFunc("GET /slow", s.slow)
	return s
}

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.answers.Add(1)
	w.Header().Set("Cache-Control", "no-store") // the point is to see who answers now
	s.mux.ServeHTTP(w, r)
}

// facts is what one answer tells about the process that gave it.
type facts struct {
	Vassal  string `json:"vassal"`
	PID     int    `json:"pid"`
	Started string `json:"started"` // RFC 3339, with the machine's zone
	Machine string `json:"machine"`
	Answers int64  `json:"answers"` // given by this process so far, this one included
	Host    string `json:"host"`    // as the client asked for it

	Request []field `json:"-"`
}

// field is a line of the page's table "as the program saw it".
type field struct{ Name, Value string }

func (s *site) facts(r *http.Request) facts {
	return facts{
		Vassal:  s.name,
		PID:     s.pid,
		Started: s.started.Format(time.RFC3339),
		Machine: s.machine,
		Answers: s.answers.Load(),
		Host:    r.Host,
		Request: requestFields(r),
	}
}

// requestFields lists what the front passed on about the client. The program
// itself only ever sees a connection from the front.
func requestFields(r *http.Request) []field {
	fields := []field{{"Request", r.Method + " " + r.RequestURI + " " + r.Proto}, {"Host", r.Host}}
	for _, name := range []string{"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Port", "User-Agent"} {
		if value := r.Header.Get(name); value != "" {
			fields = append(fields, field{name, value})
		}
	}
	return fields
}

func (s *site) page(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; img-src data:")
	if err := page.Execute(w, s.facts(r)); err != nil {
		// The head is already sent; all that is left is to say it in the log.
		fmt.Fprintf(os.Stderr, "hello: page: %v\n", err)
	}
}

func (s *site) info(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(s.facts(r))
}

// slow answers after ?for= (default 10s, at most a minute): a request to have
// under way while the vassal's file is touched.
func (s *site) slow(w http.ResponseWriter, r *http.Request) {
	pause := 10 * time.Second
	if text := r.FormValue("for"); text != "" {
		asked, err := time.ParseDuration(text)
		if err != nil || asked < 0 || asked > time.Minute {
			http.Error(w, fmt.Sprintf("for=%q: want a time of at most 1m, such as 5s", text), http.StatusBadRequest)
			return
		}
		pause = asked
	}
	select {
	case <-time.After(pause):
	case <-r.Context().Done(): // the client has gone
		return
	}
	fmt.Fprintf(w, "process %d of %s finished after %v\n", s.pid, s.name, pause)
}
