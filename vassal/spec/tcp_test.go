package spec

import (
	"strconv"
	"strings"
	"testing"

	"emperor/internal/link"
)

// TestTCPOptions: which lines mean something beside protocol = tcp, and which can't.
func TestTCPOptions(t *testing.T) {
	for _, test := range []struct{ lines, want string }{
		{"socket = DIR/s\n", ""},
		{"port = auto\n", ""},
		{"", ""},
		{"socket = DIR/s\nhttp-socket = DIR/h\n", ""},
		{"socket = DIR/s\nhealth-path = /up\n", `site.ini:5: health-path: a path can only be asked for where requests are spoken, and protocol = tcp (site.ini:2) says that nothing is known of it`},
		{"port = auto\nready-path = /up\n", `site.ini:5: ready-path: a path can only`},
		{"socket = DIR/s\nharakiri = 3\n", `site.ini:5: warning: harakiri: no effect: it is about requests, and protocol = tcp (site.ini:2)`},
		{"socket = DIR/s\ndocument-root = DIR\n", "only a program that speaks FastCGI or SCGI is told files"},
	} {
		spec, problems, dir := readText(t, "site.ini", "[uwsgi]\nprotocol = tcp\ncommand = x\n"+test.lines, nil)
		said := problems.String()
		if test.want == "" && (said != "" || spec == nil) || !strings.Contains(strings.ReplaceAll(said, dir+"/", ""), test.want) {
			t.Errorf("%q: want %q, got %q", test.lines, test.want, said)
		}
		if is := strings.Contains(test.want, "no effect"); spec == nil && is || spec != nil && !is && test.want != "" {
			t.Errorf("%q: usable %s", test.lines, strconv.FormatBool(spec != nil))
		}
	}
	spec, problems, dir := readText(t, "site.ini", "[uwsgi]\nprotocol = tcp\ncommand = x\nsocket = DIR/s\nhttp-socket = DIR/h\n", nil)
	if spec == nil {
		t.Fatal(problems)
	}
	if got := spec.Addresses(); len(got) != 2 || got[0] != (link.Address{Address: dir + "/s", Protocol: "tcp"}) || got[1] != (link.Address{Address: dir + "/h", Protocol: "http"}) {
		t.Errorf("addresses %+v", got)
	}
}
