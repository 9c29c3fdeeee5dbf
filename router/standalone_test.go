package router

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"emperor/internal/config"
	"emperor/internal/link"
	"emperor/internal/testlog"
)

// TestStandalone: a router without an emperor loads at once and when it is told;
// a mistake changes nothing, and what was accepted is said.
func TestStandalone(t *testing.T) {
	v := uwsgiVassal(t, answering(okResponse))
	set, err := config.NewSet(Options)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", t.TempDir()+"/front.sock")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	accepted := make(chan bool, 10)
	next := make(chan []string, 1) // options, or nil for an error
	load := func() (*link.Configuration, []int, func(bool), error) {
		options := <-next
		if options == nil {
			return nil, nil, nil, errors.New("first mistake\nsecond mistake")
		}
		c, problems := config.Load(config.Request{Set: set, Args: options})
		if len(problems) > 0 {
			t.Error(problems)
		}
		configuration, _ := ReadConfiguration(c)
		configuration.Listeners = []link.Listener{{Option: "http", Address: l.Addr().String()}}
		return &configuration, []int{descriptor(t, l)}, func(a bool) { accepted <- a }, nil
	}
	ctx, cancel := context.WithCancel(context.Background())
	again := make(chan os.Signal)
	ended := make(chan error, 1)
	log := &testlog.Text{}
	next <- []string{"--http-to", v.address, "--http-keepalive"}
	go func() { ended <- Standalone(ctx, load, again, slog.New(slog.NewTextHandler(log, nil))) }()
	if !<-accepted {
		t.Fatal("the first configuration was not accepted")
	}
	visitor := visit(t, l.Addr())
	visitor.wantAlive("a")

	next <- []string{"--route-run", "return:403"}
	again <- syscall.SIGHUP
	if !<-accepted {
		t.Error("the second configuration was not accepted")
	}
	visitor.send(get("a"))
	visitor.want("GET", 403, "*")

	next <- nil
	again <- syscall.SIGHUP
	next <- []string{"--route-host", "( return:200"}
	again <- syscall.SIGHUP
	if <-accepted {
		t.Error("a configuration with a mistake was accepted")
	}
	visitor.send(get("a"))
	visitor.want("GET", 403, "*")
	_ = visitor.Close()
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	for _, want := range []string{`msg="first mistake"`, `msg="second mistake"`, "was not applied", "was applied"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %s:\n%s", want, log)
		}
	}

	next <- nil
	if err := Standalone(t.Context(), load, again, slog.New(slog.NewTextHandler(io.Discard, nil))); err == nil {
		t.Error("a mistake at the start is no error")
	}
}
