package main

import (
	"context"
	"io"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"emperor/emperor/control"
	"emperor/internal/proc"
)

// topEvery is the time between two rounds.
const topEvery = time.Second

// sample is what was known at one moment.
type sample struct {
	at     time.Time
	status control.Status
	usage  map[int]proc.Usage
}

// runTop is `emperor top [--once] [VASSAL…]`. Processes are looked up here: it runs on
// the emperor's machine.
func runTop(args []string, out io.Writer) error {
	once := slices.Contains(args, "--once")
	q, err := ask("top", slices.DeleteFunc(slices.Clone(args), func(arg string) bool { return arg == "--once" }))
	if err != nil {
		return err
	}
	ctx, cancel := untilInterrupt()
	defer cancel()
	rows := 0
	file, screen := out.(*os.File)
	if screen {
		size, err := unix.IoctlGetWinsize(int(file.Fd()), unix.TIOCGWINSZ)
		if screen = err == nil && !once && !q.json; screen {
			rows = max(1, int(size.Row)-4)
		}
	}
	before, err := q.sample(ctx)
	if err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(topEvery):
		}
		now, err := q.sample(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		top := compare(before, now)
		before = now
		if screen {
			_, _ = io.WriteString(out, "\x1b[H\x1b[J")
		}
		if q.json {
			err = control.WriteJSON(out, top)
		} else {
			err = control.WriteTop(out, top, rows)
		}
		if err != nil || once {
			return err
		}
	}
}

func (q question) sample(ctx context.Context) (sample, error) {
	s, err := q.client.Status(ctx)
	if err != nil {
		return sample{}, err
	}
	if len(q.names) > 0 {
		if s.Vassals, err = q.only(s.Vassals); err != nil {
			return sample{}, err
		}
	}
	usage, err := proc.SessionUsage()
	return sample{time.Now(), s, usage}, err
}

// compare makes a round of two samples.
func compare(before, now sample) control.Top {
	seconds := now.at.Sub(before.at).Seconds()
	load := func(name, state string, pids []int, total, totalBefore uint64) control.Load {
		l := control.Load{Vassal: name, State: state, Total: total}
		for _, pid := range pids {
			u := now.usage[pid]
			l.Process, l.RSS = l.Process+u.Processes, l.RSS+u.RSS
			// Who was not there before has used all of it in this round; a worker that has
			// ended takes its share away.
			l.CPU += max(0, (u.CPU-before.usage[pid].CPU).Seconds()/seconds)
		}
		if total >= totalBefore { // else the router is a new one
			l.Requests = float64(total-totalBefore) / seconds
		}
		return l
	}
	top := control.Top{Time: now.at, Vassals: []control.Load{}}
	if r := now.status.Router; r != nil {
		earlier := r
		if before.status.Router != nil {
			earlier = before.status.Router
		}
		l := load("(front)", r.State, []int{r.PID}, r.Requests, earlier.Requests)
		top.Router = &l
	}
	served := map[string]uint64{}
	for i := range before.status.Vassals {
		served[before.status.Vassals[i].Name] = before.status.Vassals[i].Requests
	}
	for i := range now.status.Vassals {
		v := &now.status.Vassals[i]
		earlier, known := served[v.Name]
		if !known {
			earlier = v.Requests
		}
		top.Vassals = append(top.Vassals, load(v.Name, v.State, slices.Concat(v.PIDs, v.StartingPIDs), v.Requests, earlier))
	}
	top.Sort()
	return top
}
