package shim

import (
	"errors"
	"strconv"
	"syscall"
	"unsafe"
)

// variable is how a process knows that it is a shim: the number of the descriptor of
// its order. It is no argument because those are not known yet when init runs.
const variable = "EMPEROR_SHIM"

// Arguments is what a shim shows in ps for the moment that it lives.
var Arguments = []string{"emperor", "__exec"}

// Environment makes a process a shim whose order is that descriptor, and its answer goes
// to the next. The runtime need collect no garbage in a millisecond, and needs no more
// than one thread for it; the program gets none of this.
func Environment(order int) []string {
	return []string{variable + "=" + strconv.Itoa(order), "GOGC=off", "GOMAXPROCS=1"}
}

// The main goroutine runs init functions on the main thread: credentials, parent-death
// signal and exec belong to one.
func init() {
	value, found := syscall.Getenv(variable)
	if !found {
		return
	}
	fd, err := strconv.Atoi(value)
	if err != nil || fd < 3 {
		syscall.Write(2, []byte("emperor: the environment variable "+variable+" is for the emperor's own use\n"))
		syscall.Exit(2)
	}
	status := fd + 1
	syscall.CloseOnExec(fd)
	syscall.CloseOnExec(status)
	order, err := read(fd)
	if err == nil {
		err = order.become(status)
	}
	answer := Failure{Text: err.Error()}
	errors.As(err, &answer.Errno)
	write(status, answer.encode())
	syscall.Exit(127)
}

// room is for an order as most are.
const room = 4 << 10

// read gets the order from its file.
func read(fd int) (*Order, error) {
	text := make([]byte, 0, room)
	for {
		if len(text) == cap(text) {
			text = append(text, 0)[:len(text)]
		}
		n, err := syscall.Pread(fd, text[len(text):cap(text)], int64(len(text)))
		switch {
		case err == syscall.EINTR:
		case err != nil:
			return nil, because("reading the description of the child", err)
		case n == 0:
			return decode(unsafe.String(unsafe.SliceData(text), len(text))) // nobody writes to it any more
		default:
			text = text[:len(text)+n]
		}
	}
}

func write(fd int, text []byte) {
	for len(text) > 0 {
		n, err := syscall.Write(fd, text)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return
		}
		text = text[n:]
	}
}
