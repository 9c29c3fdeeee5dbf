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

	"emperor/internal/cgroup"
	"emperor/internal/proc"
	"emperor/vassal/clock"
	"emperor/vassal/commandline"
	"emperor/vassal/environment"
	"emperor/vassal/logs"
	"emperor/vassal/spec"
)

// An errand is a program that is run beside the vassal's own and is over after a
// while: a hook or a cron job. What it writes goes to the vassal's log; what it leaves
// in the background is ended with it.

// errand is what one needs.
type errand struct {
	what       spec.Program
	command    *proc.Command
	limit      time.Duration // 0: none
	limitedBy  string        // the option that says it
	grace      time.Duration // between being asked to end and being killed, when it has to
	generation uint64        // whose output it is; 0: nobody's in particular
	spec       *spec.Spec
	job        *job // whose run it is; nil: a hook
}

// perform runs an errand and waits for its end. The error says how it failed, or why
// it was killed: its time was over, or ctx has ended.
func (v *Vassal) perform(ctx context.Context, e errand) error {
	b := &beside{job: e.job, began: v.clock.Now()}
	var err error
	if b.capture, err = logs.NewCapture(v.output, e.generation, e.spec.Logs...); err != nil {
		return fmt.Errorf("%s: %w", e.what, err)
	}
	var end func()
	b.group, end = v.ownGroup(e.spec, e.command)
	e.command.Files = map[int]int{1: b.capture.Write, 2: b.capture.Write}
	return v.accompany(ctx, e, b, end, func(ctx context.Context) error {
		return carryOut(ctx, v, v.log, e.command, b, e.grace)
	})
}

// accompany does what is to be done around an errand that runs, and when it is over.
func (v *Vassal) accompany(ctx context.Context, e errand, b *beside, endGroup func(), run func(context.Context) error) error {
	defer b.capture.Finish()
	if e.limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = clock.Within(ctx, v.clock, max(0, e.limit-v.clock.Now().Sub(b.began)), fmt.Errorf("it was ended, because it was not over after %s (%s)", e.limit, cmp.Or(e.limitedBy, "hook-timeout")))
		defer cancel()
	}
	defer endGroup()
	if err := run(ctx); err != nil {
		b.capture.Settle() // its last words, before anybody is told
		return fmt.Errorf("%s: %w", e.what, err)
	}
	v.log.Info("done", "option", e.what.Option, "line", spec.ShortPos(e.what.Pos), "took", v.clock.Now().Sub(b.began).Round(time.Millisecond))
	return nil
}

// startsHelpers starts programs and knows those that run.
type startsHelpers interface {
	startHelper(ctx context.Context, c *proc.Command, b *beside) (*proc.Process, error)
	endHelper(p *proc.Process)
}

// startHelper starts one beside the vassal, unless that stands still.
func (v *Vassal) startHelper(ctx context.Context, c *proc.Command, b *beside) (*proc.Process, error) {
	v.stillness.RLock()
	defer v.stillness.RUnlock()
	p, err := v.deps.Starter.Start(ctx, c)
	if err == nil {
		v.helpers.enter(p, b)
	}
	return p, err
}

// endHelper forgets one that is over, unless the vassal stands still: what it has open
// may have been written down already.
func (v *Vassal) endHelper(p *proc.Process) {
	v.stillness.RLock()
	defer v.stillness.RUnlock()
	v.helpers.mu.Lock()
	delete(v.helpers.running, p)
	v.helpers.mu.Unlock()
}

// starterOnly starts programs for nobody's vassal.
type starterOnly struct{ *proc.Starter }

func (s starterOnly) startHelper(ctx context.Context, c *proc.Command, _ *beside) (*proc.Process, error) {
	return s.Start(ctx, c)
}
func (starterOnly) endHelper(*proc.Process) {}

// carryOut runs a program, waits for its end, or for that of ctx, and ends what is left.
// With a grace it is asked first.
func carryOut(ctx context.Context, by startsHelpers, log *slog.Logger, c *proc.Command, b *beside, grace time.Duration) error {
	p, err := by.startHelper(ctx, c, b)
	if err != nil {
		return proc.ExplainLimit(err)
	}
	return seeThrough(ctx, by, log, p, grace)
}

// seeThrough waits for the end of a program that runs.
func seeThrough(ctx context.Context, by startsHelpers, log *slog.Logger, p *proc.Process, grace time.Duration) (err error) {
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
func (v *Vassal) helperCommand(s *spec.Spec, role, line string) (*proc.Command, error) {
	words, err := commandline.Vector(line)
	if err != nil {
		return nil, err
	}
	c := v.asUser(v.errandOf(role), s.Helpers.User)
	c.Path, c.Args, c.Dir, c.Umask = words[0], words, s.Helpers.Dir, s.Helpers.Umask
	c.Chroot, c.Restrictions = s.Limits.Chroot, (&surroundings{spec: s}).restrictions()
	c.Env = environment.Apply(c.Env, s.Helpers.Environment)
	return c, nil
}

// ownGroup gives a program of a vassal with limits a control group of its own, with the
// same limits: it may outlive the generation whose group it would be in. The function
// that it returns ends the group.
func (v *Vassal) ownGroup(s *spec.Spec, c *proc.Command) (path string, end func()) {
	if v.deps.Groups == nil || !s.Limits.Group.Asked {
		return "", func() {}
	}
	group, news := v.deps.Groups.Make(c.Name, c.Generation, s.Limits.Group.Settings())
	for _, err := range news {
		v.log.Warn("a limit cannot be had", "err", err)
	}
	if group == nil {
		return "", func() {}
	}
	c.Restrictions.Group = group.Path
	return group.Path, func() { v.endGroup(group) }
}

// endGroup ends the group of a program beside the vassal.
func (v *Vassal) endGroup(group *cgroup.Group) {
	ctx, cancel := context.WithTimeout(context.Background(), killTime)
	defer cancel()
	if err := group.End(ctx); err != nil {
		v.log.Error("a control group could not be removed", "group", group.Path, "err", err)
	}
}

// errandOf is a command with a mark of its own.
func (v *Vassal) errandOf(role string) *proc.Command {
	return &proc.Command{
		Name: v.name + "#" + role, Generation: v.errands.Add(1), Umask: -1, ParentDeathSignal: true,
		Env: environment.Inherited(v.defaults.Environment, false),
	}
}

// asUser makes a command somebody's; nil is the emperor's own user.
func (v *Vassal) asUser(c *proc.Command, user *spec.Account) *proc.Command {
	if user == nil {
		return c
	}
	c.Credential = user.Credential()
	for name, value := range map[string]string{"USER": user.Name, "LOGNAME": user.Name, "HOME": user.Home} {
		if value != "" {
			c.Env = append(environment.Without(c.Env, name), name+"="+value)
		}
	}
	return c
}

// told adds variables to a command's environment.
func told(c *proc.Command, variables ...string) *proc.Command {
	c.Env = append(c.Env, variables...)
	return c
}

func userNumbers(user *spec.Account) (uid, gid string) {
	user = user.OrSelf()
	return strconv.Itoa(int(user.UID)), strconv.Itoa(int(user.GID))
}
