package vassal

import (
	"context"

	"golang.org/x/sys/unix"
)

// enterGroup makes the control group of the generation. What cannot be had is told, and
// the generation starts without it.
func (g *generation) enterGroup() {
	if g.v.deps.Groups == nil || !g.spec.Limits.Group.Asked {
		return
	}
	group, news := g.v.deps.Groups.Make(g.v.name, g.number, g.spec.Limits.Group.Settings())
	for _, err := range news {
		g.v.log.Warn("a limit cannot be had", "gen", g.number, "err", err)
	}
	if group != nil {
		g.group.Store(group)
	}
}

// groupPath is where its processes are put; empty: they stay with the emperor.
func (g *generation) groupPath() string {
	if group := g.group.Load(); group != nil {
		return group.Path
	}
	return ""
}

// explained adds to a death by the kernel's hand why that was.
func (g *generation) explained(d death) death {
	if group := g.group.Load(); group != nil && d.signal == unix.SIGKILL && group.OutOfMemory() {
		d.text += " (memory-max is reached)"
	}
	return d
}

// leaveGroup ends whatever is still in the group, also what has left its parents.
func (g *generation) leaveGroup(ctx context.Context) {
	if group := g.group.Load(); group != nil {
		if err := group.End(ctx); err != nil {
			g.v.log.Error("a control group could not be removed", "gen", g.number, "group", group.Path, "err", err)
		}
	}
}
