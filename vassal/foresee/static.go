package foresee

import (
	"path/filepath"

	"golang.org/x/sys/unix"

	"emperor/internal/link"
	"emperor/internal/rights"
	"emperor/vassal/spec"
)

// folder looks at the folder that an option names, and at its page, first with the rights of
// whoever named it, then with those of the router, which is handed it open: what
// is above it does not matter to the router, what is in it does.
func (f *foresight) folder(option, page string) {
	line, _ := f.Config.Last(option)
	s := &f.spec.Static
	path := s.Files.Path
	reader := rights.NewReader(s.As)
	defer reader.Close()
	who := nameOf(nil)
	if s.As != nil {
		who = "user " + s.As.String()
	}
	wrong := ""
	reader.Look(path, 0, func() { wrong = wrongDirectory(path, who) })
	if wrong != "" {
		f.certain(line, "%s%s", wrong, home(line.Value))
		return
	}
	directory, parent, err := reader.OpenFolder(path, 0)
	if err != nil {
		f.certain(line, "%s: %v", path, rights.WithoutPath(err))
		return
	}
	defer link.NewOpenFolder(directory, parent).Close()
	router := spec.AccountOf(f.Router)
	if router == nil || router.UID == 0 {
		return
	}
	var within, above, index error
	for _, o := range s.Files.Options {
		if o.Key == "static-index" {
			page = o.Value
			break
		}
	}
	err = spec.SocketRules{Umask: -1, As: router}.OnBehalf(func() error {
		within = unix.Faccessat(directory, ".", unix.X_OK, unix.AT_EACCESS)
		above = unix.Faccessat(parent, ".", unix.X_OK, unix.AT_EACCESS)
		index = unix.Faccessat(directory, page, unix.R_OK, unix.AT_EACCESS)
		return nil
	})
	switch {
	case err != nil: // we may not become it, so it will not run as that user either
	case within == unix.EACCES:
		f.certain(line, "the router (%s) may not enter %s %s: open it (chmod o+x %s)", nameOf(router), path, ownership(path), path)
	case index == unix.EACCES:
		page = filepath.Join(path, page)
		f.doubtful(line, "the router (%s) may not read %s %s: it would be answered 403", nameOf(router), page, ownership(page))
	case above == unix.EACCES:
		dir := filepath.Dir(path)
		f.doubtful(line, "the router (%s) may not enter %s %s: a folder that takes the place of %s is served after a reload only (or chmod o+x %s)", nameOf(router), dir, ownership(dir), filepath.Base(path), dir)
	}
}
