package probe

import (
	"context"
	"emperor/vassal/clock"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

const fpmPool = `[global]
[site]
listen = LISTEN
pm = static
pm.max_children = 1
ping.path = /ping
`

// TestPHP: a path that is PHP-FPM's own, a script, and one that is the front
// controller's business, each with what it says of its health.
func TestPHP(t *testing.T) {
	dir := t.TempDir()
	socket := filepath.Join(dir, "s")
	for name, text := range map[string]string{
		"pool.conf": strings.ReplaceAll(fpmPool, "LISTEN", socket), "site/well.php": "<?php echo 'well';", "site/ill.php": "<?php http_response_code(503);",
		"front/index.php": "<?php http_response_code($_SERVER['REQUEST_URI'] === '/well' ? 200 : 500);",
	} {
		_ = os.Mkdir(filepath.Join(dir, filepath.Dir(name)), 0o755)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	fpm := exec.Command("php-fpm8.2", "--nodaemonize", "--allow-to-run-as-root", "--fpm-config", filepath.Join(dir, "pool.conf"))
	if err := fpm.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = fpm.Process.Signal(syscall.SIGTERM); _ = fpm.Wait() }()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	for Ask(ctx, "unix", socket, "fastcgi", "", "") != nil && clock.Sleep(ctx, clock.System{}, 20e6) {
	}
	for _, test := range []struct{ root, path, want string }{
		{"front", "/ping", ""}, // which the front controller does not know
		{"site", "/well.php?full=1", ""},
		{"site", "/ill.php", "/ill.php is answered with status 503"},
		{"site", "/other", ""}, // there is no front controller that would know it
		{"front", "/well", ""},
		{"front", "/ill?full=1", "/ill?full=1 is answered with status 500"},
	} {
		err := Ask(ctx, "unix", socket, "fastcgi", filepath.Join(dir, test.root), test.path)
		if test.want == "" && err != nil || test.want != "" && (err == nil || err.Error() != test.want) {
			t.Errorf("%s of %s: %v, want %q", test.path, test.root, err, test.want)
		}
	}
}
