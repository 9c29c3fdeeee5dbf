package uwsgi

import (
	"bufio"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// askVassal runs the app under uWSGI, sends it one packet with body, and returns
// its whole answer.
func askVassal(t *testing.T, uwsgi, app string, packet []byte) string {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "app.sock")
	cmd := exec.Command(uwsgi, "--plugin", "python3", "--need-app", "--socket", socket, "--wsgi-file", app)
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := make(chan string, 1000)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(log); s.Scan(); {
			lines <- s.Text()
		}
	}()
	defer func() {
		cmd.Process.Kill()
		for range lines {
		}
		cmd.Wait()
	}()
	var said strings.Builder
	for line := range lines {
		said.WriteString(line + "\n")
		if strings.Contains(line, "spawned uWSGI worker 1") {
			break
		}
	}
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatalf("vassal does not listen: %v; it said:\n%s", err, said.String())
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := conn.Write(packet); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	return string(answer)
}
