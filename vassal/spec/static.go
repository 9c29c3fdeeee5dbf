package spec

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"emperor/internal/config"
	"emperor/internal/link"
	"emperor/internal/rights"
)

// staticOptions say how the files of a static vassal, and those beside scripts, are
// served. In a uWSGI's file
// those of uWSGI's are uWSGI's business.
var staticOptions = []config.Option{
	{Name: "document-root", Type: config.Path, Where: config.Vassal, Help: "The folder of the scripts that a command runs which speaks FastCGI or SCGI: it is told which one a path means (PHP's SCRIPT_FILENAME), else /index.php. Other files in it are sent by the front, as those of static are."},
	{Name: "static", Type: config.Path, Where: config.Vassal, Help: "A folder of files to serve: the front answers by itself, without any process. A folder that is moved to its place, or a symbolic link that is turned, is served from the next request on."},
	{Name: "static-index", Type: config.String, Repeat: true, Where: config.Vassal, Help: "The file that stands for a folder; the first that is there counts. Default: index.html."},
	{Name: "static-try", Type: config.String, Where: config.Vassal, Help: "What a path of static is looked for under, in order: \"$uri $uri.html $uri/ /index.html\" serves /index.html where nothing else is. Default: $uri $uri/."},
	{Name: "static-404", Type: config.String, Where: config.Vassal, Help: "The page of static for what is not there. Default: 404.html, where there is one."},
	{Name: "static-precompressed", Type: config.Bool, Default: "true", Argument: config.Optional, Where: config.Vassal, Help: "Whether static sends FILE.br, FILE.zst or FILE.gz in place of FILE to clients that take it."},
	{Name: "static-cache-control", Type: config.String, Repeat: true, Where: config.Vassal, Help: "PATTERN VALUE: a Cache-Control for paths of static that match; the first counts: \"^/assets/ max-age=31536000, immutable\"."},
	{Name: "static-safe", Type: config.String, Repeat: true, Where: config.Vassal, Help: "Symbolic links in static may lead below this folder too."},
	{Name: "static-skip-ext", Type: config.String, Repeat: true, Where: config.Vassal, Help: "Files of static whose names end in this are not served."},
	{Name: "static-expires", Type: config.String, Repeat: true, Where: config.Vassal, Help: "PATTERN SECONDS: how long files of static whose name matches may be kept."},
	{Name: "static-expires-mtime", Type: config.String, Repeat: true, Where: config.Vassal, Help: "As static-expires, counted from the file's last change."},
	{Name: "static-expires-path-info", Type: config.String, Repeat: true, Where: config.Vassal, Help: "As static-expires, for the path of the request."},
	{Name: "static-expires-path-info-mtime", Type: config.String, Repeat: true, Where: config.Vassal, Help: "As static-expires-path-info, counted from the file's last change."},
	{Name: "static-expires-uri", Type: config.String, Repeat: true, Where: config.Vassal, Help: "As static-expires, for the request's URI with its query."},
	{Name: "static-expires-uri-mtime", Type: config.String, Repeat: true, Where: config.Vassal, Help: "As static-expires-uri, counted from the file's last change."},
	{Name: "static-expires-type", Type: config.String, Repeat: true, Where: config.Vassal, Help: "TYPE=SECONDS: how long files of static of that media type may be kept: text/css=3600."},
	{Name: "static-expires-type-mtime", Type: config.String, Repeat: true, Where: config.Vassal, Help: "As static-expires-type, counted from the file's last change."},
	{Name: "mimefile", Aliases: []string{"mime-file"}, Type: config.String, Repeat: true, Where: config.Vassal, Help: "A file of media types and their extensions, as /etc/mime.types, beside those that static knows."},
}

// StaticLaunch is what serving a folder needs.
type StaticLaunch struct {
	_ struct{} `carry:"small"`

	Pos   config.Pos
	Files link.StaticFiles
	// As is with whose rights the folder is opened; nil: by the rule of package rights.
	As *rights.User
	// hinted: no line gives it an address; it has the one that the rules would use.
	hinted bool
}

// maxTypes bounds a file of media types.
const maxTypes = 1 << 20

// readStatic completes the spec of a vassal that is a folder.
func (r *reader) readStatic(dir string) {
	s := r.spec
	v, _ := r.c.Last("static")
	if v.Unknown {
		r.wrong(v, "the value depends on something that is never evaluated for a vassal (a program, a file's content or a URL)")
		return
	}
	r.readFolder(v, dir)
	s.Overlap = true // there is nothing that could collide
	r.readNames(v)
}

// readFolder reads a folder that the front sends files of, and how it does.
func (r *reader) readFolder(v config.Value, dir string) {
	s := r.spec
	path := v.Value
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	if path = filepath.Clean(path); v.Value == "" || path == "/" {
		r.wrong(v, "want a folder such as /srv/%s/public, got %q", filepath.Base(s.Name), v.Value)
	}
	s.Static = StaticLaunch{Pos: v.Pos, Files: link.StaticFiles{Path: path}, As: r.opener.Chooser(v.Author)}
	for _, line := range r.c.Values {
		if name := r.staticOption(line); name != "" && name != "static" && name != "document-root" {
			r.readStaticLine(name, line)
		}
	}
	if r.CheckFiles != nil {
		r.problems = append(r.problems, r.CheckFiles(s.Static.Files.Options)...)
	}
}

// scriptEndings are those of files that are run and whose text nobody may see.
var scriptEndings = []string{".php", ".phtml", ".phar"}

// readDocumentRoot reads the folder of the scripts that a command runs.
func (r *reader) readDocumentRoot(dir string) {
	v, ok := r.c.Last("document-root")
	if !ok {
		return
	}
	s := r.spec
	isToldFiles := func(protocol string) bool { return protocol == "fastcgi" || protocol == "scgi" }
	switch {
	case v.Unknown:
		r.wrong(v, "the value depends on something that is never evaluated for a vassal (a program, a file's content or a URL)")
		return
	case !isToldFiles(s.Command.Protocol) && !slices.ContainsFunc(s.Sockets, func(socket Socket) bool { return isToldFiles(socket.Protocol) }):
		r.wrong(v, "only a program that speaks FastCGI or SCGI is told files: want protocol = fastcgi, or no document-root")
		return
	}
	r.readFolder(v, dir)
	for _, ending := range scriptEndings {
		s.Static.Files.Options = append(s.Static.Files.Options, link.Option{Key: "static-skip-ext", Value: ending, File: v.Pos.File, Line: v.Pos.Line})
	}
}

// Rooted completes an address with the folder of the scripts that the program there
// runs.
func (s *Spec) Rooted(a link.Address) link.Address {
	a.Root = s.Scripts(a.Protocol)
	return a
}

// Scripts is the folder of the scripts that a program is told by that protocol; empty:
// it is told none.
func (s *Spec) Scripts(protocol string) string {
	if s.Kind == Command && (protocol == "fastcgi" || protocol == "scgi") {
		return s.Static.Files.Path
	}
	return ""
}

// staticOption is the name of an option about how files are served, "" of others.
func (r *reader) staticOption(v config.Value) string {
	for _, o := range staticOptions {
		if o.Name == v.Key || slices.Contains(o.Aliases, v.Key) {
			return o.Name
		}
	}
	if KnownToUWSGI(v.Key) && (strings.HasPrefix(v.Key, "static-") || strings.HasPrefix(v.Key, "check-static")) {
		r.warn(v, "no effect: a vassal with static serves its one folder, and has no such option")
	}
	return ""
}

func (r *reader) readStaticLine(name string, line config.Value) {
	o := link.Option{Key: name, Value: line.Value, File: line.Pos.File, Line: line.Pos.Line}
	if line.Unknown {
		r.wrong(line, "the value depends on something that is never evaluated for a vassal (a program, a file's content or a URL)")
		return
	}
	switch name {
	case "static-precompressed":
		o.Value = "false"
		if r.c.Bool(name) {
			o.Value = "true"
		}
	case "static-safe":
		if !filepath.IsAbs(line.Value) {
			break // CheckFiles tells
		}
		// Whoever names it must be able to go there himself.
		directory, parent, err := r.opener.OpenFolder(line.Value, line.Author)
		if err != nil {
			r.wrongToRead(line, line.Value, err)
			return
		}
		link.NewOpenFolder(directory, parent).Close()
	case "mimefile":
		path := line.Value
		if !filepath.IsAbs(path) {
			path = filepath.Join(filepath.Dir(r.spec.File), path)
		}
		r.spec.Files = append(r.spec.Files, path)
		content, err := r.readTypes(path, line)
		if err != nil {
			r.wrongToRead(line, path, err)
			return
		}
		o.Value, o.File, o.Line = content, path, 0
	}
	r.spec.Static.Files.Options = append(r.spec.Static.Files.Options, o)
}

// readTypes reads a file of media types, which is sent to the router with the rest.
func (r *reader) readTypes(path string, line config.Value) (string, error) {
	file, _, err := r.opener.Open(path, line.Author)
	if err != nil {
		return "", err
	}
	defer file.Close()
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		return "", errors.Join(err, &os.PathError{Op: "read", Path: path, Err: errors.New("want a file")})
	}
	content, err := io.ReadAll(io.LimitReader(file, maxTypes+1))
	if err == nil && len(content) > maxTypes {
		err = &os.PathError{Op: "read", Path: path, Err: errors.New("larger than 1 MiB")}
	}
	return string(content), err
}

// readNames collects the addresses by which rules reach the folder. Nobody listens
// there: rules that were written for all sites find this one by the same name.
func (r *reader) readNames(static config.Value) {
	s := r.spec
	seen := map[string]bool{}
	add := func(text string, automatic bool, pos config.Pos) error {
		a, err := ParseAddress(text)
		if err == nil && !seen[text] {
			seen[text] = true
			s.Sockets = append(s.Sockets, Socket{
				Address: text, Protocol: link.Static, Automatic: automatic, Pos: pos, At: a,
				Why: "it is only the name by which rules reach the folder",
			})
		}
		return err
	}
	for _, v := range r.c.All(commandSockets...) {
		if v.Unknown {
			continue
		}
		if err := add(v.Value, false, v.Pos); err != nil {
			r.wrong(v, "%v", err)
		}
	}
	if len(s.Sockets) == 0 && r.SocketHint != "" && add(r.SocketHint, true, static.Pos) == nil {
		s.Static.hinted = true
	}
}

// StaticFiles are the files that the vassal consists of; nil for one that runs
// something.
func (s *Spec) StaticFiles() *link.StaticFiles {
	if s.Kind != Static {
		return nil
	}
	files := s.Static.Files
	return &files
}

// ServesFiles tells whether the front serves files for it, be it all of them or those
// beside its scripts.
func (s *Spec) ServesFiles() bool { return s.Static.Files.Path != "" }

// FollowsRules tells whether the spec depends on the front's rules: they give the
// vassal its address.
func (s *Spec) FollowsRules() bool { return s.Static.hinted || s.Kind == Static && len(s.Sockets) == 0 }
