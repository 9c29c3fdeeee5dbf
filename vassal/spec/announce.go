package spec

import (
	"io"
	"iter"
	"path/filepath"
	"strings"

	"emperor/internal/link"
	"emperor/internal/rights"
)

// keyFile is a file of keys, of subscribe-to = SERVER:@FILE. uWSGI reads it each time it
// announces itself, so what it says is no part of the Spec.
type keyFile struct {
	server, path string
	as           *rights.User // who reads it; nil: by the rule of package rights
}

// maxKeys bounds a file of keys.
const maxKeys = 1 << 20

// readAnnouncements reads for which keys a uWSGI announces itself, and to whom. While it
// sleeps the front takes a request for one of them as a request for the vassal: nobody
// else could wake a uWSGI that is known by what it announces only.
func (r *reader) readAnnouncements(dir string, dirUnknown bool) {
	if r.spec.Kind != UWSGI || r.c.Has("start-unsubscribed") {
		return
	}
	jailed := len(r.c.All(jails...)) > 0 // a path means something else in there
	for _, v := range r.c.All("subscribe-to", "subscribe", "st", "subscribe2") {
		if v.Unknown {
			continue
		}
		parse := parseSubscribe
		if v.Key == "subscribe2" {
			parse = parseSubscribe2
		}
		a, ok := parse(v.Value)
		path, inFile := strings.CutPrefix(a.Key, "@")
		switch {
		case !ok:
		case !inFile || v.Key == "subscribe2":
			r.spec.Announces = append(r.spec.Announces, a)
		case path == "" || jailed || strings.ContainsRune(path, 0), dirUnknown && !filepath.IsAbs(path):
		default:
			if !filepath.IsAbs(path) {
				path = filepath.Join(dir, path)
			}
			r.spec.keyFiles = append(r.spec.keyFiles, keyFile{a.Server, filepath.Clean(path), r.opener.Chooser(v.Author)})
		}
	}
}

// AnnouncesItself: its file says that it does, for whatever keys.
func (s *Spec) AnnouncesItself() bool { return len(s.Announces) > 0 || len(s.keyFiles) > 0 }

// KeyFiles are the files that say more than Announces, as they are at the moment.
func (s *Spec) KeyFiles() (paths []string) {
	for _, f := range s.keyFiles {
		paths = append(paths, f.path)
	}
	return paths
}

// Announcements are all keys that a uWSGI would announce itself for now, also those in
// files. One that cannot be read says none, as for uWSGI.
func (s *Spec) Announcements() []link.Announcement {
	all := s.Announces[:len(s.Announces):len(s.Announces)]
	for _, f := range s.keyFiles {
		for key := range keysIn(f.read()) {
			all = append(all, link.Announcement{Server: f.server, Key: key})
		}
	}
	return all
}

func (f *keyFile) read() string {
	reader := rights.NewReader(f.as)
	defer reader.Close()
	file, _, err := reader.Open(f.path, 0)
	if err != nil {
		return ""
	}
	defer file.Close()
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		return ""
	}
	text, err := io.ReadAll(io.LimitReader(file, maxKeys))
	if err != nil {
		return ""
	}
	return string(text)
}

// keysIn are the keys of a file: KEY[,MODIFIER1] on each line that does not begin
// with #. uWSGI takes nothing else away, no blank and no carriage return.
func keysIn(text string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for line := range strings.SplitSeq(text, "\n") {
			key, _, _ := strings.Cut(line, ",")
			if key != "" && line[0] != '#' && !yield(key) {
				return
			}
		}
	}
}

// parseSubscribe reads [ADDRESS=]SERVER:KEY[,MODIFIER1[,SIGNATURE]]; ADDRESS may be =N,
// the number of a shared socket.
func parseSubscribe(text string) (a link.Announcement, ok bool) {
	if _, server, found := strings.Cut(strings.TrimPrefix(text, "="), "="); found {
		text = server
	}
	start := 0
	if !strings.HasPrefix(text, "/") { // the first colon is before the server's port
		start = strings.IndexByte(text, ':') + 1
	}
	end := strings.IndexByte(text[start:], ':')
	if end < 0 {
		return a, false
	}
	a.Server = text[:start+end]
	a.Key, _, _ = strings.Cut(text[start+end+1:], ",")
	return a, a.Server != "" && a.Key != ""
}

// parseSubscribe2 reads server=SERVER,key=KEY and more.
func parseSubscribe2(text string) (a link.Announcement, ok bool) {
	for item := range strings.SplitSeq(text, ",") {
		name, value, _ := strings.Cut(item, "=")
		switch name {
		case "server":
			a.Server = value
		case "key":
			a.Key = value
		}
	}
	return a, a.Server != "" && a.Key != ""
}
