package emperor

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"emperor/emperor/control"
	"emperor/vassal"
)

// TestChronicle: what becomes of a vassal, as events and as the times that the stats
// have.
func TestChronicle(t *testing.T) {
	now := time.Unix(1000, 0)
	c := newChronicle(func() time.Time { return now })
	see := func(at int64, s vassal.Status) life {
		now = time.Unix(at, 0)
		s.Name = "site"
		c.see(s)
		return c.past()["site"]
	}
	see(1000, vassal.Status{State: vassal.Starting, Starting: 1, Reason: "its file is new or was changed"})
	see(1001, vassal.Status{State: vassal.Starting, Starting: 1, StartingPIDs: []int{7}})
	see(1002, vassal.Status{State: vassal.Ready, Generation: 1, PIDs: []int{7}})
	see(1003, vassal.Status{State: vassal.Ready, Generation: 1, PIDs: []int{7}, Loyal: true})
	see(1004, vassal.Status{State: vassal.Reloading, Generation: 1, PIDs: []int{7}, Loyal: true, Starting: 2})
	l := see(1005, vassal.Status{State: vassal.Ready, Generation: 2, PIDs: []int{8}})
	if l.firstRun.Unix() != 1000 || l.lastRun.Unix() != 1004 || l.ready.Unix() != 1005 || l.loyal.Unix() != 1003 || l.respawns != 1 || l.failures != 0 {
		t.Errorf("%+v", l)
	}
	see(1006, vassal.Status{State: vassal.Ready, Generation: 2, PIDs: []int{8}, Problem: "generation 3 did not come up: no"})
	see(1007, vassal.Status{State: vassal.Ready, Generation: 2, PIDs: []int{8}, Problem: "generation 3 did not come up: no", Paused: true})
	see(1008, vassal.Status{State: vassal.Failed, Reason: "exit status 1"})
	see(1009, vassal.Status{State: vassal.Starting, Starting: 4})
	if l = see(1010, vassal.Status{State: vassal.Failed, Reason: "exit status 1"}); l.failures != 2 || l.firstFailure.Unix() != 1008 || l.lastFailure.Unix() != 1010 || !l.onProbation() {
		t.Errorf("after two failures: %+v", l)
	}
	see(1011, vassal.Status{State: vassal.Starting, Starting: 5})
	if l = see(1012, vassal.Status{State: vassal.Ready, Generation: 5}); l.onProbation() {
		t.Error("it is ready, and on probation")
	}
	if l = see(1030, vassal.Status{State: vassal.Failed}); l.failures != 1 {
		t.Errorf("%d failures after a healthy time, want 1", l.failures)
	}
	if l = see(1031, vassal.Status{State: vassal.Leaving}); l.cursed.Unix() != 1031 {
		t.Errorf("cursed at %v", l.cursed)
	}
	see(1032, vassal.Status{State: vassal.Gone})
	if len(c.past()) != 0 {
		t.Error("it is gone, and remembered")
	}
	var got []string
	for e := range c.events(t.Context(), false) {
		text := e.From + ">" + e.State
		if e.Problem != "" {
			text += "!"
		}
		got = append(got, text)
	}
	want := []string{">starting", "starting>ready", "ready>loyal", "loyal>reloading", "reloading>ready", "ready>ready!", "ready>paused", "paused>failed",
		"failed>starting", "starting>failed", "failed>starting", "starting>ready", "ready>failed", "failed>leaving", "leaving>gone"}
	if !slices.Equal(got, want) {
		t.Errorf("events\n%q, want\n%q", got, want)
	}
}

// TestSlowFollower: whoever does not read loses events and holds up nobody; the last
// ones are kept for who comes later.
func TestSlowFollower(t *testing.T) {
	c := newChronicle(time.Now)
	slow := make(chan control.Event)
	c.followers[slow] = true
	for range keptEvents + 5 {
		c.say("something")
	}
	c.say("the last")
	var last control.Event
	count := 0
	for e := range c.events(t.Context(), false) {
		last = e
		count++
	}
	if count != keptEvents || last.Text != "the last" {
		t.Errorf("%d events are kept, the last is %+v", count, last)
	}
	for e := range c.events(t.Context(), true) {
		if e.Text == "the last" {
			break
		}
	}
	if len(c.followers) != 1 {
		t.Error("a follower that went away is still told")
	}
}

func TestStatsText(t *testing.T) {
	o := object{}.with("version", "1\"x").with("n", int64(-1)).with("list", []string{"a", "b"}).with("none", []object{}).
		with("all", []object{object{}.with("id", "x").with("pids", []int64{1, 2})}).with("one", object{})
	want := "{\n\t\"version\":\"1\\\"x\",\n\t\"n\":-1,\n\t\"list\":[\n\t\t\"a\",\n\t\t\"b\"\n\t],\n\t\"none\":[\n\t],\n\t\"all\":[\n\t\t{\n\t\t\t\"id\":\"x\",\n\t\t\t\"pids\":[\n\t\t\t\t1,\n\t\t\t\t2\n\t\t\t]\n\t\t}\n\t],\n\t\"one\":{\n\t}\n}"
	if got := string(statsText(o, false)); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	minified := string(statsText(o, true))
	if minified != `{"version":"1\"x","n":-1,"list":["a","b"],"none":[],"all":[{"id":"x","pids":[1,2]}],"one":{}}` || !json.Valid([]byte(minified)) {
		t.Errorf("minified: %s", minified)
	}
}
