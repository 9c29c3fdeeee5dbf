package emperor

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"emperor/internal/config"
	"emperor/internal/proc"
	"emperor/vassal"
	"emperor/vassal/environment"
	"emperor/vassal/spec"
)

// hookOptions are the hooks of the main file: programs that are run for each vassal, and
// those of the emperor's own start and end. uWSGI runs them synchronously in its one
// loop; here a slow one delays nobody but its vassal, and none runs without end.
var hookOptions = []config.Option{
	{Name: "vassals-start-hook", Type: config.Path, Where: config.Main, Help: "Run this program with the vassal's name when a vassal begins to run, as its user. A deploy is no beginning."},
	{Name: "vassals-stop-hook", Type: config.Path, Where: config.Main, Help: "Run this program with the vassal's name when nothing of a vassal runs any more."},
	{Name: "exec-as-emperor", Type: config.String, Repeat: true, Where: config.Main, Help: "Run this for each process that was started for a vassal; $UWSGI_VASSAL_PID, _CONFIG, _UID and _GID say which."},
	{Name: "hook-as-emperor", Type: config.String, Repeat: true, Where: config.Main, Help: "As exec-as-emperor: ACTION:ARGUMENTS, such as exec:COMMAND or chmod:FILE MODE."},
	{Name: "exec-as-vassal", Type: config.String, Repeat: true, Where: config.Main, Help: "Run this before each generation of a vassal, as its user; if it fails the vassal is not started."},
	{Name: "hook-as-vassal", Type: config.String, Repeat: true, Where: config.Main, Help: "As exec-as-vassal: ACTION:ARGUMENTS."},
	{Name: "exec-as-vassal-before-drop", Type: config.String, Repeat: true, Where: config.Main, Help: "As exec-as-vassal, but as the emperor."},
	{Name: "hook-as-vassal-before-drop", Type: config.String, Repeat: true, Where: config.Main, Help: "As exec-as-vassal-before-drop: ACTION:ARGUMENTS."},
	{Name: "hook-as-emperor-before-vassal", Type: config.String, Repeat: true, Where: config.Main, Help: "ACTION:ARGUMENTS, done as the emperor before each generation of a vassal; a failure is only said."},
	{Name: "hook-as-on-demand-vassal", Type: config.String, Repeat: true, Where: config.Main, Help: "ACTION:ARGUMENTS, done as the emperor whenever a vassal falls asleep or begins to wait for its first request; $UWSGI_HOOK_CONTEXT is its name."},
	spec.HookTimeout,

	{Name: "exec-asap", Type: config.String, Repeat: true, Where: config.Main, Help: "Run this when the emperor starts, before anything else; if it fails the emperor does not start."},
	{Name: "hook-asap", Type: config.String, Repeat: true, Where: config.Main, Help: "As exec-asap: ACTION:ARGUMENTS, such as mkdir:DIRECTORY."},
	{Name: "exec-pre-jail", Type: config.String, Repeat: true, Where: config.Main, Help: "As exec-asap, after it."},
	{Name: "hook-pre-jail", Type: config.String, Repeat: true, Where: config.Main, Help: "As hook-asap, after it."},
	{Name: "exec-in-jail", Type: config.String, Repeat: true, Where: config.Main, Help: "As exec-pre-jail, after it: the emperor has no jail."},
	{Name: "hook-in-jail", Type: config.String, Repeat: true, Where: config.Main, Help: "As hook-pre-jail, after it."},
	{Name: "exec-as-root", Type: config.String, Repeat: true, Where: config.Main, Help: "As exec-in-jail, after it."},
	{Name: "hook-as-root", Type: config.String, Repeat: true, Where: config.Main, Help: "As hook-in-jail, after it."},
	{Name: "exec-as-user", Type: config.String, Repeat: true, Where: config.Main, Help: "As exec-as-root, after it, as the user that the main file's uid names."},
	{Name: "hook-as-user", Type: config.String, Repeat: true, Where: config.Main, Help: "As exec-as-user: ACTION:ARGUMENTS."},
	{Name: "exec-as-user-atexit", Type: config.String, Repeat: true, Where: config.Main, Help: "Run this when the emperor has ended everything, as the user that the main file's uid names."},
	{Name: "hook-as-user-atexit", Type: config.String, Repeat: true, Where: config.Main, Help: "As exec-as-user-atexit: ACTION:ARGUMENTS."},
	{Name: "hook-emperor-start", Type: config.String, Repeat: true, Where: config.Main, Help: "ACTION:ARGUMENTS, done when the emperor starts, after those of exec-as-user; if it fails the emperor does not start."},
}

// startPhases are the moments of the emperor's own start, in uWSGI's order (2.0 runs
// neither post-jail nor pre-app and post-app in an emperor).
var startPhases = []string{"asap", "pre-jail", "in-jail", "as-root", "as-user", "emperor-start"}

// ownPhases are the options of a phase that a uWSGI app has as well: where the main file
// is one, they are the app's.
func ownPhase(key string) bool {
	_, phase, _ := strings.Cut(key, "-")
	return (strings.HasPrefix(key, "exec-") || strings.HasPrefix(key, "hook-")) && (phase == "as-user-atexit" || slices.Contains(startPhases[:5], phase))
}

// hooksWithoutEffect are uWSGI's other hooks, and why none of them does anything in the
// main file.
var hooksWithoutEffect = func() map[string]string {
	out := map[string]string{}
	for _, phase := range []string{"pre-app", "post-app", "post-fork", "accepting", "accepting1", "accepting-once", "accepting1-once", "master-start", "touch", "as-mule", "as-gateway"} {
		out["hook-"+phase] = "the emperor itself serves no app and has no workers"
	}
	out["exec-pre-app"], out["exec-post-app"] = out["hook-pre-app"], out["hook-pre-app"]
	out["exec-post-jail"], out["hook-post-jail"] = "the emperor has no jail; say exec-in-jail", "the emperor has no jail; say hook-in-jail"
	for _, what := range []string{"stop", "reload", "lost"} {
		out["hook-emperor-"+what] = "it is a vassal's, and run by its uWSGI; for all vassals: vassal-set"
	}
	out["hook-as-on-config-vassal"] = "vassals are read from files; exec-pre-start in a vassal is run before each generation"
	out["hook-as-emperor-setns"] = "vassals have no namespaces of their own"
	for _, phase := range []string{"as-emperor", "as-vassal", "asap", "pre-jail", "post-jail", "in-jail", "as-root"} {
		out["mount-"+phase] = "not supported: the emperor mounts nothing; let the system do it before"
		out["umount-"+phase] = out["mount-"+phase]
	}
	for _, name := range []string{"as-emperor", "as-emperor1", "as-emperor2", "as-emperor4", "as-vassal", "as-vassal1", "as-vassal3", "asap", "pre-jail", "post-jail", "in-jail", "as-root", "as-user", "as-user-atexit", "pre-app", "post-app"} {
		out["call-"+name] = "there are no symbols of C to call; say exec-" + strings.TrimRight(name, "1234")
	}
	out["binsh"] = "command lines are split into words; what only a shell understands goes to /bin/sh"
	return out
}()

func init() { maps.Copy(meaningless, hooksWithoutEffect) }

// hooks are those of one main file.
type hooks struct {
	vassals vassal.MainHooks
	own     map[string][]vassal.Action // by phase
}

// readHooks reads them.
func (m *Main) readHooks(problems *config.Problems) {
	c := m.Config
	m.hooks = &hooks{own: map[string][]vassal.Action{}}
	h := &m.hooks.vassals
	h.Timeout = c.Seconds("hook-timeout")
	program := func(name string) (p spec.Program) {
		if v, ok := c.Last(name); ok {
			p = spec.Program{Option: name, Line: m.absolute(v.Value), Pos: v.Pos}
		}
		return p
	}
	h.Start, h.Stop = program("vassals-start-hook"), program("vassals-stop-hook")
	actions := func(names ...string) (out []vassal.Action) {
		for _, name := range names { // as in uWSGI: all hook- lines before the exec- lines
			for _, v := range c.All(name) {
				a, err := vassal.ReadAction(v)
				if err != nil {
					*problems = append(*problems, config.Problem{Pos: v.Pos, Key: v.Key, Text: err.Error()})
					continue
				}
				out = append(out, a)
			}
		}
		return out
	}
	h.BeforeVassal = actions("hook-as-emperor-before-vassal")
	h.BeforeDrop = actions("hook-as-vassal-before-drop", "exec-as-vassal-before-drop")
	h.AsVassal = actions("hook-as-vassal", "exec-as-vassal")
	h.AsEmperor = actions("hook-as-emperor", "exec-as-emperor")
	h.Asleep = actions("hook-as-on-demand-vassal")
	if m.App != nil && !m.App.byCommand() {
		return // the phases are the app's
	}
	for _, phase := range append([]string{"as-user-atexit"}, startPhases...) {
		names := []string{"hook-" + phase, "exec-" + phase}
		if phase == "emperor-start" {
			names = names[:1]
		}
		if lines := actions(names...); len(lines) > 0 {
			m.hooks.own[phase] = lines
		}
	}
}

// vassalHooks are the main file's as it is now; any goroutine may ask.
func (e *Emperor) vassalHooks() *vassal.MainHooks {
	if v := e.view.Load(); v != nil {
		return &v.main.hooks.vassals
	}
	return nil
}

// runStartHooks does what the main file wants done before anything else; an error is
// why the emperor may not start.
func (e *Emperor) runStartHooks(ctx context.Context) error {
	if e.program.Takeover != nil {
		return nil // the emperor has started long ago
	}
	for _, phase := range startPhases {
		if err := e.runHooks(ctx, phase); err != nil {
			return err
		}
	}
	return nil
}

// runEndHooks does what is to be done when everything has ended.
func (e *Emperor) runEndHooks() {
	if err := e.runHooks(context.Background(), "as-user-atexit"); err != nil {
		e.log.Error("a hook failed", "err", err)
	}
}

// endHookTime is how long the hooks at the end may take: whoever ends us has given us
// some seconds only.
const endHookTime = 5 * time.Second

var ownHooks atomic.Uint64 // numbers their processes

func (e *Emperor) runHooks(ctx context.Context, phase string) error {
	for _, a := range e.main.hooks.own[phase] {
		c := &proc.Command{
			Name: "emperor#hook", Generation: ownHooks.Add(1), Dir: e.main.Source.Dir, Umask: -1, ParentDeathSignal: true,
			Env: environment.Inherited(e.main.Defaults.Environment, false),
		}
		limit := e.main.hooks.vassals.Timeout
		if strings.HasPrefix(phase, "as-user") {
			c.Credential = e.main.vassalUser
		}
		if phase == "as-user-atexit" {
			limit = min(limit, endHookTime)
		}
		if err := e.runHook(ctx, a, c, limit); err != nil {
			return fmt.Errorf("%s: %w", a.Pos, err)
		}
	}
	return nil
}

// runHook runs one, with its output in our log.
func (e *Emperor) runHook(ctx context.Context, a vassal.Action, c *proc.Command, limit time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("it was killed, because it was not over after %s (hook-timeout)", limit))
	defer cancel()
	var pipe [2]int
	if err := syscall.Pipe2(pipe[:], syscall.O_CLOEXEC); err != nil {
		return os.NewSyscallError("pipe2", err)
	}
	_ = syscall.SetNonblock(pipe[0], true)
	output := os.NewFile(uintptr(pipe[0]), "output of a hook")
	var reading sync.WaitGroup
	reading.Go(func() { logLinesOf(output, e.log.With("from", a.Option)) }) // ends when nobody writes any more
	c.Files = map[int]int{1: pipe[1], 2: pipe[1]}
	began := time.Now()
	err := a.Run(ctx, e.starter, e.log, c)
	_ = syscall.Close(pipe[1])
	_ = output.SetReadDeadline(time.Now().Add(time.Second)) // somebody who has left its session may still have it
	reading.Wait()
	if err != nil {
		return fmt.Errorf("%s: %s: %w", a.Option, a.Line, err)
	}
	e.log.Info("done", "option", a.Option, "line", a.Pos.String(), "took", time.Since(began).Round(time.Millisecond))
	return nil
}

func logLinesOf(output io.ReadCloser, log *slog.Logger) {
	defer func() { _ = output.Close() }()
	lines := bufio.NewScanner(output)
	for lines.Scan() {
		log.Info(lines.Text())
	}
}

// foreseeHooks finds the programs of hooks that are not there.
func (m *Main) foreseeHooks() (out config.Problems) {
	if m.hooks == nil {
		return nil
	}
	env := environment.Inherited(m.Defaults.Environment, false)
	h := &m.hooks.vassals
	for _, p := range []spec.Program{h.Start, h.Stop} {
		if p.Line == "" {
			continue
		}
		if err := proc.Foresee(p.Line, env); err != nil {
			text := err.Error()
			if name, _, more := strings.Cut(p.Line, " "); more && proc.Foresee(name, env) == nil {
				text += "; the value is a program and nothing else, which gets the vassal's name: with arguments, say exec-as-vassal"
			}
			out = append(out, config.Problem{Pos: p.Pos, Key: p.Option, Text: text})
		}
	}
	lists := [][]vassal.Action{h.BeforeVassal, h.BeforeDrop, h.AsVassal, h.AsEmperor, h.Asleep}
	for _, phase := range append([]string{"as-user-atexit"}, startPhases...) {
		lists = append(lists, m.hooks.own[phase])
	}
	for _, list := range lists {
		for _, a := range list {
			if err := a.Foresee(env, m.Source.Dir); err != nil {
				out = append(out, config.Problem{Pos: a.Pos, Key: a.Option, Text: err.Error()})
			}
		}
	}
	return out
}

// sameHooks tells whether the emperor's own start and end would do the same.
func (m *Main) sameHooks(other *Main) bool {
	lines := func(h *hooks) (out []string) {
		for _, phase := range append([]string{"as-user-atexit"}, startPhases...) {
			for _, a := range h.own[phase] {
				out = append(out, a.Option+"="+a.Line)
			}
		}
		return out
	}
	return slices.Equal(lines(m.hooks), lines(other.hooks))
}
