package link

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

func pair(t *testing.T) (*Peer, *Peer) {
	t.Helper()
	ours, fd, err := Pair()
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := Open(fd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ours.Close(); _ = theirs.Close() })
	return NewPeer(ours), NewPeer(theirs)
}

func TestCallCarriesDescriptorsAndErrors(t *testing.T) {
	emperor, router := pair(t)
	var done sync.WaitGroup
	done.Go(func() { _ = emperor.Run(func(*Message, []int) {}) })
	done.Go(func() {
		_ = router.Run(func(m *Message, descriptors []int) {
			var err error
			if len(descriptors) != len(m.Configuration.Listeners) {
				err = fmt.Errorf("%d descriptors for %d listeners", len(descriptors), len(m.Configuration.Listeners))
			}
			for i, fd := range descriptors {
				text := make([]byte, 32)
				n, _ := unix.Pread(fd, text, 0)
				if want := fmt.Sprint("listener ", i); string(text[:n]) != want {
					err = fmt.Errorf("descriptor %d reads %q, want %q", i, text[:n], want)
				}
				_ = unix.Close(fd)
			}
			if len(m.Configuration.Options) > 0 {
				err = errors.New("a.ini:3: " + m.Configuration.Options[0].Value)
			}
			_ = router.Acknowledge(m.Sequence, err)
		})
	})
	for _, count := range []int{0, 1, 3, 251, 600} {
		configuration := &Configuration{}
		var fds []int
		for i := range count {
			file, err := os.CreateTemp(t.TempDir(), "")
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			fmt.Fprint(file, "listener ", i)
			fds = append(fds, int(file.Fd()))
			configuration.Listeners = append(configuration.Listeners, Listener{Option: "http", Address: fmt.Sprint(i)})
		}
		if err := emperor.Call(context.Background(), Message{Kind: Configure, Configuration: configuration}, fds...); err != nil {
			t.Errorf("%d descriptors: %v", count, err)
		}
	}
	long := strings.Repeat("x", 3<<20)
	err := emperor.Call(context.Background(), Message{Kind: Configure, Configuration: &Configuration{Options: []Option{{Key: "route", Value: long}}}})
	if err == nil || err.Error() != "a.ini:3: "+long {
		t.Errorf("the router's error did not come back whole: %.40v", err)
	}
	_ = emperor.Close()
	done.Wait()
}

func TestCallsEndWhenTheOtherProcessGoes(t *testing.T) {
	emperor, router := pair(t)
	var done sync.WaitGroup
	done.Go(func() { _ = emperor.Run(func(*Message, []int) {}) })
	done.Go(func() {
		_ = router.Run(func(m *Message, _ []int) { _ = router.Close() })
	})
	if err := emperor.Call(context.Background(), Message{Kind: Hold, Vassal: "a"}); !errors.Is(err, ErrGone) {
		t.Errorf("got %v, want ErrGone", err)
	}
	done.Wait()
	if err := emperor.Call(context.Background(), Message{Kind: Hold, Vassal: "a"}); !errors.Is(err, ErrGone) {
		t.Errorf("a call after the end: got %v, want ErrGone", err)
	}
}

func TestCancelledDrainIsForgotten(t *testing.T) {
	emperor, router := pair(t)
	var done sync.WaitGroup
	seen := make(chan *Message, 2)
	done.Go(func() { _ = emperor.Run(func(*Message, []int) {}) })
	done.Go(func() { _ = router.Run(func(m *Message, _ []int) { seen <- m }) })
	ctx, cancel := context.WithCancel(context.Background())
	done.Go(func() {
		if err := emperor.Call(ctx, Message{Kind: Drained, Vassal: "a", Generation: 2}); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
	first := <-seen
	cancel()
	second := <-seen
	if second.Kind != Forget || second.Sequence != first.Sequence {
		t.Errorf("after the cancelled %+v came %+v", first, second)
	}
	_ = emperor.Close()
	done.Wait()
}

// A table carries the folders of its rows, also when a vassal closes its own while
// the message is on its way, and leaves out rows whose folder is closed already.
func TestTableCarriesFolders(t *testing.T) {
	open := func() *OpenFolder {
		var fds [2]int
		for i := range fds {
			fd, err := unix.Open(t.TempDir(), unix.O_PATH|unix.O_CLOEXEC, 0)
			if err != nil {
				t.Fatal(err)
			}
			fds[i] = fd
		}
		return NewOpenFolder(fds[0], fds[1])
	}
	files := &StaticFiles{Path: "/srv/www"}
	live, closed := open(), open()
	closed.Close()
	table := &Table{Vassals: []Vassal{
		{Name: "app"}, {Name: "closed", Files: files, Opened: closed}, {Name: "live", Files: files, Opened: live}, {Name: "stopped", Files: files},
	}}
	descriptors, release := table.Borrow()
	live.Close()
	if len(descriptors) != 2 || table.Descriptors() != 2 || len(table.Vassals) != 3 || !table.Vassals[1].Files.Opened || table.Vassals[2].Files.Opened {
		t.Errorf("%v for %+v", descriptors, table.Vassals)
	}
	if files.Opened {
		t.Error("the vassal's own row was changed")
	}
	for _, fd := range descriptors {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil {
			t.Errorf("closed while it was borrowed: %v", err)
		}
	}
	release()
	for _, fd := range descriptors {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil {
			t.Error("still open after the release")
		}
	}
}
