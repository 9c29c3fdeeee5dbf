package main

import (
	"encoding/json"
	"net"
	"net/http"
	"os"
	"time"
)

// The vassal is a small program for the emperor to run where the figure is about
// the emperor and not about throughput:
//
//	command = bench __vassal
//
// It answers on the socket handed over as descriptor 3 and says when it started.
const vassalCommand = "__vassal"

// pathSlow is answered after slowAnswer, as by a site that waits for its database.
const (
	pathSlow   = "/slow"
	slowAnswer = 50 * time.Millisecond
)

// vassalAnswer is the body of every answer of the vassal.
type vassalAnswer struct {
	PID     int
	Started int64 // Unix time in nanoseconds at which main was entered
}

var processStart = time.Now() // package variables are set just before main

func runVassal([]string) error {
	file := os.NewFile(3, "descriptor 3")
	listener, err := net.FileListener(file)
	if err != nil {
		return err
	}
	file.Close()
	if unix, ok := listener.(*net.UnixListener); ok {
		unix.SetUnlinkOnClose(false) // the path is the emperor's
	}
	body, err := json.Marshal(vassalAnswer{PID: os.Getpid(), Started: processStart.UnixNano()})
	if err != nil {
		return err
	}
	return http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == pathSlow {
			time.Sleep(slowAnswer)
		}
		w.Header().Set("Content-Type", "application/json")
		w.Write(body)
	}))
}
