package logsink

import "time"

// Flush waits, at most that long, until everything that was queued is written. It is for
// somebody who is about to end the process by other means than its end, when nobody
// queues anything more.
func (s *Set) Flush(within time.Duration) {
	for end := time.Now().Add(within); time.Now().Before(end); time.Sleep(time.Millisecond) {
		idle := true
		for _, k := range s.Sinks() {
			idle = idle && k.idle()
		}
		if idle {
			return
		}
	}
}

// idle tells that nothing is queued or being written.
func (k *Sink) idle() bool { return k.queued.Load() == 0 && !k.writing.Load() }
