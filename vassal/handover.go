package vassal

import (
	"context"
	"slices"
	"time"

	"emperor/internal/link"
	"emperor/vassal/spec"
)

const (
	// settle is waited between the router's word that it sends no new request and
	// byte 2 to a uWSGI whose socket its successor shares: what the router sent just
	// before is in the queue of the socket, or with a worker that still accepts.
	settle = 10 * time.Millisecond
	// handOverTime is waited after it, until the old workers have left accept. (A worker that is told to go
	// between accept and its first read drops the connection: 10 of 150 swaps lost a
	// request without the pauses, none of 150 with them.)
	handOverTime = 20 * time.Millisecond
)

// underHold runs f while the router sends no new request to the vassal, and is
// not about to connect to it.
func (v *Vassal) underHold(ctx context.Context, f func()) {
	front := v.deps.Front
	if front == nil {
		f()
		return
	}
	select {
	case v.holding <- struct{}{}:
		defer func() { <-v.holding }()
	case <-ctx.Done(): // somebody is in a hurry: f must run all the same
	}
	holding, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	if err := front.Hold(holding, v.name); err != nil && ctx.Err() == nil {
		v.log.Warn("the router did not say that it holds requests back; going on", "err", err)
	}
	defer front.Release(v.name)
	f()
}

// try asks the router whether it could serve a row.
func (v *Vassal) try(ctx context.Context, row link.Vassal) error {
	if v.deps.Front == nil {
		return nil
	}
	return v.deps.Front.Try(ctx, row)
}

// handOver gives new requests to the successor. It runs in a goroutine of its
// own and tells the loop how it went.
func (v *Vassal) handOver(old, successor *generation, row link.Vassal) {
	announce := func() {
		ctx, cancel := context.WithTimeout(v.ctx, answerTime)
		defer cancel()
		v.publisher.wait(ctx, v.publisher.publish(row))
	}
	var err error
	switch {
	case successor.spec.Kind == spec.UWSGI && !successor.spec.Exchangeable():
		// Both accept from the same socket. The old one must leave it while nothing
		// arrives; what it has accepted it finishes.
		v.underHold(v.ctx, func() {
			announce()
			old.retireShared(v.ctx)
		})
	case changesProtocol(old.body.addresses(), row.Addresses):
		// Until the router knows the row it would speak the old one's protocol.
		v.underHold(v.ctx, func() {
			if err = successor.body.promote(); err == nil {
				announce()
			}
		})
	default:
		// The successor has a socket of its own, and rename(2) gives it the path.
		if err = successor.body.promote(); err == nil {
			announce()
		}
	}
	event := HandedOver
	if err != nil {
		event = HandOverFailed
	}
	v.send(message{kind: machineEvent, event: event, generation: successor.number, err: err})
}

// changesProtocol: an address stays, and something else is spoken there.
func changesProtocol(before, after []link.Address) bool {
	return slices.ContainsFunc(after, func(a link.Address) bool {
		return slices.ContainsFunc(before, func(b link.Address) bool { return a.Address == b.Address && a.Protocol != b.Protocol })
	})
}
