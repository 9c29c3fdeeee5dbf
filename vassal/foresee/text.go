package foresee

import (
	"regexp"
	"slices"
	"strings"

	"emperor/internal/config"
	"emperor/vassal/commandline"
	"emperor/vassal/spec"
)

// What follows finds lines that mean something else than they seem to.

// placeholder is a %(name) that was left as it is, since nothing defines it.
var placeholder = regexp.MustCompile(`%\(([^)]*)\)`)

// plainOptions are options of uWSGI's whose values it uses as they are. (Others, such
// as log-format, have a language of their own with %(name) in it.)
var plainOptions = []string{"chdir", "wsgi-file", "module", "wsgi", "file", "virtualenv", "home", "pythonpath", "logto", "logto2", "socket", "http-socket", "uid", "gid"}

// text warns of placeholders that nothing defines.
func (f *foresight) text() {
	values := f.Config.Values
	if f.spec.Kind == spec.UWSGI {
		values = f.Config.All(plainOptions...)
	}
	for _, v := range values {
		if v.Unknown || f.spec.Kind == spec.Command && !isOption(v.Key) {
			continue
		}
		for _, m := range placeholder.FindAllStringSubmatch(v.Value, -1) {
			if m[1] == "fd" && !f.spec.Port || m[1] == "port" && f.spec.Port {
				continue
			}
			switch {
			case m[1] == "port" && f.spec.Kind == spec.Command:
				f.doubtful(v, "%%(port) has a value only with port = auto, and without socket: it stays as it is")
			case m[1] == "fd" && f.spec.Kind == spec.Command:
				f.doubtful(v, "%%(fd) has a value only with a socket: it stays as it is")
			default:
				f.doubtful(v, "nothing defines %s, so it stays as it is (a line %s = … does)", m[0], m[1])
			}
		}
	}
}

func isOption(key string) bool {
	return slices.ContainsFunc(spec.Options, func(o config.Option) bool { return o.Name == key })
}

// home warns of a ~, which only shells know.
func home(path string) string {
	if strings.HasPrefix(path, "~") {
		return " (~ is a shell's: write the directory's name)"
	}
	return ""
}

// addressOption is an argument whose value, or the word after it, is what a program
// listens on; portOption the same for a port alone.
var (
	addressOption = regexp.MustCompile(`^(?:-b|--bind|--listen|--address|--addr|-S|runserver)(?:=(.*))?$`)
	portOption    = regexp.MustCompile(`^--port(?:=(.*))?$`)
	hostPort      = regexp.MustCompile(`^(?:[\w.-]*|\[[0-9a-fA-F:.]*\]|\*):([0-9]{2,5})$`)
	onlyPort      = regexp.MustCompile(`^[0-9]{2,5}$`)
)

// ownPort finds in a command line the port on which the program will listen.
func ownPort(words []string) (text, port string) {
	for i, word := range words {
		for _, try := range []struct{ option, value *regexp.Regexp }{{addressOption, hostPort}, {addressOption, onlyPort}, {portOption, onlyPort}} {
			m := try.option.FindStringSubmatch(word)
			if m == nil {
				continue
			}
			value := m[1]
			if !strings.Contains(word, "=") && i+1 < len(words) {
				value = words[i+1]
			}
			if found := try.value.FindStringSubmatch(value); found != nil {
				return value, found[len(found)-1]
			}
		}
	}
	return "", ""
}

// ownAddress warns of a command that listens somewhere else than it is asked.
func (f *foresight) ownAddress(line config.Value) {
	words, _, err := commandline.Split(f.spec.Command.Line)
	if err != nil {
		return
	}
	text, port := ownPort(words)
	if port == "" {
		return
	}
	if f.spec.Port {
		f.doubtful(line, "the program is told to listen on %s, but is asked on the port that it gets in $PORT: write %%(port) for the number, or say socket = 127.0.0.1:%s", text, port)
		return
	}
	for _, s := range f.spec.Sockets {
		if strings.HasSuffix(s.Address, ":"+port) {
			return
		}
	}
	if len(f.spec.Sockets) > 0 {
		f.doubtful(line, "the program is told to listen on %s, but is asked at %s: leave that out if it takes its socket from LISTEN_FDS or %%(fd), or say socket = 127.0.0.1:%s", text, f.spec.Sockets[0].Address, port)
	}
}
