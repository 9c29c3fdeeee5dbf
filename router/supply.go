package router

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"emperor/internal/config"
	"emperor/internal/link"
	"emperor/router/password"
)

// supply is the files and folders that options name. The router can't open them
// itself, so the configuration is compiled twice: where it is read, to check it
// and to learn what is needed, and in the router, where what was opened is taken
// in the same order.
type supply struct {
	checking    bool            // nothing is opened, and what is given is content at most
	wanted      []link.Resource // in the order of asking
	given       []link.Resource
	descriptors []int // of given, those not taken yet
	passwords   *password.Checker
	before      *certificates // of the configuration that is to be replaced; nil: none is known
}

// take notes that a resource is needed and returns what was given of it.
func (s *supply) take(kind link.ResourceKind, path string, v config.Value) (content []byte, descriptors []int, err error) {
	i := len(s.wanted)
	s.wanted = append(s.wanted, link.Resource{Kind: kind, Path: path, Option: v.Key, File: v.Pos.File, Line: v.Pos.Line})
	if s.checking {
		if i < len(s.given) {
			content = s.given[i].Content
		}
		return content, nil, nil
	}
	n := kind.Descriptors()
	if i >= len(s.given) || s.given[i].Kind != kind || len(s.descriptors) < n {
		return nil, nil, fmt.Errorf("%s was not handed over", path)
	}
	descriptors, s.descriptors = s.descriptors[:n:n], s.descriptors[n:]
	return s.given[i].Content, descriptors, nil
}

// content returns a file's content. known is false while nothing has been read.
func (s *supply) content(path string, v config.Value) (content []byte, known bool, err error) {
	known = !s.checking || len(s.wanted) < len(s.given)
	content, _, err = s.take(link.Content, path, v)
	return content, known && err == nil, err
}

// wish returns the content of a file that the configuration can do without: empty if
// it cannot be read. known is false while nothing has been read.
func (s *supply) wish(path string, v config.Value) (content []byte, known bool) {
	content, known, err := s.content(path, v)
	s.wanted[len(s.wanted)-1].Optional = true
	return content, known && err == nil
}

// system returns the content of a file that every machine has, or none.
func (s *supply) system(path string) []byte {
	content, _, err := s.take(link.Content, path, config.Value{Key: path})
	s.wanted[len(s.wanted)-1].Optional = true
	if err != nil {
		return nil
	}
	return content
}

// log returns an open file to append to; nil while checking.
func (s *supply) log(v config.Value) (path string, file *os.File, err error) {
	if path = v.Value; path == "-" {
		path = "/dev/stdout"
	}
	_, descriptors, err := s.take(link.Log, path, v)
	if err != nil || s.checking {
		return path, nil, err
	}
	return path, os.NewFile(uintptr(descriptors[0]), path), nil
}

// folder returns descriptors of a folder and of its parent; -1 while checking. served:
// its files are sent to clients.
func (s *supply) folder(path string, served bool, v config.Value) (folder, parent int, err error) {
	_, descriptors, err := s.take(link.Folder, path, v)
	s.wanted[len(s.wanted)-1].Served = served
	if err != nil || s.checking {
		return -1, -1, err
	}
	return descriptors[0], descriptors[1], nil
}

// drop closes what nobody took.
func (s *supply) drop() {
	for _, fd := range s.descriptors {
		_ = unix.Close(fd)
	}
	s.descriptors = nil
}
