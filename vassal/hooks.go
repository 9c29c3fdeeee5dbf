package vassal

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"time"

	"emperor/internal/proc"
	"emperor/vassal/spec"
)

// Hooks are programs that are run at certain moments.
//
//   - Those of the vassal's file: exec-pre-start before each generation, while the old
//     one serves; exec-post-stop when nothing of the vassal runs any more.
//   - Those of the main file, which are uWSGI's: vassals-start-hook and vassals-stop-hook
//     at the two ends of a vassal's life (a uWSGI that is reloaded sees neither, and so a
//     deploy does not either); the as-vassal and as-emperor ones for each process, as
//     uWSGI does when it forks one.
//
// They run in the goroutine of a generation, or in one of their own: never in a loop.

// MainHooks are the programs that the main file wants run for each vassal. They are
// immutable.
type MainHooks struct {
	// Start and Stop: vassals-start-hook and vassals-stop-hook; a zero Line is none.
	Start, Stop spec.Program
	// BeforeVassal run before a generation is started and AsEmperor after it, as the
	// emperor; BeforeDrop and AsVassal before it, as the emperor and as the vassal.
	BeforeVassal, BeforeDrop, AsVassal, AsEmperor []Action
	// Asleep run as the emperor when a vassal begins to wait for somebody who wants
	// something of it.
	Asleep []Action
	// Timeout is how long one may take.
	Timeout time.Duration
}

var noHooks = &MainHooks{}

// mainHooks are those of the main file as it is now.
func (v *Vassal) mainHooks() *MainHooks {
	if v.deps.Hooks != nil {
		if h := v.deps.Hooks(); h != nil {
			return h
		}
	}
	return noHooks
}

// prepare runs what is to run before a generation is started.
func (g *generation) prepare(ctx context.Context) error {
	v, main := g.v, g.v.mainHooks()
	v.hookFailure.Store(nil)
	for _, hook := range main.BeforeVassal {
		v.tryAction(ctx, main, hook, g, nil) // as uWSGI: a failure is only said
	}
	for _, hook := range main.BeforeDrop {
		if err := v.action(ctx, main, hook, g, nil); err != nil {
			return err
		}
	}
	if err := g.life.begin(ctx, func() { v.startHook(ctx, main, g.spec, g.number) }); err != nil {
		return err
	}
	for _, hook := range main.AsVassal {
		if err := v.action(ctx, main, hook, g, g.spec.StartsAs()); err != nil {
			return err
		}
	}
	if g.prepared {
		return nil
	}
	return v.preStart(ctx, g.spec, g.number)
}

// preStart runs the exec-pre-start lines, until one fails.
func (v *Vassal) preStart(ctx context.Context, s *spec.Spec, generation uint64) error {
	for _, hook := range s.PreStart {
		c, err := v.helperCommand(s, "hook", hook.Line)
		if err == nil {
			err = v.perform(ctx, errand{what: hook, spec: s, command: c, limit: s.HookLimit(), generation: generation})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// shutdownHooks is how long the last hooks may take when the emperor itself ends,
// which has only a few seconds left by then.
const shutdownHooks = 2 * time.Second

// startHook is vassals-start-hook. As in uWSGI its value is a program, which gets the
// vassal's name; how it ends is only said.
func (v *Vassal) startHook(ctx context.Context, main *MainHooks, s *spec.Spec, generation uint64) {
	if main.Start.Line == "" {
		return
	}
	c := v.asUser(v.hookCommand(s, main.Start.Line, s.Helpers.ToldFile), s.StartsAs())
	v.say(v.perform(ctx, errand{what: main.Start, spec: s, command: c, limit: main.Timeout, generation: generation}))
}

// stopHook is vassals-stop-hook, run as the emperor.
func (v *Vassal) stopHook(ctx context.Context, main *MainHooks, s *spec.Spec) error {
	if main.Stop.Line == "" {
		return nil
	}
	c := v.hookCommand(s, main.Stop.Line, s.Helpers.ToldFile)
	return v.perform(ctx, errand{what: main.Stop, spec: s, command: c, limit: main.Timeout})
}

// hookCommand is a program of the main file's, in the directory in which uWSGI's
// emperor would run it.
func (v *Vassal) hookCommand(s *spec.Spec, words ...string) *proc.Command {
	c := told(v.errandOf("hook"), "UWSGI_VASSALS_DIR="+s.Helpers.ToldDir)
	c.Path, c.Args, c.Dir = words[0], words, s.Helpers.ToldDir
	return c
}

// action carries out one line of the main file for a generation.
func (v *Vassal) action(ctx context.Context, main *MainHooks, a Action, g *generation, user *spec.Account, variables ...string) error {
	if a.words == nil {
		v.log.Info(a.say, "option", a.Option, "gen", g.number)
		return nil
	}
	c := told(v.asUser(v.hookCommand(g.spec, a.words...), user), variables...)
	return v.perform(ctx, errand{what: a.Program, spec: g.spec, command: c, limit: main.Timeout, generation: g.number})
}

func (v *Vassal) tryAction(ctx context.Context, main *MainHooks, a Action, g *generation, user *spec.Account, variables ...string) {
	v.say(v.action(ctx, main, a, g, user, variables...))
}

// HookFailure is how a hook of the main file failed whose failure changes nothing. It is
// immutable.
type HookFailure struct {
	At  time.Time
	How string
}

// say logs a hook's failure that changes nothing, and shows it until the hooks of the next
// start run.
func (v *Vassal) say(err error) {
	if err != nil {
		v.log.Warn("a hook failed; going on", "err", err)
		v.hookFailure.Store(&HookFailure{At: v.clock.Now(), How: err.Error()})
		v.send(message{kind: helpersChanged})
	}
}

// errItsEnd is why a hook that is about a process does not outlive that.
var errItsEnd = errors.New("it was ended, because the process that it was run for ends")

// asEmperor runs the as-emperor lines for processes that have just been started. It
// is called by whoever has started them and does not wait.
func (g *generation) asEmperor(pids []int) {
	v, main := g.v, g.v.mainHooks()
	if len(main.AsEmperor) == 0 {
		return
	}
	uid, gid := userNumbers(g.spec.StartsAs())
	for _, pid := range g.introduced.fresh(pids) {
		v.tasks.Go(func() {
			ctx, cancel := context.WithCancelCause(context.Background())
			defer cancel(nil)
			defer context.AfterFunc(g.hurrying, func() { cancel(errItsEnd) })()
			for _, hook := range main.AsEmperor {
				v.tryAction(ctx, main, hook, g, nil, "UWSGI_VASSAL_CONFIG="+g.spec.Helpers.ToldFile,
					"UWSGI_VASSAL_PID="+strconv.Itoa(pid), "UWSGI_VASSAL_UID="+uid, "UWSGI_VASSAL_GID="+gid)
			}
		})
	}
}

// fallenAsleep runs hook-as-on-demand-vassal once for each time that it begins to sleep.
func (v *Vassal) fallenAsleep() {
	if v.state != Asleep {
		v.toldAsleep = false
		return
	}
	main := v.mainHooks()
	if v.toldAsleep || v.halted || len(main.Asleep) == 0 {
		return
	}
	v.toldAsleep = true
	g := &generation{number: v.number, spec: v.spec, v: v} // none: only what hooks are told
	v.tasks.Go(func() {
		for _, hook := range main.Asleep {
			v.tryAction(v.ctx, main, hook, g, nil, "UWSGI_HOOK_CONTEXT="+g.spec.Helpers.ToldFile)
		}
	})
}

// introductions are the processes that the as-emperor hooks know.
type introductions struct {
	mu    sync.Mutex
	known []int
}

// fresh are those of the processes that there are now which were not there before.
func (i *introductions) fresh(pids []int) []int {
	i.mu.Lock()
	defer i.mu.Unlock()
	fresh := slices.DeleteFunc(slices.Clone(pids), func(pid int) bool { return slices.Contains(i.known, pid) })
	i.known = slices.Clone(pids)
	return fresh
}
