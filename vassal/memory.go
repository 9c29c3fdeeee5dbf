package vassal

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"emperor/vassal/clock"
	"emperor/vassal/spec"
)

// memoryLook is how often it is looked how large a vassal has grown.
const memoryLook = 10 * time.Second

// weighed is a body that can say how much memory it takes.
type weighed interface {
	memory() (bytes uint64, err error)
}

// memory is what all copies take, with everything that they have started.
func (b *commandBody) memory() (sum uint64, err error) {
	b.copies.mu.Lock()
	processes := slices.Collect(maps.Values(b.copies.running))
	b.copies.mu.Unlock()
	for _, p := range processes {
		n, err := p.Memory()
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

func (b *uwsgiBody) memory() (uint64, error) { return b.process.Memory() }

// watchMemory has the serving generation replaced when it takes too much.
func (v *Vassal) watchMemory() {
	g := v.current
	body, ok := g.body.(weighed)
	if !ok || g.spec.Memory.Limit == 0 {
		return
	}
	v.whileServing(g, func(ctx context.Context) { v.awaitGrowth(ctx, g, body) })
}

func inMiB(bytes uint64) string {
	if bytes < 10<<20 && bytes%(1<<20) != 0 {
		return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20))
	}
	return fmt.Sprintf("%d MiB", bytes>>20)
}

// awaitGrowth asks for a replacement as often as it takes, until ctx ends or the
// generation has died. Between two of them the floor passes, so that a limit below what
// the program needs does not make it start without end.
func (v *Vassal) awaitGrowth(ctx context.Context, g *generation, body weighed) {
	limit := g.spec.Memory
	for pause := limit.Floor; clock.Sleep(ctx, v.clock, pause); {
		select {
		case <-g.body.died():
			return
		default:
		}
		pause = min(memoryLook, limit.Floor)
		if used, err := body.memory(); err == nil && used > limit.Limit {
			by := fmt.Sprintf("it takes %s of memory, and %s (%s) allows %s", inMiB(used), limit.Option, spec.ShortPos(limit.Pos), inMiB(limit.Limit))
			v.send(message{kind: machineEvent, event: Outgrown, generation: g.number, by: by})
			pause = limit.Floor
		}
	}
}
