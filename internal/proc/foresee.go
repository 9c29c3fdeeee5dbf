package proc

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"emperor/internal/shim"
)

// Foresee says why a program could not be started, in the words of a start that
// has failed, as far as that shows without starting it: nil if nothing speaks
// against it. It finds the program on the PATH of env and looks with the effective
// user and from the working directory of the calling thread.
//
// An error that is syscall.ENOEXEC is a guess: the kernel may have been taught to
// run more than it shows (binfmt_misc).
func Foresee(program string, env []string) error {
	path, err := shim.LookPath(program, env)
	if err != nil {
		return err
	}
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return shim.ExplainExec(program, path, err)
	case !info.Mode().IsRegular():
		if !info.IsDir() {
			return &shim.Problem{Text: program + ": not a file that can be executed", Err: syscall.EACCES}
		}
		return shim.ExplainExec(program, path, syscall.EACCES)
	}
	if err := unix.Faccessat(unix.AT_FDCWD, path, unix.X_OK, unix.AT_EACCESS); err != nil {
		return shim.ExplainExec(program, path, err)
	}
	return foreseeContent(program, path, env)
}

// foreseeContent looks into the program, where that is allowed (it need not be).
func foreseeContent(program, path string, env []string) error {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	head := make([]byte, 256)
	n, _ := f.Read(head)
	head = head[:n]
	switch {
	case bytes.HasPrefix(head, []byte("#!")):
		return foreseeScript(program, path, head, env)
	case !bytes.HasPrefix(head, []byte(elf.ELFMAG)):
		return shim.ExplainExec(program, path, syscall.ENOEXEC)
	}
	if built, ours := machineOf(head), ownMachine(); built != elf.EM_NONE && ours != elf.EM_NONE && built != ours && !runsOn(built, ours) {
		return &shim.Problem{Text: fmt.Sprintf("%s: built for another kind of machine (%s, this is %s)", program, machineName(built), machineName(ours)), Err: syscall.ENOEXEC}
	}
	if loader := loaderOf(f); loader != "" && !exists(loader) {
		return &shim.Problem{Text: fmt.Sprintf("%s: the loader it needs, %s, does not exist (built for another system?)", program, loader), Err: syscall.ENOENT}
	}
	return nil
}

// machineOf reads what kind of machine a binary is for from its first bytes.
func machineOf(head []byte) elf.Machine {
	const at = 18 // e_machine
	switch {
	case len(head) < at+2:
		return elf.EM_NONE
	case head[elf.EI_DATA] == byte(elf.ELFDATA2MSB):
		return elf.Machine(binary.BigEndian.Uint16(head[at:]))
	}
	return elf.Machine(binary.LittleEndian.Uint16(head[at:]))
}

// loaderOf is the program that the kernel starts to load a binary; empty when it
// needs none, or does not say.
func loaderOf(f *os.File) string {
	file, err := elf.NewFile(f)
	if err != nil {
		return ""
	}
	for _, part := range file.Progs {
		if part.Type != elf.PT_INTERP {
			continue
		}
		name := make([]byte, min(part.Filesz, 4096))
		if _, err := part.ReadAt(name, 0); err == nil {
			return string(bytes.TrimRight(name, "\x00"))
		}
	}
	return ""
}

// foreseeScript looks for the interpreter of a script; for env(1), as most scripts
// name it, for what that would find.
func foreseeScript(program, path string, head []byte, env []string) error {
	line, _, _ := bytes.Cut(head[2:], []byte("\n"))
	words := strings.Fields(string(line))
	if len(words) == 0 {
		return shim.ExplainExec(program, path, syscall.ENOEXEC)
	}
	if bytes.HasSuffix(line, []byte("\r")) {
		return &shim.Problem{Text: fmt.Sprintf("%s: its first line ends as on Windows, and so asks for %q, which does not exist (mend it with: sed -i 's/\\r$//' %s)", program, strings.TrimLeft(string(line), " \t"), path), Err: syscall.ENOENT}
	}
	if !exists(words[0]) {
		return &shim.Problem{Text: fmt.Sprintf("%s: its first line asks for %s, which does not exist", program, words[0]), Err: syscall.ENOENT}
	}
	if filepath.Base(words[0]) != "env" || len(words) < 2 {
		return nil
	}
	name := words[1]
	if name == "-S" && len(words) > 2 {
		name = words[2]
	}
	if strings.HasPrefix(name, "-") || strings.Contains(name, "=") {
		return nil // more than we know of env
	}
	if _, err := shim.LookPath(name, env); err != nil {
		return &shim.Problem{Text: fmt.Sprintf("%s: its first line asks for %s", program, err), Err: err}
	}
	return nil
}

// exists is false only for what is certainly not there.
func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, syscall.ENOENT) && !errors.Is(err, syscall.ENOTDIR)
}

// ownMachine is the kind of machine this program was built for, EM_NONE if that
// cannot be told.
var ownMachine = sync.OnceValue(func() elf.Machine {
	path, err := ownExecutable()
	if err != nil {
		return elf.EM_NONE
	}
	f, err := os.Open(path)
	if err != nil {
		return elf.EM_NONE
	}
	defer f.Close()
	head := make([]byte, 20)
	n, _ := f.Read(head)
	return machineOf(head[:n])
})

// runsOn: 64-bit kernels run the 32-bit programs of their family.
func runsOn(program, machine elf.Machine) bool {
	return program == elf.EM_386 && machine == elf.EM_X86_64 || program == elf.EM_ARM && machine == elf.EM_AARCH64
}

func machineName(m elf.Machine) string { return strings.ToLower(strings.TrimPrefix(m.String(), "EM_")) }
