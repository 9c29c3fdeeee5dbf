package config

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// sourceTimeout bounds one program, URL, pipe or DNS question of a main file.
const sourceTimeout = 10 * time.Second

// readSource reads a file or, in the main file only, any other source of a
// configuration text. It reports what goes wrong itself.
func readSource(l *loader, source string, e *entry) ([]byte, Author, bool) {
	kind := scheme(source)
	rest := strings.TrimPrefix(source, kind)
	pos, key := e.pos, e.key
	var data []byte
	var err error
	switch {
	case kind == "" && source != "-":
		return l.readPlain(source, pos, key, e.by)
	case l.req.Vassal:
		return nil, 0, false // callers have dealt with it; this is the last line of defence
	case source == "-":
		data, err = readLimited(os.Stdin)
	case kind == "fd://":
		data, err = readDescriptor(rest)
	case kind == "exec://":
		data, err = l.runProgram(rest)
		if exit := new(exec.ExitError); errors.As(err, &exit) {
			l.warn(pos, key, "%s: %v; what it wrote is used", source, err)
			err = nil
		}
	case kind == "http://":
		data, err = fetch(source)
	default:
		l.fail(pos, key, "%s… is a source only a real uWSGI has", kind)
		return nil, 0, false
	}
	if err != nil {
		l.fail(pos, key, "%s: %v", source, reason(err))
		return nil, 0, false
	}
	return data, 0, true
}

// readPlain reads a path. For a vassal it must be a regular file: nobody may make
// the emperor wait on a pipe. The path is noted even if it cannot be read, so
// that the file's coming into being is noticed.
func (l *loader) readPlain(name string, pos Pos, key string, by Author) ([]byte, Author, bool) {
	path := l.resolve(name)
	l.noteFile(path)
	data, author, err := l.readPath(path, by)
	if err != nil {
		hint := ""
		if errors.Is(err, fs.ErrNotExist) && !strings.HasPrefix(name, "/") {
			hint = fmt.Sprintf(" (looked in %s)", l.dir)
			if pos.Line > 0 {
				hint = fmt.Sprintf(" (looked in %s; %%d%s is a file beside this one)", l.dir, strings.TrimPrefix(name, "./"))
			}
		}
		if i := strings.Index(name, "("); i > 0 && strings.IndexByte("$@%", name[i-1]) >= 0 {
			hint = fmt.Sprintf(" (%s… is not replaced here: this line acts while the file is read, when only magic variables such as %%d have a value)", name[i-1:i+1])
		}
		l.failToRead(pos, key, name, err, hint)
		return nil, 0, false
	}
	return data, author, true
}

// failToRead reports a file that cannot be read. Who was refused it is told by
// the Opener.
func (l *loader) failToRead(pos Pos, key, name string, err error, hint string) {
	var refusal *Refusal
	switch {
	case errors.As(err, &refusal) && pos == (Pos{File: name}):
		l.fail(pos, "", "%v", refusal) // the vassal's own file
		return
	case refusal != nil:
		l.fail(pos, key, "%s: %v", name, refusal)
		return
	}
	l.fail(pos, key, "cannot read %s: %v%s", name, reason(err), hint)
}

func (l *loader) readPath(path string, by Author) ([]byte, Author, error) {
	file, author, err := l.opener.Open(path, by)
	if err != nil {
		return nil, 0, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, 0, err
	}
	if !info.Mode().IsRegular() {
		if l.req.Vassal || info.IsDir() {
			return nil, 0, errors.New("not a regular file")
		}
		_ = file.SetReadDeadline(time.Now().Add(sourceTimeout)) // devices know no deadline
	}
	data, err := readLimited(file)
	return data, author, err
}

func readLimited(r io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxSourceBytes+1))
	if err == nil && len(data) > maxSourceBytes {
		err = fmt.Errorf("more than %d MiB", maxSourceBytes>>20)
	}
	return data, err
}

// readDescriptor reads fd://N to its end.
func readDescriptor(text string) ([]byte, error) {
	number, err := strconv.Atoi(text)
	if err != nil || number < 0 {
		return nil, errors.New("want fd://NUMBER")
	}
	own, err := unix.FcntlInt(uintptr(number), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, err
	}
	file := os.NewFile(uintptr(own), text)
	defer file.Close()
	return readLimited(file)
}

// runProgram is exec://COMMAND: what sh -c COMMAND writes to its standard output.
// The whole process group is killed when time is up.
func (l *loader) runProgram(command string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), sourceTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", command)
	cmd.Dir = l.dir
	cmd.Env = l.req.Env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	out := &limitedBuffer{}
	cmd.Stdout = out
	cmd.Stderr = os.Stderr
	err := cmd.Run()
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("did not end within %s", sourceTimeout)
	case out.full:
		return nil, fmt.Errorf("wrote more than %d MiB", maxSourceBytes>>20)
	case errors.Is(err, syscall.ECHILD):
		err = nil // as PID 1 somebody else may have reaped it; its output is complete
	}
	return out.data, err
}

// limitedBuffer keeps what a program wrote, up to maxSourceBytes.
type limitedBuffer struct {
	data []byte
	full bool
}

func (b *limitedBuffer) Write(p []byte) (int, error) {
	if len(b.data)+len(p) > maxSourceBytes {
		b.full = true
		return len(p), nil
	}
	b.data = append(b.data, p...)
	return len(p), nil
}

// fetch gets an http:// source. As in uWSGI anything but a 2xx status is fatal.
func fetch(url string) ([]byte, error) {
	client := &http.Client{Timeout: sourceTimeout, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get(url)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode/100 != 2 {
		return nil, fmt.Errorf("answered %s", response.Status)
	}
	return readLimited(response.Body)
}

// resolveHost is resolve = PLACEHOLDER=NAME.
func (l *loader) resolveHost(e *entry) {
	key, host, ok := strings.Cut(e.value, "=")
	if !ok {
		l.fail(e.pos, e.key, "want PLACEHOLDER=HOSTNAME, got %q", e.value)
		return
	}
	address := &entry{key: key, value: host, has: true, pos: e.pos, frame: e.frame, by: e.by, applied: true, quiet: true}
	if l.req.Vassal {
		address.unknown = true
		l.append(address)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), sourceTimeout)
	defer cancel()
	found, err := net.DefaultResolver.LookupIP(ctx, "ip4", host)
	if err != nil || len(found) == 0 {
		l.fail(e.pos, e.key, "cannot resolve %s: %v", host, err)
		return
	}
	address.value = found[0].String()
	l.append(address)
}

// reason takes the path out of a file error: the message names it already.
func reason(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}
