package proc_test

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"emperor/internal/proc"
)

// shell is a command whose script the shell runs.
func shell(script string) *proc.Command {
	return &proc.Command{Name: "site", Generation: 1, Path: "/bin/sh", Args: []string{"sh", "-c", script}, Env: []string{"PATH=/usr/bin:/bin"}, Umask: -1}
}

// TestRestrictions: what a child is left with is what the kernel says of it.
func TestRestrictions(t *testing.T) {
	s := newStarter(t, "mark")
	root := os.Geteuid() == 0
	bind := parse(t, "net_bind_service")
	nobody := &proc.Credential{UID: 65534, GID: 65534, Groups: []uint32{65534}}
	for _, test := range []struct {
		name   string
		r      proc.Restrictions
		as     *proc.Credential
		script string
		want   string
		asRoot bool
	}{
		{"nothing", proc.Restrictions{}, nil, "grep NoNewPrivs /proc/self/status", "NoNewPrivs:\t0\n", false},
		{"no new privileges", proc.Restrictions{NoNewPrivileges: true}, nil, "grep NoNewPrivs /proc/self/status", "NoNewPrivs:\t1\n", false},
		{"limits", proc.Restrictions{Limits: []proc.Limit{
			{Name: "rlimit-nofile", Resource: unix.RLIMIT_NOFILE, Soft: 100, Hard: 200},
			{Name: "rlimit-core", Resource: unix.RLIMIT_CORE},
			{Name: "limit-as", Resource: unix.RLIMIT_AS, Soft: 64 << 20, Hard: 64 << 20},
		}}, nil, "ulimit -Sn; ulimit -Hn; ulimit -c; ulimit -v", "100\n200\n0\n65536\n", false},
		{"a limit that may only be lowered", proc.Restrictions{Limits: []proc.Limit{
			{Name: "rlimit-nofile", Resource: unix.RLIMIT_NOFILE, Soft: hardFiles(t) + 1, Hard: hardFiles(t) + 1, LowerOnly: true},
		}}, nil, "test $(ulimit -Hn) -eq " + fmt.Sprint(hardFiles(t)) + " && echo same", "same\n", false},
		{"bounded", proc.Restrictions{Bounded: true, Bounding: bind}, nil,
			"grep -E 'CapPrm|CapBnd' /proc/self/status", "CapPrm:\t0000000000000400\nCapBnd:\t0000000000000400\n", true},
		{"granted to a user", proc.Restrictions{Bounded: true, Bounding: bind, Granted: bind, NoNewPrivileges: true}, nobody,
			"id -u; grep -E 'CapEff|CapBnd|CapAmb' /proc/self/status", "65534\nCapEff:\t0000000000000400\nCapBnd:\t0000000000000400\nCapAmb:\t0000000000000400\n", true},
		{"a user has none", proc.Restrictions{}, nobody, "grep -E 'CapEff|CapPrm' /proc/self/status", "CapPrm:\t0000000000000000\nCapEff:\t0000000000000000\n", true},
	} {
		if test.asRoot && !root {
			continue
		}
		c := shell(test.script)
		c.Restrictions, c.Credential = test.r, test.as
		if got, exit := output(t, s, c); got != test.want {
			t.Errorf("%s: got %q, want %q (%s)", test.name, got, test.want, exit)
		}
	}
}

// TestRestrictionsThatCannotBeHad: the program is not started without them.
func TestRestrictionsThatCannotBeHad(t *testing.T) {
	s := newStarter(t, "mark")
	for _, test := range []struct {
		name, want string
		r          proc.Restrictions
	}{
		{"no such group", "entering the control group /nowhere: no such file or directory", proc.Restrictions{Group: "/nowhere"}},
		{"a limit above ours", "", proc.Restrictions{Limits: []proc.Limit{{Name: "rlimit-nofile", Resource: unix.RLIMIT_NOFILE, Soft: 50, Hard: hardFiles(t) + 1}}}},
		{"no such limit", "rlimit-odd: invalid argument", proc.Restrictions{Limits: []proc.Limit{{Name: "rlimit-odd", Resource: 99}}}},
	} {
		c := shell("ulimit -Hn")
		c.Restrictions = test.r
		if test.want == "" { // who may raise limits gets it
			test.want = fmt.Sprintf("rlimit-nofile: the limit of the emperor itself is %d, and only root with the capability sys_resource may raise it", hardFiles(t))
			if mayRaise(t) {
				if got, _ := output(t, s, c); got != fmt.Sprintln(hardFiles(t)+1) {
					t.Errorf("%s: got %q", test.name, got)
				}
				continue
			}
		}
		p, err := s.Start(testContext(t), c)
		if err == nil {
			<-p.Done()
			t.Errorf("%s: it was started", test.name)
		} else if !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
	}
}

func TestParseCapabilities(t *testing.T) {
	for text, want := range map[string]string{
		"setuid":                       "setuid",
		"net_bind_service, CAP_SETUID": "setuid,net_bind_service",
		"chown,checkpoint_restore":     "chown,checkpoint_restore",
		"cap_chown,all":                `there is no capability "all"`,
		"":                             `there is no capability ""`,
	} {
		got := ""
		if set, err := proc.ParseCapabilities(text); err != nil {
			got = err.Error()
		} else {
			got = set.String()
		}
		if !strings.HasPrefix(got, want) {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
	if got := parse(t, "setuid,net_bind_service") | proc.SetPCap; got != 0x580 {
		t.Errorf("uWSGI's emperor-cap = setuid,net_bind_service leaves %#x, want 0x580", uint64(got))
	}
}

func parse(t *testing.T, list string) proc.Capabilities {
	t.Helper()
	set, err := proc.ParseCapabilities(list)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func hardFiles(t *testing.T) uint64 {
	t.Helper()
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		t.Fatal(err)
	}
	return l.Max
}

// mayRaise tells whether hard limits may be raised here.
func mayRaise(t *testing.T) bool {
	t.Helper()
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		t.Fatal(err)
	}
	return data[0].Effective&(1<<unix.CAP_SYS_RESOURCE) != 0
}
