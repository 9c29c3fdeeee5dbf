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

	"emperor/emperor"
	"emperor/internal/config"
	"emperor/internal/link"
	"emperor/internal/proc"
	"emperor/internal/processors"
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
	processors.Half()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT)
	defer stop()
	// The emperor's business, should they reach the whole group; and a closed log
	// must not be our end.
	others := make(chan os.Signal, 1)
	signal.Notify(others, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGALRM, syscall.SIGPIPE)
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)

	if len(args) == 2 && args[0] == "--link" {
		fd, err := strconv.Atoi(args[1])
		if err != nil || fd < 3 {
			return usageError("router: --link wants a descriptor, got %q", args[1])
		}
		// The emperor reads this, and puts it into its own log (emperor/relay.go).
		proc.ReserveThreads(16) // as the emperor does
		return router.Main(ctx, fd, slog.New(slog.NewJSONHandler(os.Stderr, nil)))
	}
	if len(args) == 0 {
		return usageError("router: want a configuration file")
	}
	return runRouterAlone(ctx, args, hangup)
}

// runRouterAlone is `emperor router FILE`: what the front of that file would do,
// without an emperor and vassals. HUP reads the file again.
func runRouterAlone(ctx context.Context, args []string, hangup <-chan os.Signal) error {
	reader, err := newReader()
	if err != nil {
		return err
	}
	reader.Alone = true
	s, err := source(args)
	if err != nil {
		return err
	}
	read := func() (*emperor.Main, config.Problems, error) {
		main, _, problems := reader.Read(s)
		if err := problems.Err(); err != nil {
			return nil, nil, &failure{exitUsage, err.Error()}
		}
		if len(main.Front.Listeners) == 0 {
			return nil, nil, usageError("%s: no http line says where to listen", main.Name())
		}
		return main, problems, nil
	}
	main, problems, err := read()
	if err != nil {
		return err
	}
	log := newLog(os.Stderr, main.JSONLog)
	sockets, err := emperor.NewSockets(log)
	if err != nil {
		return err
	}
	defer sockets.Close()
	load := func() (*link.Configuration, []int, func(bool), error) {
		if main == nil { // not the first time
			if main, problems, err = read(); err != nil {
				return nil, nil, nil, err
			}
		}
		warn(log, problems)
		configuration, descriptors, accepted, err := sockets.Open(main)
		main = nil
		return configuration, descriptors, accepted, err
	}
	if err := router.Standalone(ctx, load, hangup, log); err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("router: %w", err)
	}
	return nil
}
