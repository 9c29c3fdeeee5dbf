package vassal

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"emperor/internal/config"
)

// memoryOptions replace a command that has grown too large. In a file that uWSGI runs
// they are uWSGI's, which looks at each worker when that has answered a request.
var memoryOptions = []config.Option{
	{Name: "reload-on-rss", Type: config.Int, Min: 1, Where: config.Vassal, Help: "A command that takes more MiB of memory, all its processes together, is replaced by a new generation, as after an edit: no request is cut."},
	{Name: "min-worker-lifetime", Type: config.Seconds, Min: 1, Default: "60", Where: config.Vassal, Help: "How long a generation of a command serves at least before reload-on-rss replaces it."},
}

// memoryLook is how often it is looked how large a command has grown.
const memoryLook = 10 * time.Second

// memoryLaunch says when a generation is replaced for what it takes.
type memoryLaunch struct {
	limit uint64 // bytes; 0: never
	floor time.Duration
	pos   config.Pos
}

// readMemory completes the spec of a command with it.
func (r *reader) readMemory() {
	v, ok := r.c.Last("reload-on-rss")
	if !ok || v.Unknown || r.spec.Kind != Command {
		return
	}
	n, err := amount(v.Value, false)
	if err != nil || n == 0 || n > 1<<40 {
		r.wrong(v, "want a number of MiB, got %q", v.Value)
		return
	}
	r.spec.memory = memoryLaunch{limit: n << 20, floor: r.c.Seconds("min-worker-lifetime"), pos: v.Pos}
	if r.spec.memory.floor <= 0 {
		r.spec.memory.floor = time.Minute // the lines of one app have no defaults
	}
}

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

// watchMemory has the serving generation replaced when it takes too much.
func (v *Vassal) watchMemory() {
	g := v.current
	body, ok := g.body.(weighed)
	if !ok || g.spec.memory.limit == 0 {
		return
	}
	ctx, cancel := context.WithCancel(v.ctx)
	stop := context.AfterFunc(g.abandoned, cancel) // when it is dismissed
	v.tasks.Go(func() {
		defer cancel()
		defer stop()
		v.awaitGrowth(ctx, g, body)
	})
}

// awaitGrowth asks for a replacement as often as it takes, until ctx ends or the
// generation has died. Between two of them the floor passes, so that a limit below what
// the program needs does not make it start without end.
func (v *Vassal) awaitGrowth(ctx context.Context, g *generation, body weighed) {
	limit := g.spec.memory
	for pause := limit.floor; sleep(ctx, v.clock, pause); {
		select {
		case <-g.body.died():
			return
		default:
		}
		pause = min(memoryLook, limit.floor)
		if used, err := body.memory(); err == nil && used > limit.limit {
			by := fmt.Sprintf("it takes %d MiB of memory, and reload-on-rss (%s) allows %d", used>>20, shortPos(limit.pos), limit.limit>>20)
			v.send(message{kind: machineEvent, event: Outgrown, generation: g.number, by: by})
			pause = limit.floor
		}
	}
}
