package main

import (
	"io"
	"strings"
	"testing"
	"time"
)

// TestLogThatNobodyReads: lines are dropped and counted, and nobody waits.
func TestLogThatNobodyReads(t *testing.T) {
	reader, writer := io.Pipe()
	l := newPatientLog(writer)
	line := []byte(strings.Repeat("x", 999) + "\n")
	for range 3 * pendingLog / len(line) {
		_, _ = l.Write(line) // would hang here
	}
	read := make(chan string)
	go func() {
		text, _ := io.ReadAll(reader)
		read <- string(text)
	}()
	for l.waiting() {
		time.Sleep(time.Millisecond)
	}
	_, _ = l.Write([]byte("after\n"))
	l.close(patience)
	_ = writer.Close()
	text := <-read
	if !strings.Contains(text, "lines of the log were dropped") || !strings.HasSuffix(text, "after\n") {
		t.Errorf("the log ends with %q", text[max(0, len(text)-200):])
	}
}

// waiting tells whether lines wait to be written.
func (l *patientLog) waiting() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.size > 0
}
