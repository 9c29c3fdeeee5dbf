package control

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func before(d time.Duration) time.Time { return noon.Add(-d) }

func TestWriteStatus(t *testing.T) {
	for _, test := range []struct {
		name   string
		status Status
		want   string
	}{
		{
			name:   "nothing yet",
			status: Status{Version: "1.0", PID: 7, Since: noon},
			want:   "emperor 1.0, pid 7, up 0s\n\nno vassals\n",
		},
		{
			name: "all sorts",
			status: Status{
				Version: "1.0", PID: 7, Since: before(50 * time.Hour), Config: "/etc/emperor/emperor.ini",
				Problems: []string{"emperor.ini:3: route-host: missing closing )"},
				Router:   &RouterStatus{State: "ready", Since: before(90 * time.Second), PID: 8, Restarts: 1, Listeners: []string{":80", "[::1]:81"}, Reason: "restarted"},
				Vassals: []VassalStatus{
					{Name: "blog", State: "ready", Since: before(time.Hour), Generation: 2, PIDs: []int{11, 12, 13, 14}},
					{Name: "eu/shop", State: "failed", Since: before(3 * time.Second), Restarts: 4, Reason: "exit\tstatus 1", Retry: noon.Add(8 * time.Second)},
					{Name: "old", State: "loyal", Since: before(time.Minute), Generation: 1, PIDs: []int{9}, Problems: []string{"old.ini:1: want [uwsgi]", "more"}},
					{Name: "due", State: "failed", Retry: before(1)},
					{Name: "new", State: "starting", Since: before(time.Second), Starting: 1, StartingPIDs: []int{21}, Reason: "its file is new"},
					{Name: "www", State: "ready", Since: before(time.Second), Generation: 3, Folder: "/srv/www"},
					{Name: "wrong", State: "failed", Since: before(time.Second), Problems: []string{"wrong.ini:1: want [uwsgi]"}, Reason: "the file has mistakes"},
				},
			},
			want: `emperor 1.0, pid 7, up 2d02h, /etc/emperor/emperor.ini
router  ready for 1m30s, pid 8, 1 restart, listening on :80 [::1]:81 (restarted)
the last edit of the main file has mistakes and was not applied:
  emperor.ini:3: route-host: missing closing )

VASSAL   STATE     FOR    GEN  PIDS      RESTARTS  WHY
blog     ready     1h00m  2    11 12 +2  0
eu/shop  failed    3s     0    -         4         exit status 1; next try in 8s
old      loyal     1m00s  1    9         0         edit refused: old.ini:1: want [uwsgi]
due      failed    -      0    -         0         next try now
new      starting  1s     1    21        0         its file is new
www      ready     1s     3    -         0         static: /srv/www
wrong    failed    1s     0    -         0         wrong.ini:1: want [uwsgi]; the file has mistakes
`,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			var b bytes.Buffer
			if err := WriteStatus(&b, test.status, noon); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, b.String()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWriteWhy(t *testing.T) {
	for _, test := range []struct {
		name   string
		vassal VassalStatus
		want   string
	}{
		{
			name: "well",
			vassal: VassalStatus{Name: "blog", File: "/v/blog.ini", Kind: "command", State: "ready", Since: before(time.Hour),
				Generation: 2, PIDs: []int{4, 5}, Sockets: []string{"/run/blog.sock"}, Overlap: true,
				Hook: &HookFailure{At: before(time.Minute), How: "exec-as-emperor (main.ini:7): exit status 5"}},
			want: `blog: ready for 1h00m (since 2026-03-01 11:00:00)
  file        /v/blog.ini
  kind        command
  generation  2, pids 4 5
  hook failed 1m00s ago: exec-as-emperor (main.ini:7): exit status 5
  sockets     /run/blog.sock
`,
		},
		{
			name: "an edit went wrong",
			vassal: VassalStatus{Name: "shop", File: "/v/shop.ini", Kind: "uwsgi", KindReason: "module (shop.ini:2)", State: "failed", Since: before(2 * time.Second),
				Reason: "killed by SIGKILL", Generation: 3, PIDs: []int{6}, Restarts: 1, Retry: noon.Add(time.Minute), OverlapReason: "stats (shop.ini:9)",
				Problems: []string{"shop.ini:4: chdir: want a directory, got '/nowhere'"}, Warnings: []string{"shop.ini:5: warning: comand: there is no such option"}, Starting: 5, StartingPIDs: []int{7, 8},
				Failure: &Failure{Generation: 2, At: before(time.Minute), How: "exit status 1", Log: []LogLine{{Time: before(time.Minute), Generation: 2, Text: "its own"}}},
				Log: []LogLine{
					{Time: before(time.Minute), Generation: 2, Text: "its own"},
					{Time: before(time.Second), Stream: "stderr", Generation: 3, Text: "\x1b[31mTraceback\x1b[0m \x1b]0;title\a"},
					{Time: before(time.Second), Stream: "emperor", Text: ""},
					{Time: before(time.Second), Generation: 4, Text: "both streams"},
				}},
			want: `shop: failed for 2s (since 2026-03-01 11:59:58): killed by SIGKILL
  file        /v/shop.ini
  kind        uwsgi, by module (shop.ini:2)
  generation  3, pids 6
  starting    generation 5, pids 7 8
  restarts    1
  next try    in 1m00s
  overlap     no, by stats (shop.ini:9)

the last edit was not applied; what runs is from before it:
  shop.ini:4: chdir: want a directory, got '/nowhere'

in its file, perhaps not meant so:
  shop.ini:5: warning: comand: there is no such option

generation 2 failed 1m00s ago: exit status 1
  2026-03-01 11:59:00.000 gen 2: its own

last lines:
  2026-03-01 11:59:59.000 gen 3 stderr: Traceback \x1b]0;title\x07
  2026-03-01 11:59:59.000 emperor:
  2026-03-01 11:59:59.000 gen 4: both streams
`,
		},
		{
			name: "a folder",
			vassal: VassalStatus{Name: "www", File: "/v/www.ini", Kind: "static", KindReason: "static (www.ini:2)", State: "ready", Since: before(time.Hour),
				Generation: 2, Folder: "/srv/www", Sockets: []string{"static:/run/www.sock"}, Overlap: true},
			want: `www: ready for 1h00m (since 2026-03-01 11:00:00)
  file        /v/www.ini
  kind        static, by static (www.ini:2)
  folder      /srv/www
  generation  2, without a process
  for rules   /run/www.sock
`,
		},
		{
			name:   "never ran",
			vassal: VassalStatus{Name: "x", File: "/v/x.ini", State: "failed", Overlap: true, Problems: []string{"x.ini:1: no"}},
			want: `x: failed
  file        /v/x.ini
  generation  0, pids -

its file cannot be used as it is:
  x.ini:1: no
`,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			var b bytes.Buffer
			if err := WriteWhy(&b, test.vassal, noon); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, b.String()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWriteJSON(t *testing.T) {
	var b bytes.Buffer
	if err := WriteJSON(&b, VassalStatus{Name: "<a>", File: "/a.ini", Kind: "command", State: "ready", Since: noon}); err != nil {
		t.Fatal(err)
	}
	want := `{
  "name": "<a>",
  "file": "/a.ini",
  "kind": "command",
  "state": "ready",
  "since": "2026-03-01T12:00:00Z",
  "generation": 0,
  "restarts": 0,
  "overlap": false
}
`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Error(diff)
	}
}

func TestSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second:            "0s",
		1499 * time.Millisecond: "1s",
		59 * time.Second:        "59s",
		time.Hour - time.Second: "59m59s",
		25 * time.Hour:          "1d01h",
	} {
		if got := span(d); got != want {
			t.Errorf("span(%v) = %s, want %s", d, got, want)
		}
	}
}

func TestResolve(t *testing.T) {
	var vassals []VassalStatus
	for _, name := range []string{"blog", "eu/shop", "us/shop", "us/wiki", "api"} {
		vassals = append(vassals, VassalStatus{Name: name, File: "/etc/emperor/vassals.d/" + name + ".ini"})
	}
	for _, test := range []struct{ name, want, err string }{
		{name: "blog", want: "blog"},
		{name: "us/shop", want: "us/shop"},
		{name: "wiki", want: "us/wiki"},
		{name: "blog.ini", want: "blog"},
		{name: "vassals.d/blog.ini", want: "blog"},
		{name: "./vassals.d/blog.ini", want: "blog"},
		{name: "/etc/emperor/vassals.d/blog.ini", want: "blog"},
		{name: "shop", err: `"shop" could be eu/shop or us/shop`},
		{name: "shop.ini", err: `"shop.ini" could be eu/shop or us/shop`},
		{name: "blgo", err: `no vassal "blgo"; did you mean blog?`},
		{name: "wikki", err: `no vassal "wikki"; did you mean us/wiki?`},
		{name: "hop", err: `no vassal "hop"; did you mean eu/shop or us/shop?`},
		{name: "zzzzzz", err: `no vassal "zzzzzz"; there is api, blog, eu/shop, us/shop and us/wiki`},
		{name: "", err: `no vassal ""; there is api, blog, eu/shop, us/shop and us/wiki`},
	} {
		got, err := Resolve(test.name, vassals)
		text := ""
		if err != nil {
			text = err.Error()
		}
		if got != test.want || text != test.err {
			t.Errorf("Resolve(%q) = %q, %q\nwant %q, %q", test.name, got, text, test.want, test.err)
		}
	}
	if _, err := Resolve("a", nil); err == nil || err.Error() != `no vassal "a", there are none at all` {
		t.Errorf("without vassals: %v", err)
	}
}

func TestPath(t *testing.T) {
	exists := func(path string) bool { return path == "/run/user/7" }
	for _, test := range []struct {
		option  string
		uid     int
		runtime string
		want    string
	}{
		{"/x/y.sock", 0, "/run/user/7", "/x/y.sock"},
		{"none", 0, "", ""},
		{"", 0, "/run/user/7", "/run/emperor.sock"},
		{"", 7, "/run/user/7", "/run/user/7/emperor.sock"},
		{"", 7, "/run/user/8", "/tmp/emperor-7.sock"},
		{"", 7, "", "/tmp/emperor-7.sock"},
	} {
		if got := path(test.option, test.uid, test.runtime, exists); got != test.want {
			t.Errorf("path(%q, %d, %q) = %s, want %s", test.option, test.uid, test.runtime, got, test.want)
		}
	}
}
