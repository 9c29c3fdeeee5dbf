// Hello is the web server of the example: a page that shows which process
// answered, so that one can watch a new process take over from an old one
// without a gap.
//
// It is also a template for a program that the emperor runs. All it does for
// that is in two places: listen takes the socket that the emperor holds, and
// serve finishes the requests under way when it is asked to stop (SIGTERM).
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	log.SetFlags(0) // the emperor adds time and name to every line
	name := flag.String("name", "hello", "`name` of the site, shown on the page")
	flag.Parse()

	stop, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer cancel()

	listener, err := listen(os.Getenv, os.Getpid(), firstListenFD)
	if err != nil {
		log.Fatalf("hello: %v", err)
	}
	log.Printf("process %d answers on %s", os.Getpid(), address(listener))
	if err := serve(stop, listener, newSite(*name, os.Getpid(), time.Now())); err != nil {
		log.Fatalf("hello: %v", err)
	}
	log.Printf("process %d has answered everything and ends", os.Getpid())
}

// serve answers until stop is done, then takes no new connection and returns
// when the requests under way are answered. It closes the listener.
func serve(stop context.Context, listener net.Listener, handler http.Handler) error {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()

	select {
	case err := <-ended:
		return err
	case <-stop.Done():
	}
	err := server.Shutdown(context.Background()) // the emperor sets the deadline, with SIGKILL
	if served := <-ended; served != http.ErrServerClosed {
		return served
	}
	return err
}

// address describes a listener: "unix /tmp/hello.sock" or "tcp [::]:5000".
func address(listener net.Listener) string {
	a := listener.Addr()
	return fmt.Sprintf("%s %s", a.Network(), a)
}
