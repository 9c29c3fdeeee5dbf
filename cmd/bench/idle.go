package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// idleConnections are held open at a time, each after one request.
const idleConnections = 10_000

// idleFronts are those whose memory for idle connections is measured.
var idleFronts = []string{frontEmperor, frontNginx, frontNginxOne, frontHAProxy, frontCaddy, frontUWSGI}

// idle is the memory that a front's processes need for idle connections: PSS,
// without what the kernel needs for the sockets, which is the same for all.
type idle struct {
	Front       string
	Connections int
	Closed      int   // by the front, before the memory was read
	Before      int64 // bytes, after requests on a few connections
	With        int64 // with all connections open
}

// each is what one more connection costs.
func (i idle) each() float64 { return float64(i.With-i.Before) / float64(i.Connections) }

// measureIdle starts each front afresh and reads its memory without and with
// connections.
func measureIdle(ctx context.Context, s settings, t tools, dir string, out io.Writer) ([]idle, error) {
	st := &stage{settings: s, tools: t, dir: dir, out: out, fronts: make(map[string]*runningFront)}
	defer st.stop()
	if err := st.startBackend(ctx); err != nil {
		return nil, err
	}
	var all []idle
	for _, f := range fronts {
		if !s.wants(f.name) || !slices.Contains(idleFronts, f.name) {
			continue
		}
		fmt.Fprintf(out, "idle connections: %s, %d of them, idle for %v\n", f.name, idleConnections, s.settle)
		result, err := st.measureIdleOf(ctx, f)
		if err != nil {
			return nil, fmt.Errorf("idle connections of %s: %w", f.name, err)
		}
		all = append(all, result)
	}
	return all, nil
}

func (st *stage) measureIdleOf(ctx context.Context, f front) (idle, error) {
	running, err := startFront(f, st.tools, filepath.Join(st.dir, f.name), st.backendDir, false, nil)
	if err != nil {
		return idle{}, err
	}
	defer running.process.stop()
	test := caseNamed("http")
	if !slices.Contains(test.fronts, f.name) {
		test = caseNamed("uwsgi")
	}
	c := &contender{front: f.name, test: test, running: running}
	if err := running.process.waitFor(ctx, readyDeadline, func() error { return rightAnswer(ctx, c) }); err != nil {
		return idle{}, err
	}
	warm := test.plan(st.settings, running.address)
	warm.Duration = time.Second
	if _, err := runLoad(ctx, st.tools.self, warm); err != nil {
		return idle{}, err
	}
	if err := sleep(ctx, st.settings.settle); err != nil {
		return idle{}, err
	}
	result := idle{Front: f.name, Connections: idleConnections}
	if result.Before, err = treeMemory(running.process.process.Pid); err != nil {
		return idle{}, err
	}
	held, err := holdConnections(ctx, running.address, test.host, idleConnections)
	defer func() {
		for _, fd := range held {
			syscall.Close(fd)
		}
	}()
	if err != nil {
		return idle{}, err
	}
	if err := sleep(ctx, st.settings.settle); err != nil {
		return idle{}, err
	}
	result.With, err = treeMemory(running.process.process.Pid)
	result.Closed = closedByPeer(held)
	return result, err
}

// holdConnections opens connections and makes one request on each of them.
func holdConnections(ctx context.Context, address, host string, count int) (held []int, err error) {
	request := fmt.Appendf(nil, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", host)
	for range count {
		if ctx.Err() != nil {
			return held, ctx.Err()
		}
		fd, err := dialRaw(address)
		if err != nil {
			return held, fmt.Errorf("connection %d: %w", len(held)+1, err)
		}
		held = append(held, fd)
		if err := syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &syscall.Timeval{Sec: 10}); err != nil {
			return held, os.NewSyscallError("setsockopt", err)
		}
		if _, err := ask(fd, request, backendBody); err != nil {
			return held, fmt.Errorf("connection %d: %w", len(held), err)
		}
	}
	return held, nil
}

// closedByPeer counts those on which an end, or an error, is waiting.
func closedByPeer(fds []int) (closed int) {
	buf := make([]byte, 1)
	for _, fd := range fds {
		_, _, err := syscall.Recvfrom(fd, buf, syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		if err != syscall.EAGAIN {
			closed++
		}
	}
	return closed
}

// treeMemory is the PSS of a process and its descendants.
func treeMemory(root int) (int64, error) {
	tree, err := processTree(root)
	var sum int64
	for _, p := range tree {
		pss, err := proportionalMemory(p.pid)
		if err != nil {
			return 0, err
		}
		sum += pss
	}
	return sum, err
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
