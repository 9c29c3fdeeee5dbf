package vassal

import (
	"context"
	"time"

	"emperor/internal/link"
)

const (
	// settle is waited between the router's word that it sends no new request and
	// the order to the old workers to accept no more: what the router sent just
	// before is in the queue of the socket, or with a worker that still accepts.
	settle = 10 * time.Millisecond
	// handOverTime is waited after that order, until the old workers have left
	// accept. (A worker that is told to go between accept and its first read drops
	// the connection: 10 of 150 swaps lost a request without the pauses, none of
	// 150 with them.)
	handOverTime = 20 * time.Millisecond
)

// underHold runs f while the router sends no new request to the vassal.
func (v *Vassal) underHold(ctx context.Context, f func()) {
	front := v.deps.Front
	if front == nil {
		f()
		return
	}
	holding, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	if err := front.Hold(holding, v.name); err != nil && ctx.Err() == nil {
		v.log.Warn("the router did not say that it holds requests back; going on", "err", err)
	}
	defer front.Release(v.name)
	sleep(ctx, v.clock, settle)
	f()
	sleep(ctx, v.clock, handOverTime)
}

// handOver gives new requests to the successor. It runs in a goroutine of its
// own and tells the loop how it went.
func (v *Vassal) handOver(old, successor *generation, row link.Vassal) {
	announce := func() {
		ctx, cancel := context.WithTimeout(v.ctx, answerTime)
		defer cancel()
		v.publisher.wait(ctx, v.publisher.publish(row))
	}
	if successor.spec.Kind == UWSGI {
		// Both accept from the same socket. The old one must leave it while nothing
		// arrives; what it has accepted it finishes.
		v.underHold(v.ctx, func() {
			announce()
			old.retire()
		})
	} else {
		// The successor has a socket of its own, and rename(2) gives it the path.
		if err := successor.body.promote(); err != nil {
			v.send(message{kind: machineEvent, event: HandOverFailed, generation: successor.number, err: err})
			return
		}
		announce()
	}
	v.send(message{kind: machineEvent, event: HandedOver, generation: successor.number})
}
