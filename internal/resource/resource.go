// Package resource reads and opens what the front needs of the file system and
// may not open itself: the router is confined and has no rights, so whoever
// started it opens files for it and hands over their content or descriptors.
//
// The one idea: what is small and read as a whole (an error page, a file of
// passwords) travels as content, so that a configuration is whole, can be compared
// with the one before it, and changes when the file does. What is written to or
// looked into while requests are served (a log, a folder) travels as descriptors.
package resource

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"emperor/internal/link"
)

// maxContent bounds a file that travels as content.
const maxContent = 1 << 20

// Load reads the content of r, if it is of that kind. Other kinds are only
// looked at, so that a mistake is found when the configuration is read.
func Load(r *link.Resource) error {
	switch r.Kind {
	case link.Content:
		content, err := Read(r.Path, maxContent)
		var unopened *unopenedError
		if r.Optional && errors.As(err, &unopened) {
			return nil
		}
		if err != nil {
			return err
		}
		r.Content = content
	case link.Folded:
		content, err := fold(r.Path)
		if err != nil {
			return withoutOpen(err)
		}
		r.Content = content
	case link.Owners:
		content, err := owners(r.Path)
		if err != nil {
			return withoutOpen(err)
		}
		r.Content = content
	case link.Listing:
		content, err := list(r.Path)
		if err != nil {
			return withoutOpen(err)
		}
		r.Content = content
	case link.Folder:
		info, err := os.Stat(r.Path)
		if err != nil {
			return withoutOpen(err)
		}
		if !info.IsDir() {
			return fmt.Errorf("%s: want a folder", r.Path)
		}
	case link.Log:
		if r.Path == Stdout || r.Path == Stderr {
			return nil
		}
		if info, err := os.Stat(filepath.Dir(r.Path)); err != nil {
			return withoutOpen(err)
		} else if !info.IsDir() {
			return fmt.Errorf("%s: want a folder", filepath.Dir(r.Path))
		}
	}
	return nil
}

// Read returns what a regular file holds, which is no more than that many bytes.
func Read(path string, most int) ([]byte, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0) // a FIFO must not stop us
	if err != nil {
		return nil, &unopenedError{withoutOpen(err)}
	}
	defer func() { _ = file.Close() }()
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(err, fmt.Errorf("%s: want a regular file", path))
	}
	content, err := io.ReadAll(io.LimitReader(file, int64(most)+1))
	if err != nil {
		return nil, withoutOpen(err)
	}
	if len(content) > most {
		return nil, fmt.Errorf("%s: is larger than %d bytes", path, most)
	}
	return content, nil
}

// unopenedError is for a file that cannot be opened.
type unopenedError struct{ error }

func (e *unopenedError) Unwrap() error { return e.error }

// MostPair bounds a file of a certificate or key.
const MostPair = 256 << 10

// fold reads the files in a folder.
func fold(path string) ([]byte, error) {
	entries, err := readFolder(path)
	if err != nil {
		return nil, err
	}
	files, size := map[string][]byte{}, 0
	for _, e := range entries {
		one := link.Resource{Kind: link.Content, Path: filepath.Join(path, e.Name())}
		if info, err := os.Stat(one.Path); err != nil || !info.Mode().IsRegular() {
			continue
		}
		if err := Load(&one); err != nil {
			return nil, err
		}
		if size += len(one.Content); size > maxContent {
			return nil, fmt.Errorf("%s: its files are larger than %d bytes together", path, maxContent)
		}
		files[e.Name()] = one.Content
	}
	return json.Marshal(files)
}

// owners tells who owns the files in a folder.
func owners(path string) ([]byte, error) {
	entries, err := readFolder(path)
	if err != nil {
		return nil, err
	}
	out := map[string][2]uint32{}
	for _, e := range entries {
		var info unix.Stat_t
		if unix.Stat(filepath.Join(path, e.Name()), &info) == nil && info.Mode&unix.S_IFMT == unix.S_IFREG {
			out[e.Name()] = [2]uint32{info.Uid, info.Gid}
		}
	}
	return json.Marshal(out)
}

// list names what is in a folder, and what is in its folders.
func list(path string) ([]byte, error) {
	entries, err := readFolder(path)
	if err != nil {
		return nil, err
	}
	var out []byte
	add := func(name string) {
		if !strings.Contains(name, "\n") {
			out = append(append(out, name...), '\n')
		}
	}
	for _, e := range entries {
		if e.IsDir() || e.Type()&os.ModeSymlink != 0 {
			below, err := readFolder(filepath.Join(path, e.Name()))
			if err == nil {
				for _, b := range below {
					add(e.Name() + "/" + b.Name())
				}
				continue
			}
		}
		add(e.Name())
	}
	return out, nil
}

// A Log of these names is the standard output or error stream of whoever opens
// it.
const (
	Stdout = "/dev/stdout"
	Stderr = "/dev/stderr"
)

// Open opens the descriptors that go with all of rs, in their order: none for
// Content, the folder and its parent for a Folder, one for a Log. They are the
// caller's to close, also after an error.
func Open(rs []link.Resource) (descriptors []int, err error) {
	for i := range rs {
		r := &rs[i]
		switch r.Kind {
		case link.Folder:
			path := filepath.Clean(r.Path)
			for _, path := range []string{path, filepath.Dir(path)} {
				fd, err := unix.Open(path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
				if err != nil {
					return descriptors, fmt.Errorf("%s:%d: %s: %w", r.File, r.Line, r.Option, &os.PathError{Op: "open", Path: path, Err: err})
				}
				descriptors = append(descriptors, fd)
			}
		case link.Log:
			fd, err := openLog(r.Path)
			if err != nil {
				return descriptors, fmt.Errorf("%s:%d: %s: %w", r.File, r.Line, r.Option, &os.PathError{Op: "open", Path: r.Path, Err: err})
			}
			descriptors = append(descriptors, fd)
		}
	}
	return descriptors, nil
}

func openLog(path string) (int, error) {
	switch path {
	case Stdout:
		return unix.FcntlInt(1, unix.F_DUPFD_CLOEXEC, 0)
	case Stderr:
		return unix.FcntlInt(2, unix.F_DUPFD_CLOEXEC, 0)
	}
	return unix.Open(path, unix.O_WRONLY|unix.O_APPEND|unix.O_CREAT|unix.O_CLOEXEC|unix.O_NONBLOCK, 0o640)
}

// withoutOpen leaves the name of the system call out of a path error.
func withoutOpen(err error) error {
	var p *os.PathError
	if errors.As(err, &p) {
		return fmt.Errorf("%s: %w", p.Path, p.Err)
	}
	return err
}
