package fastcgi

import "errors"

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
//   - a path that ends in '/' gets index behind it ("index.php"; "" for none);
//   - the script is what ends with the first segment that ends in suffix
//     (".php") and has more before it; what follows is PATH_INFO.
//     "/a.php/b.php" is the script /a.php with PATH_INFO /b.php.
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
	return dst, ErrNoScript
}
