package testvassal

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"emperor/internal/proc"
)

// A script is a list of words, each NAME or NAME=VALUE, played from left to
// right. Those that set something up return at once; "serve" and "wait" last
// until a signal ends the process.
type step struct {
	name, value string
	run         func(*player, string) error
}

var words = map[string]struct {
	help  string
	value bool
	run   func(*player, string) error
}{
	"print":       {"print a line to stdout", true, func(p *player, v string) error { _, err := fmt.Println(v); return err }},
	"error":       {"print a line to stderr", true, func(p *player, v string) error { _, err := fmt.Fprintln(os.Stderr, v); return err }},
	"env":         {"print NAME=VALUE of the environment, or NAME unset", true, printEnv},
	"pid":         {"print own process number", false, func(p *player, _ string) error { _, err := fmt.Println(os.Getpid()); return err }},
	"dir":         {"print the working directory", false, printDir},
	"fds":         {"print the open descriptors, as fd=target, one a line", false, printDescriptors},
	"proc":        {"print a line of /proc/self/status, as proc=SigIgn", true, printStatus},
	"sleep":       {"do nothing for that long", true, sleep},
	"ignore":      {"ignore a signal: TERM, HUP, INT, QUIT, USR1", true, ignoreSignal},
	"file":        {"write own process number to that file, complete or not at all", true, writePID},
	"daemon":      {"leave a daemon behind (double fork, setsid) that plays these words, separated by commas", true, startDaemon},
	"child":       {"start a child that plays these words, separated by commas", true, startChild},
	"emperor":     {"be an emperor: IDENTITY;MODE;WORDS starts a child of a proc.Starter that plays these words, separated by semicolons; MODE is bound (it dies with the emperor) or free", true, beEmperor},
	"clean-env":   {"start over without any environment, playing the remaining words", false, nil},
	"notify":      {"send that text to NOTIFY_SOCKET, as notify=READY=1", true, notify},
	"exit":        {"exit with that status", true, exit},
	"kill":        {"send itself that signal: KILL, TERM, SEGV …", true, killSelf},
	"wait":        {"wait for TERM, then exit with status 0", false, wait},
	"fd":          {"serve on that inherited listening descriptor (default 3)", true, func(p *player, v string) error { p.listen = "fd:" + v; return nil }},
	"unix":        {"serve on that unix socket, bound by itself", true, func(p *player, v string) error { p.listen = "unix:" + v; return nil }},
	"tcp":         {"serve on that address, bound by itself", true, func(p *player, v string) error { p.listen = "tcp:" + v; return nil }},
	"port":        {"serve on 127.0.0.1:$PORT", false, func(p *player, _ string) error { p.listen = "port"; return nil }},
	"ready-after": {"accept nothing before that long", true, func(p *player, v string) (err error) { p.readyAfter, err = time.ParseDuration(v); return }},
	"crash-after": {"exit with status 70 after that many requests, without answering the last", true, func(p *player, v string) (err error) { p.crashAfter, err = strconv.Atoi(v); return }},
	"body":        {"answer GET / with that text", true, func(p *player, v string) error { p.body = v; return nil }},
	"status":      {"answer GET / with that status", true, func(p *player, v string) (err error) { p.status, err = strconv.Atoi(v); return }},
	"serve":       {"serve HTTP until TERM, then finish what is under way and exit with status 0 (see http.go for the paths); must be the last word", false, serve},
}

// player is the state of a script under way.
type player struct {
	listen     string
	readyAfter time.Duration
	crashAfter int
	body       string
	status     int
}

// parse gives the words as they are played: "serve" or "wait" last, wherever it stands,
// so that what follows it reads as its options.
func parse(script []string) ([]step, error) {
	var steps, last []step
	for _, s := range script {
		name, value, has := strings.Cut(s, "=")
		w, ok := words[name]
		if !ok {
			return nil, fmt.Errorf("unknown word %q; known are %s", name, strings.Join(slices.Sorted(maps.Keys(words)), " "))
		}
		if w.value != has {
			return nil, fmt.Errorf("%s: %s; value given: %t, wanted: %t", name, w.help, has, w.value)
		}
		if name == "serve" || name == "wait" {
			last = append(last, step{name, value, w.run})
			continue
		}
		steps = append(steps, step{name, value, w.run})
	}
	return append(steps, last...), nil
}

func play(script []string) int {
	steps, err := parse(script)
	if err != nil {
		fmt.Fprintln(os.Stderr, "testvassal:", err)
		return 64
	}
	p := &player{listen: "fd:3", status: 200}
	for i, s := range steps {
		if s.name == "clean-env" {
			err = cleanEnvironment(steps[i+1:])
		} else {
			err = s.run(p, s.value)
		}
		if err != nil {
			fmt.Fprintf(os.Stderr, "testvassal: %s: %v\n", s.name, err)
			return 71
		}
	}
	return 0
}

func printEnv(_ *player, name string) error {
	value, ok := os.LookupEnv(name)
	if !ok {
		_, err := fmt.Println(name, "unset")
		return err
	}
	_, err := fmt.Printf("%s=%s\n", name, value)
	return err
}

func printDir(*player, string) error {
	dir, err := os.Getwd()
	fmt.Println(dir)
	return err
}

func printDescriptors(*player, string) error {
	var text strings.Builder
	for fd := range 1024 {
		target, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
		// What Go's runtime opened for itself (its poller, the CPU limits) is not
		// what we were given.
		if err == nil && !strings.HasPrefix(target, "anon_inode:[event") && !strings.HasPrefix(target, "/sys/fs/cgroup/") {
			fmt.Fprintf(&text, "%d=%s\n", fd, target)
		}
	}
	_, err := fmt.Print(text.String())
	return err
}

func printStatus(_ *player, field string) error {
	text, err := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(text)) {
		if name, value, _ := strings.Cut(line, ":"); name == field {
			fmt.Printf("%s=%s\n", name, strings.Join(strings.Fields(value), " "))
		}
	}
	return err
}

func sleep(_ *player, v string) error {
	d, err := time.ParseDuration(v)
	time.Sleep(d)
	return err
}

var signals = map[string]syscall.Signal{
	"TERM": syscall.SIGTERM, "HUP": syscall.SIGHUP, "INT": syscall.SIGINT, "QUIT": syscall.SIGQUIT,
	"USR1": syscall.SIGUSR1, "KILL": syscall.SIGKILL, "SEGV": syscall.SIGSEGV, "ABRT": syscall.SIGABRT,
}

func ignoreSignal(_ *player, v string) error {
	sig, ok := signals[v]
	if !ok {
		return fmt.Errorf("unknown signal %q", v)
	}
	signal.Ignore(sig)
	return nil
}

func killSelf(_ *player, v string) error {
	sig, ok := signals[v]
	if !ok {
		return fmt.Errorf("unknown signal %q", v)
	}
	if err := syscall.Kill(os.Getpid(), sig); err != nil {
		return err
	}
	select {}
}

// writePID makes the file appear complete, so that a test can wait for it.
func writePID(_ *player, path string) error {
	unfinished := path + ".unfinished"
	if err := os.WriteFile(unfinished, []byte(strconv.Itoa(os.Getpid())), 0o600); err != nil {
		return err
	}
	return os.Rename(unfinished, path)
}

func again(script []string) (*exec.Cmd, error) {
	path, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := exec.Command(path, append([]string{word}, script...)...)
	c.Stdout, c.Stderr = os.Stdout, os.Stderr
	return c, nil
}

func startChild(_ *player, v string) error {
	c, err := again(strings.Split(v, ","))
	if err != nil {
		return err
	}
	return c.Start()
}

// startDaemon is the double fork: the process between starts the daemon in a
// session of its own and ends, so that the daemon's parent is gone.
func startDaemon(_ *player, v string) error {
	c, err := again([]string{"daemon-step=" + v})
	if err != nil {
		return err
	}
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return c.Run()
}

// beEmperor starts a child as the real emperor does, under a mark that names
// this process. The child's name is "site", its generation 1.
func beEmperor(_ *player, v string) error {
	fields := strings.Split(v, ";")
	if len(fields) < 3 {
		return fmt.Errorf("want IDENTITY;MODE;WORDS, got %q", v)
	}
	path, err := os.Executable()
	if err != nil {
		return err
	}
	starter := proc.NewStarter(proc.NewMark(fields[0])) // lives until the process ends
	_, err = starter.Start(context.Background(), &proc.Command{
		Name: "site", Generation: 1, Umask: -1,
		Path: path, Args: append([]string{"testvassal", word}, fields[2:]...), Env: os.Environ(),
		ParentDeathSignal: fields[1] == "bound",
	})
	return err
}

func init() {
	words["daemon-step"] = struct {
		help  string
		value bool
		run   func(*player, string) error
	}{"the middle process of daemon", true, func(_ *player, v string) error {
		c, err := again(strings.Split(v, ","))
		if err != nil {
			return err
		}
		c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		return c.Start()
	}}
}

// cleanEnvironment replaces the process by itself without any environment.
func cleanEnvironment(rest []step) error {
	path, err := os.Executable()
	if err != nil {
		return err
	}
	args := []string{"testvassal", word}
	for _, s := range rest {
		if words[s.name].value {
			args = append(args, s.name+"="+s.value)
		} else {
			args = append(args, s.name)
		}
	}
	return syscall.Exec(path, args, nil)
}

func exit(_ *player, v string) error {
	code, err := strconv.Atoi(v)
	if err == nil {
		os.Exit(code)
	}
	return err
}

func wait(*player, string) error {
	ended := make(chan os.Signal, 1)
	if !signal.Ignored(syscall.SIGTERM) {
		signal.Notify(ended, syscall.SIGTERM)
	}
	<-ended
	return nil
}
