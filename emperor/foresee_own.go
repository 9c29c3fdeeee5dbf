package emperor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"emperor/internal/config"
	"emperor/vassal/foresee"
)

// foreseeOwn says which of the files and sockets for those who look after the emperor
// could not be made. It does not start then.
func (m *Main) foreseeOwn(now foresee.Running) config.Problems {
	out := m.foreseeStart(now)
	for _, a := range m.stats.addresses {
		if e, err := parseStream(a.text); err == nil {
			foreseeSocket(e, now, noter(&out, a.value))
		}
	}
	for _, s := range m.commands.sockets {
		if e, err := parseStream(s.text); err == nil {
			e.network = s.network
			foreseeSocket(e, now, noter(&out, s.value))
		}
	}
	return out
}

// foreseeStart is foreseeOwn for what an emperor makes once, when it starts.
func (m *Main) foreseeStart(now foresee.Running) (out config.Problems) {
	for _, v := range m.Config.All(pidFileOptions...) {
		note, path := noter(&out, v), m.absolute(v.Value)
		if !foreseeFolder(path, note) {
			continue
		}
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			note(true, "%s is a directory, want a file", path)
		}
	}
	if v, ok := m.Config.Last("control"); ok && v.Value != "none" {
		foreseeSocket(endpoint{network: "unix", text: m.Control}, now, noter(&out, v))
	}
	return out
}

// unstartable says why the emperor could not be started with these files the next time.
// The one that runs keeps what it has made, and would not notice.
func (m *Main) unstartable(old *Main) error {
	if slices.Equal(m.PIDFiles, old.PIDFiles) && m.Control == old.Control {
		return nil
	}
	for _, p := range m.foreseeStart(foresee.Running{PID: os.Getpid()}).Errors() {
		return p
	}
	return nil
}

func noter(problems *config.Problems, v config.Value) func(sure bool, format string, args ...any) {
	return func(sure bool, format string, args ...any) {
		*problems = append(*problems, config.Problem{Pos: v.Pos, Key: v.Key, Warning: !sure, Text: fmt.Sprintf(format, args...)})
	}
}

// foreseeSocket says why an address could not be listened at. Of a host's name only
// listening tells.
func foreseeSocket(e endpoint, now foresee.Running, note func(sure bool, format string, args ...any)) {
	switch e.network {
	case "tcp", "udp":
		if at, ok := e.addrPort(); ok {
			foreseeFrontPort(at, e, now, note)
		}
	case "unix", "unixgram":
		foreseeFrontPath(e, now, note)
	}
}

// foreseeFolder says why nothing could be made in the folder of a path; false then.
func foreseeFolder(path string, note func(sure bool, format string, args ...any)) bool {
	dir := filepath.Dir(path)
	info, err := os.Stat(dir)
	switch {
	case err == nil && info.IsDir():
		return true
	case err == nil:
		note(true, "%s is no directory", dir)
	case !errors.Is(err, fs.ErrNotExist):
		note(true, "%v", err)
	case strings.HasPrefix(dir, "/run/"), strings.HasPrefix(dir, "/tmp/"):
		note(false, "there is no %s: the emperor does not start until something makes it (systemd: tmpfiles.d or RuntimeDirectory=)", dir)
	default:
		note(true, "there is no %s: make the directory", dir)
	}
	return false
}
