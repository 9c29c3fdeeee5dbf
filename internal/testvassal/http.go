package testvassal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// serve answers HTTP/1.1:
//
//	/            the text of body=, or "pid PID mark MARK\n"
//	/echo        the request's body
//	/count       the number of bytes of the request's body
//	/slow?for=D  the same as /, after that long
//	/env?NAME    the value of that variable
//	/head        the request's head as it came, fields sorted
//	/exit?N      exit with status N without an answer
func serve(p *player, _ string) error {
	listener, err := p.open()
	if err != nil {
		return err
	}
	time.Sleep(p.readyAfter)

	var requests atomic.Int64
	count := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if n := requests.Add(1); p.crashAfter > 0 && n >= int64(p.crashAfter) {
				os.Exit(70)
			}
			next.ServeHTTP(w, r)
		})
	}
	front := func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(p.status)
		if p.body != "" {
			io.WriteString(w, p.body)
			return
		}
		fmt.Fprintf(w, "pid %d mark %s\n", os.Getpid(), os.Getenv("EMPEROR_MARK"))
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/", front)
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).EnableFullDuplex()
		io.Copy(w, r.Body)
	})
	mux.HandleFunc("/count", func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		fmt.Fprintln(w, n)
	})
	mux.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) {
		d, err := time.ParseDuration(r.URL.Query().Get("for"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		time.Sleep(d)
		front(w, r)
	})
	mux.HandleFunc("/env", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, os.Getenv(r.URL.RawQuery)) })
	mux.HandleFunc("/head", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s %s\r\nHost: %s\r\n", r.Method, r.RequestURI, r.Proto, r.Host)
		r.Header.Write(w)
	})
	mux.HandleFunc("/exit", func(w http.ResponseWriter, r *http.Request) {
		code, _ := strconv.Atoi(r.URL.RawQuery)
		os.Exit(code)
	})

	server := &http.Server{Handler: count(mux)}
	term := make(chan os.Signal, 1)
	if !signal.Ignored(syscall.SIGTERM) {
		signal.Notify(term, syscall.SIGTERM)
	}
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		<-term
		server.Shutdown(context.Background())
	}()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	<-drained
	return nil
}

func (p *player) open() (net.Listener, error) {
	kind, value, _ := strings.Cut(p.listen, ":")
	switch kind {
	case "fd":
		fd, err := strconv.Atoi(value)
		if err != nil {
			return nil, err
		}
		file := os.NewFile(uintptr(fd), "listener")
		defer file.Close() // FileListener duplicates it
		return net.FileListener(file)
	case "port":
		return net.Listen("tcp", "127.0.0.1:"+os.Getenv("PORT"))
	}
	return net.Listen(kind, value)
}

// notify sends a datagram as sd_notify(3) does.
func notify(_ *player, text string) error {
	connection, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: os.Getenv("NOTIFY_SOCKET"), Net: "unixgram"})
	if err != nil {
		return err
	}
	defer connection.Close()
	_, err = connection.Write([]byte(text))
	return err
}
