// Bench measures the front against nginx, HAProxy, Caddy and uWSGI's own router,
// and what the emperor costs in memory and time, on the machine it runs on:
//
//	go run ./cmd/bench [-only emperor,nginx,…] [-cases uwsgi,http,…] [-plot DIR]
//
// Every front stands before the same tiny backend (see backend.go), is told the
// same limits and knows the same ten sites. All fronts of a case are measured in
// turn, round by round, and the order rotates, so that a minute in which the
// machine is busy with something else does not fall on one front alone. A figure
// is the median of the rounds; a ratio is the median of the ratios within each
// round. How busy the machine was with other programs is measured too: a
// measurement that they disturbed is taken again as long as -patience allows,
// and what is left is said.
//
// Throughput is what a fixed number of connections gets that never pause (wrk,
// and loader.go for bodies and websockets). Latency is measured at a fixed rate,
// the same for all fronts of a case: half of what the slowest of them carries.
//
// HTTPS is measured with one version, suite and curve for all. New connections have
// a load of their own (loader_handshakes.go): an ordinary client needs as much of
// the processor for a handshake as a front does.
//
// CPU per request is the processor time of all of a front's processes divided
// by the requests answered. On a machine where front, backend and load share the
// cores it is the steadier figure: requests/s also depend on what the others use.
//
// Bench needs wrk and h2load, and the other fronts for the comparison; Caddy it builds
// itself. Everything it starts listens on loopback or on sockets in a temporary
// folder and is ended with it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
)

func init() {
	// The parent-death signal that ends our children with us is tied to the
	// thread that started them. Locking here ties main to the process's first
	// thread, which lives as long as the process does.
	runtime.LockOSThread()
}

func main() {
	if len(os.Args) > 1 {
		roles := map[string]func([]string) error{backendCommand: runBackend, loaderCommand: runLoader, vassalCommand: runVassal}
		if play, known := roles[os.Args[1]]; known {
			fatalIf(play(os.Args[2:]))
			return
		}
	}
	s, err := parseSettings(os.Args[1:], os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(2)
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	if s.from != "" {
		fatalIf(again(s, os.Stdout))
		return
	}
	fatalIf(run(ctx, s, os.Stdout))
}

func fatalIf(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// again prints and draws results that were measured before.
func again(s settings, out io.Writer) error {
	r, err := readReport(s.from)
	if err != nil {
		return err
	}
	r.print(out)
	return r.write(s)
}

func run(ctx context.Context, s settings, out io.Writer) (err error) {
	tools, err := findTools(ctx, s, out)
	if err != nil {
		return err
	}
	if err := raiseOpenFiles(); err != nil {
		return err
	}
	dir, err := workFolder()
	if err != nil {
		return err
	}
	defer func() {
		// After a failure the logs are what explains it.
		if s.keep || err != nil && ctx.Err() == nil {
			fmt.Fprintf(out, "\nconfigurations and logs are in %s\n", dir)
			return
		}
		os.RemoveAll(dir)
	}()

	r := &report{Machine: describeMachine(), Settings: describeSettings(s), Versions: versions(ctx, tools)}
	r.printMachine(out)
	defer func() {
		// What was measured before a failure is worth keeping.
		if !r.empty() {
			err = errors.Join(err, r.write(s))
		}
	}()
	if s.measuresAny() {
		r.Throughput, r.Latency, err = measureFronts(ctx, s, tools, filepath.Join(dir, "fronts"), out)
		r.compare()
		r.printThroughput(out)
		r.printLatency(out)
		if err != nil {
			return err
		}
	}
	for _, kind := range idleKinds {
		if !s.wants(kind.section) {
			continue
		}
		measured, err := measureIdle(ctx, s, kind, tools, filepath.Join(dir, kind.section), out)
		r.Idle = append(r.Idle, measured...)
		if err != nil {
			return err
		}
	}
	r.printIdle(out)
	if s.wants(sectionCertificates) {
		r.Certificates, err = measureCertificates(ctx, s, tools, filepath.Join(dir, "certificates"), out)
		r.printCertificates(out)
		if err != nil {
			return err
		}
	}
	if s.wants(sectionNeighbour) {
		if r.Neighbour, err = measureNeighbour(ctx, s, tools, filepath.Join(dir, "neighbour"), out); err != nil {
			return err
		}
		r.printNeighbour(out)
	}
	if s.wants(sectionMemory) {
		if r.Memory, err = measureMemory(ctx, s, tools, filepath.Join(dir, "memory"), out); err != nil {
			return err
		}
		r.printMemory(out)
	}
	if s.wants(sectionDeploy) {
		if r.Deploy, err = measureDeploy(ctx, s, tools, filepath.Join(dir, "deploy"), out); err != nil {
			return err
		}
		r.printDeploy(out)
	}
	return nil
}

// workFolder makes the folder for sockets, configurations and logs. Fronts that
// were started as root give up their privileges, so it is open to all. It is in
// memory where there is such a place: access logs should not wait for a disk.
func workFolder() (string, error) {
	parent := ""
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
		parent = "/dev/shm"
	}
	dir, err := os.MkdirTemp(parent, "emperor-bench-")
	if err != nil {
		return "", err
	}
	return dir, os.Chmod(dir, 0o755)
}

// raiseOpenFiles lets this process and all it starts have as many files open as
// ten thousand connections need. Setting the limit explicitly is what makes Go
// pass it on to children.
func raiseOpenFiles() error {
	const needed = 20_000
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return os.NewSyscallError("getrlimit", err)
	}
	// More than is needed would not be the same for all: some fronts take memory
	// for as many connections as they may have files open.
	limit = syscall.Rlimit{Cur: needed, Max: max(needed, limit.Max)}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("%d open files are needed: %w (ulimit -Hn %d, or run bench as root)", needed, err, needed)
	}
	return nil
}
