package emperor

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"emperor/emperor/control"
	"emperor/emperor/monitor"
	"emperor/vassal"
)

// statsOfVassal is one vassal in the stats. What uWSGI's keys mean here: spawned, ready
// and accepting are one thing, a generation that serves; cursed is since when it is
// being ended; respawns counts the generations that took over.
func statsOfVassal(m *Main, one viewed, s *control.VassalStatus, past life) object {
	status := one.site.Status()
	if past.ready.IsZero() && status.Generation != 0 { // an earlier binary of this process has seen that
		past.ready, past.firstRun, past.lastRun = status.Since, status.Since, status.Since
	}
	pid := int64(-1)
	for _, pids := range [][]int{s.PIDs, s.StartingPIDs} {
		if len(pids) > 0 && pid < 0 {
			pid = int64(pids[0])
		}
	}
	serves := status.Generation != 0
	onDemand := ""
	if one.spec != nil && one.spec.OnDemand && len(one.spec.Sockets) > 0 {
		onDemand = one.spec.Sockets[0].Address
	}
	uid, gid := m.tyrantOf(one.item)
	last := func(t time.Time, is bool) int64 {
		if !is {
			return 0
		}
		return seconds(t)
	}
	o := object{}.
		with("id", m.idOf(one.item)).with("pid", pid).with("born", one.born).with("last_mod", modified(one.item)).
		with("last_heartbeat", seconds(status.LastHeartbeat)).with("loyal", flag(status.Loyal)).with("ready", flag(serves)).with("accepting", flag(serves)).
		with("last_loyal", last(past.loyal, status.Loyal)).with("last_ready", seconds(past.ready)).with("last_accepting", seconds(past.ready)).
		with("first_run", seconds(past.firstRun)).with("last_run", seconds(past.lastRun)).with("cursed", seconds(past.cursed)).
		with("zerg", int64(0)).with("on_demand", onDemand).with("uid", uid).with("gid", gid).
		with("monitor", m.monitorOf(one.item.Path)).with("respawns", int64(past.respawns))

	pids := []int64{}
	for _, pid := range s.PIDs {
		pids = append(pids, int64(pid))
	}
	return o.with("name", s.Name).with("file", s.File).with("kind", s.Kind).with("state", s.State).with("since", seconds(s.Since)).
		with("reason", s.Reason).with("generation", int64(s.Generation)).with("pids", pids).with("restarts", int64(s.Restarts)).
		with("requests", int64(s.Requests)).with("sockets", append([]string{}, s.Sockets...)).with("problems", append([]string{}, s.Problems...))
}

// onProbation: it has failed and has not come up since.
func (l *life) onProbation() bool {
	switch l.status.State {
	case vassal.Failed, vassal.Starting:
		return true
	}
	return false
}

func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// seconds is a moment as uWSGI writes it; 0: there was none.
func seconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

// modified is when a vassal's file was changed last.
func modified(item monitor.Item) int64 {
	inode := item.Stamp.File
	if inode == (monitor.Inode{}) {
		inode = item.Stamp.Link
	}
	return inode.ModTime / int64(time.Second)
}

// idOf is what uWSGI calls a vassal: the name of its file within a directory, the path
// as a glob finds it.
func (m *Main) idOf(item monitor.Item) string {
	if m.App != nil {
		return AppName
	}
	if m.fromDirectory(item.Path) {
		return filepath.Base(item.Path)
	}
	if p := m.patternOf(item.Path); p != "" && !filepath.IsAbs(p) {
		if relative, err := filepath.Rel(m.Source.Dir, item.Path); err == nil {
			return relative
		}
	}
	return item.Path
}

// monitorNames are the monitors as uWSGI shows them: a directory by its path, a glob as
// it is written.
func (m *Main) monitorNames() []string {
	names := []string{}
	for _, p := range m.Monitor.Patterns {
		names = append(names, m.monitorName(p.Value))
	}
	return names
}

func (m *Main) monitorName(value string) string {
	if glob, ok := strings.CutPrefix(value, "glob://"); ok {
		return glob
	}
	dir := m.absolute(strings.TrimPrefix(value, "dir://"))
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return value
	}
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		return real
	}
	return dir
}

// monitorOf is the monitor that has found a file.
func (m *Main) monitorOf(path string) string {
	for _, p := range m.Monitor.Patterns {
		value := strings.TrimPrefix(strings.TrimPrefix(p.Value, "glob://"), "dir://")
		if matches, _ := filepath.Match(m.absolute(value), path); matches || m.absolute(value) == filepath.Dir(path) {
			return m.monitorName(p.Value)
		}
	}
	return ""
}

// patternOf is the glob that matches a path, as it is written.
func (m *Main) patternOf(path string) string {
	for _, p := range m.Monitor.Patterns {
		value := strings.TrimPrefix(p.Value, "glob://")
		if matches, _ := filepath.Match(m.absolute(value), path); matches {
			return value
		}
	}
	return ""
}

// tyrantOf is who a vassal runs as in tyrant mode, the owner of its file. Otherwise
// uWSGI shows zeros.
func (m *Main) tyrantOf(item monitor.Item) (uid, gid int64) {
	if !m.Config.Bool("emperor-tyrant") {
		return 0, 0
	}
	var st syscall.Stat_t
	look := syscall.Stat
	if m.Config.Bool("emperor-tyrant-nofollow") {
		look = syscall.Lstat
	}
	if look(item.Path, &st) != nil {
		return 0, 0
	}
	return int64(st.Uid), int64(st.Gid)
}
