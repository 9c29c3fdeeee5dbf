package foresee

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"emperor/internal/logsink"
)

// ownLogs looks whether the log files of a command can be written. It runs all
// the same.
func (f *foresight) ownLogs() {
	for _, t := range f.spec.Logs {
		if t.Kind != logsink.File {
			continue
		}
		who := "user " + t.Hand.Who(t.Path)
		wrong := ""
		err := t.Hand.Do(t.Path, func() error { wrong = wrongLog(t.Path, who); return nil })
		if err != nil {
			wrong = err.Error()
		}
		if wrong != "" {
			f.doubtful(f.at("logto", "logto2", "daemonize", "daemonize2", "logger"), "%s: its log cannot be written; what it writes is shown by emperor logs only", wrong)
		}
	}
}

// wrongLog says why somebody cannot write a log file; empty: nothing is in the way. It
// is called with his rights.
func wrongLog(path, who string) string {
	folder := filepath.Dir(path)
	if wrong := wrongDirectory(folder, who); wrong != "" {
		return wrong
	}
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir():
		return path + " is a directory, want a file"
	case err == nil && may(path, unix.W_OK) != nil:
		return who + " may not write " + path + " " + ownership(path)
	case errors.Is(err, syscall.ENOENT) && may(folder, unix.W_OK) != nil:
		return who + " may not make a file in " + folder + " " + ownership(folder)
	}
	return ""
}
