package vassal

import "context"

// A program of which nothing is known but its command line gets both a socket
// (LISTEN_FDS) and a port ($PORT), and is asked at both. The first that it answers
// at is the one that it uses. (Which it would be cannot be seen before: gunicorn
// takes the socket, most node programs the port.)

// way is one of the two.
type way struct {
	byPort bool
	err    error
}

// askEither asks at both until one is answered, and notes which.
func (b *commandBody) askEither(ctx context.Context, asked *lastAnswer) error {
	asking, cancel := context.WithCancel(ctx)
	defer cancel()
	answers := make(chan way, 2)
	network, to := b.target()
	go func() { answers <- way{false, b.askAt(asking, asked, network, to)} }() // both end with asking;
	go func() { answers <- way{true, b.askAt(asking, asked, "tcp", "")} }()    // both are awaited
	first := <-answers
	if first.err == nil {
		cancel()
		<-answers
		b.settle(first.byPort)
		return nil
	}
	// Somebody else has the port: it may use the socket all the same.
	second := <-answers
	if second.err == nil {
		b.settle(second.byPort)
		return nil
	}
	return first.err
}

// settle gives up the socket when the program does not use it.
func (b *commandBody) settle(byPort bool) {
	b.byPort = byPort
	if byPort {
		releaseAll(b.listeners)
		b.listeners = nil
	}
}

// startOthers starts the remaining copies, once it is known that they can share
// what the first one uses.
func (b *commandBody) startOthers(ctx context.Context) error {
	copies := b.spec.Command.Copies
	switch {
	case !b.spec.Command.EitherWay || copies == 1:
		return nil
	case b.byPort:
		b.log.Warn("it listens on $PORT, which only one process can: one is run; they could share a socket that they take from LISTEN_FDS", "processes", copies)
		return nil
	}
	for i := 1; i < copies; i++ {
		if err := b.copies.start(ctx, i); err != nil {
			return err
		}
	}
	return nil
}
