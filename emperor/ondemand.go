package emperor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"emperor/emperor/monitor"
	"emperor/internal/proc"
	"emperor/vassal/spec"
)

const (
	// asking is how many emperor-on-demand-exec programs run at a time.
	asking = 4
	// askTime is how long one may take.
	askTime = 10 * time.Second
)

// onDemandProgram is emperor-on-demand-exec: it is run once for each vassal file, and
// again when the file has changed, and says which socket wakes the vassal. It runs
// beside the loop: a slow one delays its own vassal only.
type onDemandProgram struct {
	ctx     context.Context // when it ends, so do the programs
	running sync.WaitGroup
	log     *slog.Logger
	starter *proc.Starter
	wake    func() // makes the loop look again

	slots   chan struct{}
	number  atomic.Uint64              // of runs
	answers map[string]*onDemandAnswer // by file; belongs to the loop
}

// onDemandAnswer is what a program has said, or will say.
type onDemandAnswer struct {
	command string
	stamp   monitor.Stamp
	done    chan struct{} // closed when text and err are there
	text    string
	err     error
}

func newOnDemandProgram(ctx context.Context, starter *proc.Starter, wake func(), log *slog.Logger) *onDemandProgram {
	return &onDemandProgram{ctx: ctx, log: log, starter: starter, wake: wake, slots: make(chan struct{}, asking), answers: map[string]*onDemandAnswer{}}
}

// ask returns what the program says of a vassal; not known while it runs.
func (p *onDemandProgram) ask(command string, item monitor.Item, about spec.Reading, user *proc.Credential) (text string, known bool) {
	a := p.answers[item.Path]
	if a == nil || a.command != command || a.stamp != item.Stamp {
		a = &onDemandAnswer{command: command, stamp: item.Stamp, done: make(chan struct{})}
		p.answers[item.Path] = a
		p.running.Go(func() {
			select {
			case p.slots <- struct{}{}:
				a.text, a.err = p.run(command, about, user)
				<-p.slots
			case <-p.ctx.Done():
			}
			if a.err != nil {
				p.log.Warn("emperor-on-demand-exec", "vassal", about.Name, "err", a.err)
			}
			close(a.done)
			p.wake()
		})
	}
	select {
	case <-a.done:
		return a.text, true
	default:
		return "", false
	}
}

// run runs it once. As uWSGI it goes through a shell, but the name of the vassal is an
// argument and never part of the command.
func (p *onDemandProgram) run(command string, about spec.Reading, user *proc.Credential) (string, error) {
	ctx, cancel := context.WithTimeout(p.ctx, askTime)
	defer cancel()
	var pipe [2]int
	if err := syscall.Pipe2(pipe[:], syscall.O_CLOEXEC); err != nil {
		return "", os.NewSyscallError("pipe2", err)
	}
	_ = syscall.SetNonblock(pipe[0], true)
	output := os.NewFile(uintptr(pipe[0]), "output of emperor-on-demand-exec")
	defer func() { _ = output.Close() }()
	process, err := p.starter.Start(ctx, &proc.Command{
		// A number of its own: what ends one must not take another for part of it.
		Name: "emperor-on-demand-exec", Generation: p.number.Add(1), Path: "/bin/sh", Args: []string{"sh", "-c", command + ` "$1"`, "sh", about.Argument},
		Env: about.Env, Dir: about.Dir, Files: map[int]int{1: pipe[1]}, Credential: user, Umask: -1, ParentDeathSignal: true,
	})
	_ = syscall.Close(pipe[1])
	if err != nil {
		return "", err
	}
	defer context.AfterFunc(ctx, func() { _ = output.SetReadDeadline(time.Now()) })()
	text, err := io.ReadAll(io.LimitReader(output, 4096))
	select {
	case <-process.Done():
	case <-ctx.Done():
	}
	killing, stop := context.WithTimeout(context.Background(), time.Second)
	defer stop()
	_ = process.KillTree(killing)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "", fmt.Errorf("%s: no answer within %s: the vassal is started at once", command, askTime)
	case err != nil:
		return "", err
	}
	said := spec.FirstLine(string(text))
	if exit := process.Exit(); said == "" && !exit.Success() {
		return "", fmt.Errorf("%s: %s, and no answer: the vassal is started at once", command, exit)
	}
	return said, nil
}
