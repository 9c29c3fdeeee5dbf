package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// pool is PHP-FPM's configuration; LISTEN stands for its socket.
const pool = `[global]
[site]
listen = LISTEN
user = nobody
group = nogroup
listen.mode = 0666
pm = static
pm.max_children = 4
php_admin_value[post_max_size] = 64M
`

// phpVassal is a site of PHP as a vassal.
const phpVassal = `
socket = DIR/%n.sock
protocol = fastcgi
document-root = DIR/site
command = php-fpm8.2 --nodaemonize --fpm-config DIR/pool.conf
`

// phpMachine has a site of PHP, not run by anything yet.
func phpMachine(t *testing.T) *machine {
	t.Helper()
	m := newMachine(t)
	m.copyFile("testdata/apps/index.php", "site/index.php")
	m.write("site/RELEASE", "0")
	m.write("site/style.css", "body {}")
	m.write("site/shop/index.php", "<?php echo 'shop ', $_SERVER['PATH_INFO'] ?? '';")
	m.write("site/upload/x.jpg", "<?php echo 'an upload was run';")
	m.write("pool.conf", strings.ReplaceAll(pool, "LISTEN", "/dev/fd/3"))
	m.rules(byName)
	return m
}

// vars are what $_SERVER was for a request.
func (m *machine) vars(host, path string) (vars map[string]any) {
	m.t.Helper()
	if err := json.Unmarshal([]byte(m.page(host, path)), &vars); err != nil {
		m.t.Fatal(err)
	}
	return vars
}

// TestPHP: a site of PHP-FPM, as a vassal and by a rule that names its socket.
func TestPHP(t *testing.T) {
	t.Parallel()
	t.Run("vassal", func(t *testing.T) {
		t.Parallel()
		m := phpMachine(t)
		m.vassal("php", phpVassal)
		m.start()
		m.waitReady()
		m.wantPHP()
		for path, want := range map[string]string{
			"/style.css": "body {}", "/shop/": "shop ", "/upload/x.jpg": "<?php echo 'an upload was run';", // as it is, as with any web server
		} {
			if got := m.page("php.test", path); got != want {
				t.Errorf("%s: %q, want %q", path, got, want)
			}
		}
		for _, path := range []string{"/upload/x.jpg/y.php", "/upload/x.jpg/", "/blog/2026/", "/none.php"} {
			if got := m.page("php.test", path); !strings.HasPrefix(got, "release 0 ") {
				t.Errorf("%s: %q, want the front controller", path, got)
			}
		}
		if status, body, err := m.get("php.test", "/shop"); status != 301 || err != nil {
			t.Errorf("/shop: %d %q %v", status, body, err)
		}
		m.waitLog(0, "php: the program's error output", "PHP message: a line for the log")
		m.stop()
	})
	t.Run("rule", func(t *testing.T) {
		t.Parallel()
		m := phpMachine(t)
		socket := m.path("fpm.sock")
		m.write("pool.conf", strings.ReplaceAll(pool, "LISTEN", socket))
		fpm := exec.Command("php-fpm8.2", "--nodaemonize", "--fpm-config", m.path("pool.conf"))
		var output bytes.Buffer
		fpm.Stdout, fpm.Stderr = &output, &output
		if err := fpm.Start(); err != nil {
			t.Fatal(err)
		}
		defer func() { // PHP-FPM ends its workers
			_ = fpm.Process.Signal(os.Interrupt)
			_ = fpm.Wait()
		}()
		m.eventually("PHP-FPM has made its socket", func() bool { _, err := os.Stat(socket); return err == nil })
		// The files of the site beside the scripts, as nginx's try_files does it.
		m.rules(strings.NewReplacer("DIR", m.dir, "SOCKET", socket).Replace(`
route-run = setdocroot:DIR/site
route = \.php(/|$) fastcgi:SOCKET
route-if = isfile:DIR/site${PATH_INFO} static:DIR/site${PATH_INFO}
route-run = fastcgi:SOCKET
`))
		m.start()
		m.waitReady()
		m.wantPHP()
		for path, want := range map[string]string{"/style.css": "body {}", "/shop/": "shop "} {
			if got := m.page("php.test", path); got != want {
				t.Errorf("%s: %q, want %q", path, got, want)
			}
		}
		for _, path := range []string{"/blog/2026/", "/none.php"} {
			if got := m.page("php.test", path); !strings.HasPrefix(got, "release 0 ") {
				t.Errorf("%s: %q, want the front controller", path, got)
			}
		}
		// PHP-FPM itself refuses to run what does not end in .php.
		if status, body, err := m.get("php.test", "/upload/x.jpg/y.php"); status != 403 || strings.Contains(body, "was run") || err != nil {
			t.Errorf("an upload: %d %q %v", status, body, err)
		}
		m.waitLog(0, "the program's error output", "PHP message: a line for the log", "fastcgi:"+socket)
		m.stop()
	})
}

// wantPHP is what both have to do.
func (m *machine) wantPHP() {
	t := m.t
	t.Helper()
	vars := m.vars("php.test", "/vars?a=b&c")
	for name, want := range map[string]any{
		"SCRIPT_FILENAME": m.path("site/index.php"), "SCRIPT_NAME": "/index.php", "PHP_SELF": "/index.php", "DOCUMENT_ROOT": m.path("site"),
		"REQUEST_URI": "/vars?a=b&c", "QUERY_STRING": "a=b&c", "REQUEST_METHOD": "GET", "CONTENT_LENGTH": "", "GATEWAY_INTERFACE": "CGI/1.1",
		"REQUEST_SCHEME": "http", "SERVER_NAME": "php.test", "SERVER_SOFTWARE": "emperor", "REDIRECT_STATUS": "200", "REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "php.test",
	} {
		if vars[name] != want {
			t.Errorf("%s is %v, want %v", name, vars[name], want)
		}
	}
	if https, ok := vars["HTTPS"]; ok {
		t.Errorf("HTTPS is %v", https)
	}

	// Large bodies, with and without their length.
	body := bytes.Repeat([]byte("0123456789abcdef"), 10<<20/16)
	for _, reader := range []io.Reader{bytes.NewReader(body), io.MultiReader(bytes.NewReader(body))} {
		request, err := http.NewRequest(http.MethodPost, "http://"+m.address()+"/echo", reader)
		if err != nil {
			t.Fatal(err)
		}
		request.Host = "php.test"
		transport := &http.Transport{DisableKeepAlives: true}
		response, err := transport.RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if response.StatusCode != 200 || err != nil || sha256.Sum256(got) != sha256.Sum256(body) {
			t.Errorf("a body of 10 MiB (announced: %v): %d, %d bytes, %v", request.ContentLength > 0, response.StatusCode, len(got), err)
		}
	}

	if status, text, err := m.get("php.test", "/fault"); status != 500 || text != "broken" || err != nil {
		t.Errorf("/fault: %d %q %v", status, text, err)
	}
	// A worker that dies in its answer: the client sees that it is not whole.
	if status, text, err := m.get("php.test", "/crash"); err == nil {
		t.Errorf("/crash looks whole: %d, %d bytes", status, len(text))
	}
	if got := m.page("php.test", "/"); !strings.HasPrefix(got, "release 0 ") {
		t.Errorf("after the crash: %q", got)
	}
}

// TestNoRequestFailsInDeploysOfPHP deploys a site of PHP over and over: each time
// another PHP-FPM takes over.
func TestNoRequestFailsInDeploysOfPHP(t *testing.T) {
	t.Parallel()
	m := phpMachine(t)
	m.vassal("php", phpVassal)
	m.start()
	visitors := m.visitors("php.test")
	deploys := fromEnvironment(t, "EMPEROR_DEPLOYS", 4)
	for release := 1; release <= deploys; release++ {
		slow := make(chan error, 1)
		go func() { // awaited below
			text, err := once(m.address(), "php.test", "GET", "/slow?s=2", nil)
			if err == nil && !strings.HasSuffix(text, "done") {
				err = fmt.Errorf("it ends with %q", text[max(0, len(text)-10):])
			}
			slow <- err
		}()
		before := m.masters()
		m.write("site/RELEASE", fmt.Sprint(release))
		m.vassal("php", phpVassal+fmt.Sprintf("; release %d\n", release))
		m.untilRelease("php.test", fmt.Sprint(release))
		m.eventually("another PHP-FPM runs, and the one before has ended", func() bool {
			now := m.masters()
			return len(now) == 1 && len(before) == 1 && now[0] != before[0]
		})
		if err := <-slow; err != nil {
			t.Errorf("a request of 2 s during deploy %d: %v", release, err)
		}
	}
	report(t, visitors, fmt.Sprintf("%d deploys of PHP-FPM", deploys))
	m.stop()
}

// masters are the PHP-FPM masters that run. (They write their name over their
// environment, by which other processes are found.)
func (m *machine) masters() (pids []int) {
	m.t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		m.t.Fatal(err)
	}
	for _, file := range files {
		words, _ := os.ReadFile(file)
		var pid int
		if _, err := fmt.Sscanf(file, "/proc/%d/", &pid); err == nil && strings.HasPrefix(string(words), "php-fpm: master process ("+m.dir+"/") {
			pids = append(pids, pid)
		}
	}
	return pids
}

// TestPHPOnItsPort: a pool that listens on a port needs nothing of the emperor's
// but the number.
func TestPHPOnItsPort(t *testing.T) {
	t.Parallel()
	m := phpMachine(t)
	m.put(m.path("pool.conf"), strings.ReplaceAll(pool, "LISTEN", "127.0.0.1:${PORT}"))
	m.vassal("php", "port = auto\n"+strings.ReplaceAll(phpVassal, "socket = DIR/%n.sock\n", ""))
	m.start()
	visitors := m.visitors("php.test")
	for release := 1; release <= 2; release++ {
		m.write("site/RELEASE", fmt.Sprint(release))
		m.vassal("php", fmt.Sprintf("port = auto\n%s; release %d\n", strings.ReplaceAll(phpVassal, "socket = DIR/%n.sock\n", ""), release))
		m.untilRelease("php.test", fmt.Sprint(release))
	}
	report(t, visitors, "2 deploys of PHP-FPM on ports")
	m.stop()
}

// TestDocumentRootThatNobodyMayRead: the router says who can't, and the vassal is
// not ready with it.
func TestDocumentRootThatNobodyMayRead(t *testing.T) {
	t.Parallel()
	m := phpMachine(t)
	if err := os.Chmod(m.path("site"), 0o700); err != nil {
		t.Fatal(err)
	}
	m.rules(byName + "http-hold-timeout = 1\n")
	m.vassal("php", phpVassal)
	if text, code := m.ask("check", "uwsgi.ini"); code != 1 || !strings.Contains(text, "php.ini:5: document-root: the router (user nobody) may not enter "+m.path("site")) {
		t.Errorf("check: %d %s", code, text)
	}
	m.start()
	m.waitLog(0, "php", m.path("site"), "may not enter")
	if status, _, err := m.get("php.test", "/"); status != 503 || err != nil {
		t.Errorf("%d %v", status, err)
	}
	m.stop()
}

// TestNothingOfPHPSurvives: PHP-FPM's workers outlive a master that is killed, hold
// its socket, and can't be told by their environment. When the emperor is killed
// they must be gone before the next one starts; when the master is, before it is
// started again.
func TestNothingOfPHPSurvives(t *testing.T) {
	t.Parallel()
	m := phpMachine(t)
	m.vassal("php", phpVassal)
	m.start()
	m.waitReady()
	worker := m.phpWorker()
	if err := syscall.Kill(m.masters()[0], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	m.untilGone(worker)
	worker = m.phpWorker()
	m.signal(syscall.SIGKILL)
	m.waitExit()
	m.untilGone(worker)
	m.start()
	if another := m.phpWorker(); another == worker {
		t.Errorf("worker %d answers still", worker)
	}
	m.stop()
}

// phpWorker waits for the site to answer and returns the process that does.
func (m *machine) phpWorker() (pid int) {
	m.t.Helper()
	m.eventually("PHP answers", func() bool {
		status, text, err := m.get("php.test", "/")
		_, scanned := fmt.Sscanf(text, "release 0 %d", &pid)
		return status == 200 && err == nil && scanned == nil
	})
	return pid
}
