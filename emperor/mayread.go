package emperor

import (
	"context"

	"emperor/internal/link"
)

// A router is confined: it opens no file. To serve a folder it has to, each file
// when it is asked for. So a router for a configuration with folders, or for
// vassals of static files, is started with reading allowed; the rest of its
// confinement stays, and the files' permissions say what it may read. As long as
// nobody serves a folder, nothing of this is needed, and it may not.

// routerReading asks for a router that may read files.
type routerReading struct {
	reply chan error
}

// mayRead tells whether a router for it has to be able to read files.
func (q *routerRequest) mayRead() bool { return q.configuration.ServesFolders() }

// MayRead returns when the router, if there is one, may read files, or the error for
// which it may not. Once it may, each later one may.
func (r *routerChild) MayRead(ctx context.Context) error {
	q := routerReading{reply: make(chan error, 1)}
	select {
	case r.readings <- q:
		return <-q.reply
	case <-ctx.Done():
		return ctx.Err()
	}
}

// expectFiles is MayRead before the first vassal with files serves, which a sleeping one
// may do late: who waits for it at a router that may not read them would be sent to the
// next one. Failing is not the end: who needs it asks again. It does not wait.
func (r *routerChild) expectFiles(ctx context.Context, run func(func())) {
	if !r.expected.Swap(true) {
		run(func() { _ = r.MayRead(ctx) })
	}
}

// allowReading sees to it that the router may read files.
func (r *routerChild) allowReading(ctx context.Context) error {
	r.mayRead = true
	if r.live == nil || r.live.mayRead {
		return nil // the next one may
	}
	return r.succeed(ctx, *r.current, filesServed)
}

const filesServed = "files are to be served: a router that may read them takes over"

// succeed puts another process in the router's place, such as one that may read files,
// because a confinement cannot be loosened: both accept on the same sockets until
// the earlier one is told to leave, and that one finishes what it has.
func (r *routerChild) succeed(ctx context.Context, q routerRequest, why string) error {
	p, err := r.start(ctx, q)
	if err != nil {
		return err
	}
	old := r.live
	r.current, r.live = &q, p
	r.publish("running", "") // whoever reads the line and asks hears of this one
	if len(q.listeners) > 0 {
		r.log.Info(why, "pid", p.process.PID(), "from", old.process.PID())
	}
	if old.peer.Send(link.Message{Kind: link.Leave}) == nil {
		r.drain(old)
	} else {
		r.children.Go(old.kill) // it may be half gone
	}
	return nil
}

// reopen gives the router its configuration again, with files and folders as they
// are now.
func (r *routerChild) reopen(ctx context.Context) {
	if r.live == nil {
		return
	}
	if err := r.live.configure(ctx, *r.current); err != nil {
		r.log.Error("a folder that rules serve was replaced, and the new one cannot be used: what was there before is served", "err", err)
	}
}
