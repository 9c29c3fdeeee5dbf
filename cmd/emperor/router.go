package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"unsafe"

	"emperor/router"
)

// init names the router's process, which was started through /proc/self/exe and
// would be called exe. Only during init is this the main thread, whose name ps
// shows.
func init() {
	if len(os.Args) > 2 && os.Args[1] == "router" && os.Args[2] == "--link" {
		name := []byte("emperor-router\x00")
		const setName = 15 // PR_SET_NAME, prctl(2)
		_, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, setName, uintptr(unsafe.Pointer(&name[0])), 0)
	}
}

// runRouter is the router process: started by the emperor with --link N, the
// descriptor of the conversation, or by a person with a file.
func runRouter(args []string, _ io.Writer) error {
	shareProcessors()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT)
	defer stop()
	// The emperor's business, should they reach the whole group; and a closed log
	// must not be our end.
	others := make(chan os.Signal, 1)
	signal.Notify(others, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGALRM, syscall.SIGPIPE)

	if len(args) == 2 && args[0] == "--link" {
		fd, err := strconv.Atoi(args[1])
		if err != nil || fd < 3 {
			return usageError("router: --link wants a descriptor, got %q", args[1])
		}
		// The emperor reads this, and puts it into its own log (emperor/relay.go).
		return router.Main(ctx, fd, slog.New(slog.NewJSONHandler(os.Stderr, nil)))
	}
	if len(args) == 0 {
		return usageError("router: want a configuration file")
	}
	reader, err := newReader()
	if err != nil {
		return err
	}
	s, err := source(args)
	if err != nil {
		return err
	}
	main, _, problems := reader.Read(s)
	if main == nil {
		return &failure{exitUsage, problems.Errors().String()}
	}
	log := newLog(os.Stderr, main.JSONLog)
	warn(log, problems)
	if len(main.Front.Listeners) == 0 {
		return usageError("%s: no http line says where to listen", main.Name())
	}
	if err := router.Standalone(ctx, main.Config, log); err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("router: %w", err)
	}
	return nil
}
