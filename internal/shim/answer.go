package shim

import "syscall"

// AboutToExec is the whole answer of a process that has become the program: the pipe is
// closed by the exec. Before it, or after it when the exec failed, comes a failure.
const AboutToExec = '!'

// Failure is why the shim did not become the program.
type Failure struct {
	Text  string
	Errno syscall.Errno // 0: none
}

// ParseAnswer tells what a shim has said before its pipe was closed. With neither it ended
// without a word.
func ParseAnswer(answer []byte) (executed bool, failure *Failure) {
	if len(answer) > 0 && answer[0] == AboutToExec {
		if len(answer) == 1 {
			return true, nil
		}
		answer = answer[1:]
	}
	c, f := codec{left: string(answer)}, new(Failure)
	c.failure(f)
	if c.failed {
		return false, nil
	}
	return false, f
}

func (f *Failure) encode() []byte {
	c := codec{writing: true}
	c.failure(f)
	return c.written
}

func (c *codec) failure(f *Failure) {
	c.string(&f.Text)
	errno := uint64(f.Errno)
	number(c, &errno)
	f.Errno = syscall.Errno(errno)
}

// Problem is an error in words of its own, which do not repeat those of the system's.
type Problem struct {
	Text string
	Err  error
}

// Error is Text.
func (p *Problem) Error() string { return p.Text }

// Unwrap gives the system's error.
func (p *Problem) Unwrap() error { return p.Err }

// because puts words before an error.
func because(doing string, err error) error {
	if err == nil {
		return nil
	}
	return &Problem{doing + ": " + err.Error(), err}
}
