package sysd

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// Notify sends assignments to the service manager in one message: "READY=1",
// "STATUS=5 vassals ready", "STOPPING=1", "MAINPID=…". Without a manager it does
// nothing; so it may be called at any time, from any goroutine.
func Notify(assignments ...string) error {
	text := strings.Join(assignments, "\n")
	// Not with true: that unsets NOTIFY_SOCKET, and later calls do nothing.
	if _, err := daemon.SdNotify(false, text); err != nil {
		return fmt.Errorf("telling the service manager %q: %w", text, err)
	}
	return nil
}

// Status is the assignment of a line for `systemctl status`. Line ends would
// begin another assignment and become spaces.
func Status(text string) string {
	return "STATUS=" + strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' }), " ")
}

// ExtendTimeout is the assignment that asks for that long from now to finish
// starting, reloading or stopping. It must be repeated before it runs out.
func ExtendTimeout(d time.Duration) string {
	return "EXTEND_TIMEOUT_USEC=" + strconv.FormatInt(d.Microseconds(), 10)
}

// Reloading is the pair of assignments that announces a reload, as
// Type=notify-reload wants it; "READY=1" says later that it is done.
func Reloading() string {
	return daemon.SdNotifyReloading + "\n" + daemon.SdNotifyMonotonicUsec()
}

// Watchdog tells the service manager that we live, at half of the interval it
// wants (WatchdogSec=), as long as alive says so: alive should ask the loop whose
// standstill is the failure to guard against, and must return soon. It returns
// when ctx ends, and at once if no watchdog is kept for this process.
func Watchdog(ctx context.Context, alive func() bool) error {
	interval, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		return fmt.Errorf("watchdog of the service manager: %w", err)
	}
	if interval <= 0 {
		return nil
	}
	ticker := time.NewTicker(max(interval/2, time.Microsecond))
	defer ticker.Stop()
	for {
		if alive() {
			// A manager that cannot be reached now may be restarting itself; the next
			// ping is soon.
			_ = Notify(daemon.SdNotifyWatchdog)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// StripEnv gives env without what is between us and our service manager. Every
// child's environment must go through it.
func StripEnv(env []string) []string {
	kept := make([]string, 0, len(env))
	for _, kv := range env {
		switch name, _, _ := strings.Cut(kv, "="); name {
		case "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID",
			"LISTEN_FDS", "LISTEN_PID", "LISTEN_PIDFDID", "LISTEN_FDNAMES":
			continue
		}
		kept = append(kept, kv)
	}
	return kept
}
