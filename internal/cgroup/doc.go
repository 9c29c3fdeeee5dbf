// Package cgroup makes control groups (version 2) for what the emperor starts: one for
// each generation of a vassal that has limits, so that a generation on its way up and
// one that still finishes its requests do not take each other's memory.
//
// The one idea: groups are the service manager's tree, of which we may use a part, and
// only where it says so (or where there is no service manager). That part is found, not
// configured: it is the group that the emperor is in. Where groups cannot be made, or
// the kernel has no controller for a limit, the vassal runs all the same, and the reason
// is told once (Tree) and by `emperor check` (Outlook).
//
// The kernel lets a group that has groups with limits below it have no processes of its
// own (of pids and cpu it says so only where somebody is to enter one below). So before the first limit is set the emperor, with all that it has started, moves
// into a group beside those of the vassals (leafName).
//
// State: nothing but the directory of each group, which Path gives back from its parent,
// name and generation: another process image of the same emperor needs no more.
package cgroup
