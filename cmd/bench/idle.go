package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"syscall"
	"time"
)

// idleConnections are held open at a time, each after one request.
// idleStreams are fewer, as each is two open files of a front, which has no more than
// 20,000 of them (raiseOpenFiles).
const (
	idleConnections = 10_000
	idleStreams     = 9_500
)

// idleKind is what is idle.
type idleKind struct {
	section string // of -only
	meant   string
	count   int
	fronts  []string
	test    func(front string) benchCase // whose requests are made
}

var idleKinds = []idleKind{
	{sectionIdle, "keep-alive connections", idleConnections, idleFronts, func(front string) benchCase {
		if test := caseNamed("http"); slices.Contains(test.fronts, front) {
			return test
		}
		return caseNamed("uwsgi")
	}},
	{sectionIdleStreams, "streams passed through, which are two connections each for the front", idleStreams, streamFronts, func(string) benchCase {
		return caseNamed("stream-messages")
	}},
}

// idleFronts are those whose memory for idle connections is measured.
var idleFronts = []string{frontEmperor, frontNginx, frontNginxOne, frontHAProxy, frontCaddy, frontUWSGI}

// idle is the memory that a front's processes need for idle connections: PSS,
// without what the kernel needs for the sockets, which is the same for all.
type idle struct {
	Front       string
	Streams     bool `json:",omitempty"` // passed through, not of HTTP
	Connections int
	Closed      int   // by the front, before the memory was read
	Before      int64 // bytes, after requests on a few connections
	With        int64 // with all connections open
}

// each is what one more connection costs.
func (i idle) each() float64 { return float64(i.With-i.Before) / float64(i.Connections) }

// kind is the section it belongs to.
func (i idle) kind() string {
	if i.Streams {
		return sectionIdleStreams
	}
	return sectionIdle
}

// measureIdle starts each front afresh and reads its memory without and with
// connections of one kind.
func measureIdle(ctx context.Context, s settings, k idleKind, t tools, dir string, out io.Writer) ([]idle, error) {
	st := &stage{settings: s, tools: t, dir: dir, out: out, fronts: make(map[string]*runningFront)}
	defer st.stop()
	if err := st.startBackend(ctx); err != nil {
		return nil, err
	}
	var all []idle
	for _, f := range fronts {
		if !s.wants(f.name) || !slices.Contains(k.fronts, f.name) {
			continue
		}
		fmt.Fprintf(out, "%s: %s, %d of them, idle for %v\n", k.section, f.name, k.count, s.settle)
		result, err := st.measureIdleOf(ctx, f, k.test(f.name), k.count)
		if err != nil {
			return nil, fmt.Errorf("idle connections of %s: %w", f.name, err)
		}
		all = append(all, result)
	}
	return all, nil
}

func (st *stage) measureIdleOf(ctx context.Context, f front, test benchCase, count int) (idle, error) {
	running, err := st.startFront(f, f.name, false, test)
	if err != nil {
		return idle{}, err
	}
	defer running.process.stop()
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
	result := idle{Front: f.name, Streams: test.stream, Connections: count}
	if result.Before, err = treeMemory(running.process.process.Pid); err != nil {
		return idle{}, err
	}
	held, err := holdConnections(ctx, running.address, test, count)
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
func holdConnections(ctx context.Context, address string, test benchCase, count int) (held []int, err error) {
	var request []byte
	if test.stream {
		request = clientHello(test.host)
	}
	request = fmt.Appendf(request, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", test.host)
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
