package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"unsafe"

	"emperor/emperor"
	"emperor/emperor/control"
	"emperor/internal/proc"
)

// takeoverFault makes a binary fail that takes over, for tests: "error" or "panic"
// (-ldflags "-X main.takeoverFault=panic").
var takeoverFault string

// init names a process that was executed by its descriptor, and would be called by that
// number. Only during init is this surely the main thread, whose name ps shows.
func init() {
	if os.Getenv(emperor.TakeoverVariable) != "" {
		name := []byte("emperor\x00")
		const setName = 15 // PR_SET_NAME, prctl(2)
		_, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, setName, uintptr(unsafe.Pointer(&name[0])), 0)
	}
}

// takeOver is the emperor's life in a binary that was executed in the place of another
// one (emperor upgrade); false if this is an ordinary start.
func takeOver() (err error, taking bool) {
	t, err := emperor.TakeoverFromEnvironment()
	if t == nil {
		return err, err != nil
	}
	t.Fault = faultOf(takeoverFault)
	state := t.State
	reader, err := newReader()
	if err != nil {
		return err, true
	}
	main, problems := state.Main(reader)
	logs := openLog(main, false)
	defer logs.close()
	log := logs.log
	for _, p := range problems.Errors() {
		log.Warn("a line of the main file that holds means nothing to this version any more", "err", p.Error())
	}
	proc.GiveWay()
	return emperor.New(emperor.Program{
		Reader: reader, Source: state.Source, Main: main, Files: state.Files, Version: versionText(), Log: log, Logs: logs.logs,
		Flush: logs.flush, Takeover: t, Amnesty: urgentIsOurs,
	}).Run(context.Background()), true
}

func faultOf(text string) func() {
	if text == "" {
		return nil
	}
	return func() { panic(text) }
}

// runTakeover is `emperor takeover --try FD`: an emperor that runs asks whether this
// binary could take over from it.
func runTakeover(args []string, out io.Writer) error {
	if len(args) != 2 || args[0] != "--try" {
		return usageError("takeover is for the emperor's own use; see emperor upgrade")
	}
	fd, err := strconv.Atoi(args[1])
	if err != nil || fd < 3 {
		return usageError("takeover: --try wants a descriptor, got %q", args[1])
	}
	state, err := emperor.ReadState(fd)
	if err != nil {
		return err
	}
	reader, err := newReader()
	if err != nil {
		return err
	}
	if err := state.Try(reader); err != nil {
		return err
	}
	fmt.Fprintln(out, emperor.TryReady+versionText())
	return nil
}

// runUpgrade is `emperor upgrade`.
func runUpgrade(args []string, out io.Writer) error {
	binary := ""
	for i := 0; i < len(args); i++ {
		if args[i] == "--binary" && i+1 < len(args) {
			binary = args[i+1]
			args = append(args[:i:i], args[i+2:]...)
			break
		}
	}
	q, err := ask("upgrade", args)
	if err != nil {
		return err
	}
	if len(q.names) > 0 {
		return usageError("upgrade: the emperor as a whole is upgraded; want no names, got %q", q.names[0])
	}
	if binary != "" {
		if binary, err = filepath.Abs(binary); err != nil {
			return err
		}
	}
	ctx, cancel := untilInterrupt()
	defer cancel()
	u, err := q.client.Upgrade(ctx, binary)
	if err != nil {
		return fmt.Errorf("upgrade: %w", err)
	}
	if q.json {
		return control.WriteJSON(out, u)
	}
	fmt.Fprintf(out, "upgraded from %s to %s; %d vassals went on\n", u.Before, u.Version, u.Kept)
	for _, name := range u.Restarted {
		fmt.Fprintf(out, "%s could not be taken over and was started anew\n", name)
	}
	if u.Problem != "" {
		return errors.New(u.Problem)
	}
	return nil
}
