package fastcgi

import (
	"bytes"
	"errors"
	"strings"
)

// ErrNoScript: no part of the path names a script. Such a request is for a
// static file or for the site's front controller ("/index.php"), which is the
// caller's to say.
var ErrNoScript = errors.New("fastcgi: the path names no script")

// ErrUnsafePath: the path has a "." or ".." segment, a NUL, or does not start
// with '/'.
var ErrUnsafePath = errors.New("fastcgi: unsafe path")

// Script is what a request's path means to a program that is given files, as
// PHP is. The slices are parts of one buffer.
type Script struct {
	Filename []byte // SCRIPT_FILENAME: "/srv/site/blog/index.php"
	Name     []byte // SCRIPT_NAME: "/blog/index.php"
	PathInfo []byte // PATH_INFO: "/2026/hello", may be empty
}

// Locate finds the script that path, decoded and normalised, means below the
// folder root:
//
//   - the script is what ends with the first segment that ends in suffix
//     (".php") and has more before it; what follows is PATH_INFO.
//     "/a.php/b.php" is the script /a.php with PATH_INFO /b.php;
//   - a path without a script that ends in '/' means the file index there
//     ("index.php"; "" for none).
//
// It appends to dst, into which s points afterwards, and returns it.
//
// Locate looks at no file. A script that does not exist must not be asked for:
// PHP, unless cgi.fix_pathinfo is 0, goes up such a path until it meets a file
// and runs that one, so "/upload/x.jpg/y.php" would run an uploaded picture
// (php-fpm's security.limit_extensions, .php if nothing else is said, stops it a
// second time). So either the caller finds that s.Filename is a regular file, or
// leaves that to a php-fpm whose settings are known.
func (s *Script) Locate(dst []byte, root string, path []byte, index, suffix string) ([]byte, error) {
	if len(path) == 0 || path[0] != '/' || !safe(path) {
		return dst, ErrUnsafePath
	}
	start := len(dst)
	root = strings.TrimRight(root, "/")
	dst = append(append(dst, root...), path...)
	end := scriptEnd(path, suffix)
	if end < 0 && path[len(path)-1] == '/' {
		dst = append(dst, index...)
		end = scriptEnd(dst[start+len(root):], suffix)
	}
	script := dst[start+len(root):]
	if end < 0 {
		return dst[:start], ErrNoScript
	}
	s.Filename = dst[start : start+len(root)+end]
	s.Name = script[:end]
	s.PathInfo = script[end:]
	return dst, nil
}

// safe tells that no segment of path leads elsewhere than it seems to.
func safe(path []byte) bool {
	for segment := range bytes.SplitSeq(path, []byte{'/'}) {
		if string(segment) == "." || string(segment) == ".." || bytes.IndexByte(segment, 0) >= 0 {
			return false
		}
	}
	return true
}

// scriptEnd returns where the first segment that ends in suffix ends; -1 if there
// is none.
func scriptEnd(path []byte, suffix string) int {
	for start := 0; start < len(path); {
		end := len(path)
		if slash := bytes.IndexByte(path[start+1:], '/'); slash >= 0 {
			end = start + 1 + slash
		}
		segment := path[start+1 : end]
		if len(segment) > len(suffix) && string(segment[len(segment)-len(suffix):]) == suffix {
			return end
		}
		start = end
	}
	return -1
}
