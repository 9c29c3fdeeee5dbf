package vassal

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"emperor/vassal/clock"
	"emperor/vassal/probe"
	"emperor/vassal/spec"
)

// fullQueue is how long is waited where no connection fits into a socket's queue.
const fullQueue = 50 * time.Millisecond

// inquireAt asks once, on a socket whose queue may be full.
func (s *surroundings) inquireAt(ctx context.Context, network, to, protocol, path string) error {
	for {
		err := probe.Ask(ctx, network, to, protocol, s.spec.Scripts(protocol), path)
		if !errors.Is(err, syscall.EAGAIN) || !clock.Sleep(ctx, s.clock, fullQueue) {
			return err
		}
	}
}

func (b *commandBody) inquire(ctx context.Context, path string) error {
	network, to := "tcp", b.at
	switch {
	case b.spec.Port || b.byPort:
	case b.promoted.Load():
		network, to = b.spec.Sockets[0].At.Dialable(b.spec.SocketRules.Dir)
	default:
		network, to = b.target()
	}
	return b.inquireAt(ctx, network, to, b.spec.Command.Protocol, path)
}

func (b *uwsgiBody) inquire(ctx context.Context, path string) error {
	socket, held, ok := b.spec.Askable()
	if !ok || !b.promoted.Load() && !b.fresh() && len(b.contested) > 0 {
		return nil // nobody, or another generation, would answer
	}
	network, to := socket.At.Dialable(b.spec.SocketRules.Dir)
	if held >= 0 && b.fresh() && !b.promoted.Load() {
		to = b.listeners[held].Path
	}
	protocol := socket.Protocol
	if protocol == "uwsgi" && path == "" {
		protocol = probe.EmptyUWSGI
	}
	return b.inquireAt(ctx, network, to, protocol, path)
}

func (b *staticBody) inquire(context.Context, string) error { return nil }

// proveWell returns when a generation that has booted answers the paths that it has to
// answer well before it is ready.
func (g *generation) proveWell(ctx context.Context) error {
	var paths []string
	if g.spec.Kind == spec.UWSGI && g.spec.ReadyPath != "" { // a command was asked when it booted
		paths = append(paths, g.spec.ReadyPath)
	}
	if g.mustBeWell && g.spec.Health.Path != "" {
		paths = append(paths, g.spec.Health.Path)
	}
	for _, path := range paths {
		if err := g.askUntilWell(ctx, path); err != nil {
			return err
		}
	}
	return nil
}

func (g *generation) askUntilWell(ctx context.Context, path string) error {
	ctx, cancel := context.WithCancelCause(ctx)
	ended := make(chan struct{})
	go func() { // ends with ctx, which ends with this function
		defer close(ended)
		select {
		case <-g.body.died():
			cancel(fmt.Errorf("ended before it was ready: %s", g.body.cause()))
		case <-ctx.Done():
		}
	}()
	defer func() { cancel(nil); <-ended }()
	last := fmt.Errorf("%s is not answered", path)
	for pause := 20 * time.Millisecond; ; pause = min(2*pause, time.Second/2) {
		err := g.body.inquire(ctx, path)
		switch {
		case err == nil:
			return nil
		case ctx.Err() == nil:
			last = err
		}
		if !clock.Sleep(ctx, g.v.clock, pause) {
			return fmt.Errorf("%w: %w", context.Cause(ctx), last)
		}
	}
}
