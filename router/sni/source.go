package sni

import (
	"context"
	"strings"
)

// A File is the name of a file that somebody else opens. It is in parts, so that
// one for each of a hundred thousand names needs no memory of its own, and
// comparable.
type File struct {
	// Directory is the folder of an sni-dir; empty for a file that an option names,
	// which is Name alone.
	Directory string
	Name      string
	// Suffix ends the name of a file below Directory: ".crt", "/fullchain.pem".
	Suffix string
}

// Path returns the whole path.
func (f File) Path() string {
	if f.Directory == "" {
		return f.Name
	}
	return f.Directory + "/" + f.Name + f.Suffix
}

// IsZero reports whether f names no file.
func (f File) IsZero() bool { return f == File{} }

// A Source is where a certificate and its key come from. They may be one file.
type Source struct {
	Certificate, Key File
}

// String names the source for a log: its certificate's path, and its key's if that
// is another.
func (s Source) String() string {
	if s.Certificate == s.Key {
		return s.Certificate.Path()
	}
	return s.Certificate.Path() + ", " + s.Key.Path()
}

// A Request asks a Loader for the files behind one name.
type Request struct {
	// Name is the server name, canonical, that made the load necessary. A loader in
	// another process with the same Table finds Source by it again, and need not
	// trust this process with the choice of paths.
	Name     string
	Source   Source
	ClientCA File // zero if no client certificate is asked for
}

// Material is what the files of a Request hold, PEM.
type Material struct {
	Certificate []byte // the chain, and maybe the key
	Key         []byte // nil if it is with the certificate
	ClientCA    []byte
	// OCSP is a response in DER to be stapled; nil for none. Whoever provides it
	// withdraws it when it expires.
	OCSP []byte
}

// A Loader reads files. Load is called from several goroutines at a time, at most
// once for the same Request; ctx ends when the answer is not waited for any more.
// An error that is [io/fs.ErrNotExist] says that the files are gone, so that a pair
// in use is unloaded; after any other it stays.
type Loader interface {
	Load(ctx context.Context, r Request) (Material, error)
}

// LoaderFunc is a Loader that is a function.
type LoaderFunc func(ctx context.Context, r Request) (Material, error)

// Load calls f.
func (f LoaderFunc) Load(ctx context.Context, r Request) (Material, error) { return f(ctx, r) }

// is reports whether f is the file of a path, without putting its own together.
func (f File) is(path string) bool {
	if f.Directory == "" {
		return f.Name == path && path != ""
	}
	rest, ok := strings.CutPrefix(path, f.Directory)
	if !ok {
		return false
	}
	if rest, ok = strings.CutPrefix(rest, "/"); !ok {
		return false
	}
	rest, ok = strings.CutPrefix(rest, f.Name)
	return ok && rest == f.Suffix
}
