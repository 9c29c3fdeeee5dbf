package vassal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"syscall"
	"time"

	"emperor/internal/proc"
)

// An errand is a program that is run beside the vassal's own and is over after a
// while: a hook or a cron job. What it writes goes to the vassal's log; what it leaves
// in the background is ended with it.

// errand is what one needs.
type errand struct {
	what       Program
	command    *proc.Command
	limit      time.Duration // 0: none
	limitedBy  string        // the option that says it
	grace      time.Duration // between being asked to end and being killed, when it has to
	generation uint64        // whose output it is; 0: nobody's in particular
	spec       *Spec
}

// perform runs an errand and waits for its end. The error says how it failed, or why
// it was killed: its time was over, or ctx has ended.
func (v *Vassal) perform(ctx context.Context, e errand) error {
	began := v.clock.Now()
	capture, err := newCapture(v.output, e.generation, e.spec.logs...)
	if err != nil {
		return fmt.Errorf("%s: %w", e.what, err)
	}
	defer capture.finish()
	if e.limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = within(ctx, v.clock, e.limit, fmt.Errorf("it was ended, because it was not over after %s (%s)", e.limit, cmp.Or(e.limitedBy, "hook-timeout")))
		defer cancel()
	}
	defer v.ownGroup(e.spec, e.command)()
	e.command.Files = map[int]int{1: capture.write, 2: capture.write}
	if err := carryOut(ctx, v, v.log, e.command, e.grace); err != nil {
		capture.settle() // its last words, before anybody is told
		return fmt.Errorf("%s: %w", e.what, err)
	}
	v.log.Info("done", "option", e.what.Option, "line", shortPos(e.what.Pos), "took", v.clock.Now().Sub(began).Round(time.Millisecond))
	return nil
}

// startsHelpers starts programs and knows those that run.
type startsHelpers interface {
	startHelper(ctx context.Context, c *proc.Command) (*proc.Process, error)
	endHelper(p *proc.Process)
}

// startHelper starts one beside the vassal, unless that stands still.
func (v *Vassal) startHelper(ctx context.Context, c *proc.Command) (*proc.Process, error) {
	v.stillness.RLock()
	defer v.stillness.RUnlock()
	p, err := v.deps.Starter.Start(ctx, c)
	if err == nil {
		v.helpers.mu.Lock()
		v.helpers.running[p] = true
		v.helpers.mu.Unlock()
	}
	return p, err
}

// endHelper forgets one that is over.
func (v *Vassal) endHelper(p *proc.Process) {
	v.helpers.mu.Lock()
	delete(v.helpers.running, p)
	v.helpers.mu.Unlock()
}

// processes are all that run, for an upgrade of the emperor.
func (h *helpers) processes() (all []proc.Carried) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for p := range h.running {
		all = append(all, p.Carry())
	}
	return all
}

// starterOnly starts programs for nobody's vassal.
type starterOnly struct{ *proc.Starter }

func (s starterOnly) startHelper(ctx context.Context, c *proc.Command) (*proc.Process, error) {
	return s.Start(ctx, c)
}
func (starterOnly) endHelper(*proc.Process) {}

// carryOut runs a program, waits for its end, or for that of ctx, and ends what is left.
// With a grace it is asked first.
func carryOut(ctx context.Context, by startsHelpers, log *slog.Logger, c *proc.Command, grace time.Duration) error {
	p, err := by.startHelper(ctx, c)
	if err != nil {
		return proc.ExplainLimit(err)
	}
	defer by.endHelper(p)
	select {
	case <-p.Done():
	case <-ctx.Done():
		err = context.Cause(ctx)
		if grace > 0 && p.SignalTree(syscall.SIGTERM) == nil {
			select {
			case <-p.Done():
			case <-time.After(grace):
			}
		}
	}
	killing, cancel := context.WithTimeout(context.Background(), killTime)
	defer cancel()
	killTree(killing, log, p)
	if err != nil {
		return err
	}
	if exit := p.Exit(); !exit.Success() {
		return errors.New(exit.String())
	}
	return nil
}

// killTime is how long a killed session may take to be gone, on a busy machine.
const killTime = 20 * time.Second

// helperCommand describes a program that runs beside the vassal, as the vassal's user,
// in its directory, with its environment, and with no more rights. role is what tells its processes from
// those of others ("cron").
func (v *Vassal) helperCommand(s *Spec, role, line string) (*proc.Command, error) {
	words, err := commandVector(line)
	if err != nil {
		return nil, err
	}
	c := v.asUser(v.errandOf(role), s.Helpers.user)
	c.Path, c.Args, c.Dir, c.Umask = words[0], words, s.Helpers.dir, s.Helpers.umask
	c.Chroot, c.Restrictions = s.limits.chroot, (&surroundings{spec: s}).restrictions()
	c.Env = apply(c.Env, s.Helpers.environment)
	return c, nil
}

// ownGroup gives a program of a vassal with limits a control group of its own, with the
// same limits: it may outlive the generation whose group it would be in. The function
// that it returns ends the group.
func (v *Vassal) ownGroup(s *Spec, c *proc.Command) func() {
	if v.deps.Groups == nil || !s.limits.group.asked {
		return func() {}
	}
	group, news := v.deps.Groups.Make(c.Name, c.Generation, s.limits.group.settings())
	for _, err := range news {
		v.log.Warn("a limit cannot be had", "err", err)
	}
	if group == nil {
		return func() {}
	}
	c.Restrictions.Group = group.Path
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), killTime)
		defer cancel()
		if err := group.End(ctx); err != nil {
			v.log.Error("a control group could not be removed", "group", group.Path, "err", err)
		}
	}
}

// errandOf is a command with a mark of its own.
func (v *Vassal) errandOf(role string) *proc.Command {
	return &proc.Command{
		Name: v.name + "#" + role, Generation: v.errands.Add(1), Umask: -1, ParentDeathSignal: true,
		Env: inherited(v.defaults.Environment, false),
	}
}

// asUser makes a command somebody's; nil is the emperor's own user.
func (v *Vassal) asUser(c *proc.Command, user *account) *proc.Command {
	if user == nil {
		return c
	}
	c.Credential = user.credential()
	for name, value := range map[string]string{"USER": user.name, "LOGNAME": user.name, "HOME": user.home} {
		if value != "" {
			c.Env = append(without(c.Env, name), name+"="+value)
		}
	}
	return c
}

// told adds variables to a command's environment.
func told(c *proc.Command, variables ...string) *proc.Command {
	c.Env = append(c.Env, variables...)
	return c
}

func userNumbers(user *account) (uid, gid string) {
	user = user.orSelf()
	return strconv.Itoa(int(user.uid)), strconv.Itoa(int(user.gid))
}
