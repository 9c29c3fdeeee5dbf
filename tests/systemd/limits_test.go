//go:build systemd

package systemd

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// unitGroup is the service's control group.
const unitGroup = "/sys/fs/cgroup/system.slice/emperor.service"

// groups are those of sites below it.
func groups(t *testing.T, site string) []string {
	t.Helper()
	found, err := filepath.Glob(unitGroup + "/" + site + "@*")
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// TestGroups: each generation of a site with limits has a group of its own in what
// systemd has handed over; it goes with everything in it; and a crash and a restart find
// their way although groups were left.
func TestGroups(t *testing.T) {
	install(t, map[string]string{"one": "pids-max = 100\n", "two": ""})
	must(t, "systemctl", "start", "emperor.socket", "emperor.service")
	if got := groups(t, "one"); len(got) != 1 {
		t.Fatalf("the site's groups are %v", got)
	}
	if got := line(page(t, "one", "/proc"), "0:"); !strings.Contains(got, "/one@1-") {
		t.Errorf("the site is in %s", got)
	}
	page(t, "one", "/orphan")
	must(t, program, "restart", "one")
	eventually(t, "only the new generation has a group", func() bool {
		got := groups(t, "one")
		return len(got) == 1 && strings.Contains(got[0], "one@2-")
	})
	if out, err := command("pgrep", "-a", "sleep"); err == nil {
		t.Errorf("the first generation has left %s", out)
	}
	must(t, program, "stop", "one")
	eventually(t, "no group is left", func() bool { return len(groups(t, "one")) == 0 })
	must(t, program, "start", "one")
	page(t, "one", "/")
	must(t, "systemctl", "reload", "emperor.service")
	must(t, "kill", "-KILL", property(t, "MainPID"))
	page(t, "one", "/")
	eventually(t, "all is well again", func() bool { return property(t, "SubState") == "running" })
	if got := groups(t, "one"); len(got) != 1 {
		t.Errorf("after a crash the site's groups are %v", got)
	}
	must(t, "systemctl", "restart", "emperor.service")
	page(t, "one", "/")
	must(t, "systemctl", "stop", "emperor.socket", "emperor.service")
	if _, err := os.Stat(unitGroup); err == nil {
		t.Errorf("%s is still there", unitGroup)
	}
}

// TestNotHandedOver: without Delegate=yes nothing is touched, and it is said.
func TestNotHandedOver(t *testing.T) {
	install(t, map[string]string{"one": "pids-max = 100\n", "two": ""}, "Delegate=no")
	must(t, "systemctl", "start", "emperor.service")
	page(t, "one", "/")
	if got := groups(t, "one"); len(got) != 0 {
		t.Errorf("groups were made: %v", got)
	}
	const want = "the unit needs Delegate=yes"
	if said := must(t, program, "check", "/etc/emperor/emperor.ini"); !strings.Contains(said, want) {
		t.Errorf("emperor check does not say so:\n%s", said)
	}
	if said := journal(t, "_SYSTEMD_INVOCATION_ID="+property(t, "InvocationID")); strings.Count(said, want) != 1 {
		t.Errorf("the log does not say it once:\n%s", said)
	}
}

// TestLimitsMemory: a site that eats memory is killed alone.
func TestLimitsMemory(t *testing.T) {
	install(t, map[string]string{"one": "memory-max = 64M\n", "two": "memory-max = 200M\n"})
	must(t, "systemctl", "start", "emperor.socket", "emperor.service")
	main, two := property(t, "MainPID"), page(t, "two", "/")
	if said := must(t, program, "check", "/etc/emperor/emperor.ini"); !strings.Contains(said, "memory-max 67108864") {
		t.Errorf("emperor check says\n%s", said)
	}
	stop := load("two")
	one := page(t, "one", "/")
	if out, err := get(fresh, "one", "/eat?amount=500"); err == nil {
		t.Errorf("a site with 64 MiB has eaten %s MiB", out)
	}
	eventually(t, "the site is up again", func() bool {
		now, err := get(fresh, "one", "/")
		return err == nil && now != one
	})
	if answered, failed := stop(); answered < 10 || len(failed) > 0 {
		t.Errorf("%d requests to the neighbour were answered; failed: %v", answered, failed)
	}
	if property(t, "MainPID") != main || page(t, "two", "/") != two {
		t.Error("others were ended, too")
	}
	why := must(t, program, "why", "one")
	t.Log(why)
	if !strings.Contains(why, "memory-max is reached") {
		t.Errorf("emperor why does not say that it was the memory:\n%s", why)
	}
}

// TestLimitsProcesses: a fork bomb is held, and hurts only its own site.
func TestLimitsProcesses(t *testing.T) {
	install(t, map[string]string{"one": "pids-max = 40\n", "two": ""})
	must(t, "systemctl", "start", "emperor.socket", "emperor.service")
	forked, err := strconv.Atoi(page(t, "one", "/fork?amount=500"))
	if err != nil || forked < 5 || forked >= 40 {
		t.Errorf("a site with 40 processes has forked %d (%v)", forked, err)
	}
	if more := page(t, "two", "/fork?amount=100"); more != "100" {
		t.Errorf("its neighbour can only fork %s", more)
	}
	must(t, program, "stop", "one")
	eventually(t, "all of it is gone", func() bool { return len(groups(t, "one")) == 0 })
}

// TestLimitsProcessor: a site gets no more of it than its share.
func TestLimitsProcessor(t *testing.T) {
	install(t, map[string]string{"one": "cpu-max = 0.3\n"})
	must(t, "systemctl", "start", "emperor.socket", "emperor.service")
	percent, err := strconv.Atoi(page(t, "one", "/spin?amount=4"))
	if err != nil || percent > 45 {
		t.Errorf("a site with 0.3 processors took %d%% (%v)", percent, err)
	}
	t.Logf("%d%%", percent)
}

// TestLimitsSurviveUpgrade: groups are the next binary's, with what is in force.
func TestLimitsSurviveUpgrade(t *testing.T) {
	install(t, map[string]string{"one": "memory-max = 64M\npids-max = 40\n"})
	must(t, "systemctl", "start", "emperor.socket", "emperor.service")
	one, had := page(t, "one", "/"), groups(t, "one")
	copyFile(t, library+"emperor-next", program)
	must(t, program, "upgrade")
	if now := page(t, "one", "/"); now != one {
		t.Errorf("the site's process is %s, was %s", now, one)
	}
	if now := groups(t, "one"); len(had) != 1 || len(now) != 1 || now[0] != had[0] {
		t.Errorf("the site's groups are %v, were %v", now, had)
	}
	must(t, program, "stop", "one")
	eventually(t, "no group is left", func() bool { return len(groups(t, "one")) == 0 })
}
