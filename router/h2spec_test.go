package router

import (
	"encoding/xml"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// unmet are the cases of h2spec that do not come out as it wants, and why that stays so.
// Where a case is not met in clear only, it is named so.
var unmet = map[string]string{
	"http2/6.5.3 Sends multiple values of SETTINGS_INITIAL_WINDOW_SIZE":                                          "net/http ends a connection whose SETTINGS frame names a setting twice: no client does that, attackers do",
	"http2/8.1.2.2 Sends a HEADERS frame that contains the connection-specific header field":                     "net/http refuses the request by answering it 400, not by resetting the stream",
	`http2/8.1.2.2 Sends a HEADERS frame that contains the TE header field with any value other than "trailers"`: "the same",
	"in clear: http2/3.5 Sends invalid connection preface":                                                       "the port speaks HTTP/1.1 as well: what is not the preface is an HTTP/1.1 request, and answered 400",
}

// TestHTTP2Conformance: all cases of h2spec, the strict ones too, over TLS and in clear
// with prior knowledge.
func TestHTTP2Conformance(t *testing.T) {
	t.Parallel() // it waits most of the time
	const cases = 146
	v := uwsgiVassal(t, func(c *call) {
		c.readBody()
		c.say("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n" + strings.Repeat("0123456789", 20)) // longer than the windows it opens
	})
	for _, plain := range []bool{false, true} {
		f := newFront(t, "http-to = "+v.address)
		arguments, prefix := []string{"--tls", "--insecure"}, ""
		if plain {
			arguments, prefix = nil, "in clear: "
		} else {
			f.secured("http-to = " + v.address)
		}
		failed := h2spec(t, f.tcp.Addr(), cases, arguments...)
		for name := range failed {
			if unmet[name] == "" && (!plain || unmet[prefix+name] == "") {
				t.Errorf("%s%s", prefix, name)
			}
		}
		for name := range unmet {
			of, inClear := strings.CutPrefix(name, "in clear: ")
			if (plain || !inClear) && !failed[of] {
				t.Errorf("%s%s is met: strike it off the list", prefix, of)
			}
		}
		t.Logf("%s%d of %d", prefix, cases-len(failed), cases)
	}
}

// h2spec runs so many cases against an address, and returns those that failed.
func h2spec(t *testing.T, address net.Addr, cases int, arguments ...string) (failed map[string]bool) {
	t.Helper()
	_, port, _ := net.SplitHostPort(address.String())
	file := t.TempDir() + "/report.xml"
	command := exec.Command("go", append([]string{"tool", "-modfile=../tools/go.mod", "h2spec", "--strict", "--timeout", "5", "--port", port, "--junit-report", file}, arguments...)...)
	output, err := command.CombinedOutput() // it exits with 1 where a case fails
	text, unread := os.ReadFile(file)
	if unread != nil {
		t.Fatalf("%v: %v\n%s", command, err, output)
	}
	type outcome struct{}
	var report struct {
		Cases []struct {
			Section string   `xml:"package,attr"`
			Name    string   `xml:"classname,attr"`
			Failure *outcome `xml:"failure"`
			Error   *outcome `xml:"error"`
			Skipped *outcome `xml:"skipped"`
		} `xml:"testsuite>testcase"`
	}
	if err := xml.Unmarshal(text, &report); err != nil {
		t.Fatal(err)
	}
	if len(report.Cases) != cases {
		t.Errorf("h2spec ran %d cases, want %d", len(report.Cases), cases)
	}
	failed = map[string]bool{}
	for _, c := range report.Cases {
		if c.Failure != nil || c.Error != nil || c.Skipped != nil {
			failed[c.Section+" "+c.Name] = true
		}
	}
	if t.Failed() {
		t.Logf("%s", output)
	}
	return failed
}
