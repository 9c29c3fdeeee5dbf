package emperor

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"emperor/emperor/control"
	"emperor/emperor/monitor"
)

// runningFrom is the status of an emperor that runs what a survey has found.
func runningFrom(m *Main, s *Survey) *control.Status {
	status := &control.Status{PID: 812, Config: m.Name(), Front: m.frontPrint(), Router: &control.RouterStatus{}}
	for _, l := range m.Front.Listeners {
		status.Router.Listeners = append(status.Router.Listeners, l.Option+" = "+l.Address)
	}
	for i := range s.Vassals {
		one := &s.Vassals[i]
		v := control.VassalStatus{Name: one.Name, File: one.File, State: "ready", Generation: 3, PIDs: []int{900 + i}}
		if one.Spec != nil {
			v.FilePrint, v.SpecPrint = filePrint(one.item.Stamp, monitor.FingerprintOf(one.includes)), one.Spec.Fingerprint()
			for _, a := range one.Spec.Addresses() {
				v.Sockets = append(v.Sockets, a.Protocol+":"+a.Address)
			}
		}
		status.Vassals = append(status.Vassals, v)
	}
	return status
}

func TestPlan(t *testing.T) {
	const text = "[uwsgi]\nemperor = *.vassal.ini\nhttp = :8080\nroute-host = a vassal:a\n"
	for _, test := range []struct {
		name   string
		change func(dir string, status *control.Status) (text string) // the main file, if it is another
		want   string
	}{
		{name: "nothing", want: "keep a.vassal: ready, generation 3\nkeep b.vassal: ready, generation 3\nfront false"},
		{name: "edited", change: func(dir string, _ *control.Status) string {
			put(t, dir, "a.vassal.ini", "command = x y\nsocket = /tmp/a.sock")
			return ""
		}, want: "reload a.vassal: its file was edited or touched\nkeep b.vassal: ready, generation 3\nfront false"},
		{name: "new and gone", change: func(dir string, _ *control.Status) string {
			put(t, dir, "c.vassal.ini", "command = x\nsocket = /tmp/c.sock")
			_ = os.Remove(filepath.Join(dir, "a.vassal.ini"))
			return ""
		}, want: "stop a.vassal: DIR/a.vassal.ini is not wanted any more: it finishes its requests first\nkeep b.vassal: ready, generation 3\nstart c.vassal: command: command (c.vassal.ini:2)\nfront false"},
		{name: "renamed", change: func(dir string, _ *control.Status) string {
			_ = os.Rename(filepath.Join(dir, "a.vassal.ini"), filepath.Join(dir, "c.vassal.ini"))
			return ""
		}, want: "stop a.vassal: DIR/a.vassal.ini is not wanted any more; vassal c.vassal takes over its socket\nkeep b.vassal: ready, generation 3\nstart c.vassal: command: command (c.vassal.ini:2)\nfront false"},
		{name: "another main file", change: func(dir string, _ *control.Status) string {
			return strings.Replace(text, "8080", "8081", 1) + "vassal-set = env=A=1\n"
		}, want: "reload a.vassal: the main file makes something else of it\nreload b.vassal: the main file makes something else of it\nfront true opens http = :8081 closes http = :8080"},
		{name: "another place in the main file", change: func(dir string, _ *control.Status) string {
			return strings.Replace(text, "http", "\n\nhttp", 1)
		}, want: "keep a.vassal: ready, generation 3\nkeep b.vassal: ready, generation 3\nfront false"},
		{name: "another rule", change: func(dir string, _ *control.Status) string {
			return text + "route-host = b vassal:b\n"
		}, want: "keep a.vassal: ready, generation 3\nkeep b.vassal: ready, generation 3\nfront true"},
		{name: "a mistake", change: func(dir string, status *control.Status) string {
			put(t, dir, "a.vassal.ini", "command = '")
			put(t, dir, "c.vassal.ini", "command = '")
			return ""
		}, want: "keep a.vassal: its file has mistakes, what runs goes on: DIR/a.vassal.ini:2: command: a quote ' is not closed\nkeep b.vassal: ready, generation 3\n" +
			"refuse c.vassal: its file has mistakes: DIR/c.vassal.ini:2: command: a quote ' is not closed\nfront false"},
		{name: "stopped and failed", change: func(dir string, status *control.Status) string {
			status.Vassals[0].State, status.Vassals[0].PIDs = "stopped", nil
			status.Vassals[1].State, status.Vassals[1].PIDs = "failed", nil
			put(t, dir, "a.vassal.ini", "command = other")
			put(t, dir, "b.vassal.ini", "command = other")
			return ""
		}, want: "keep a.vassal: stopped by an order, until a start is ordered\nstart b.vassal: its file was edited or touched\nfront false"},
		{name: "no emperor", change: func(dir string, status *control.Status) string {
			*status = control.Status{}
			return ""
		}, want: "start a.vassal: command: command (a.vassal.ini:2)\nstart b.vassal: command: command (b.vassal.ini:2)\nfront true opens http = :8080"},
	} {
		t.Run(test.name, func(t *testing.T) {
			main, file, problems := readText(t, text)
			if main == nil {
				t.Fatal(problems)
			}
			dir := filepath.Dir(file)
			put(t, dir, "a.vassal.ini", "command = x\nsocket = /tmp/a.sock")
			put(t, dir, "b.vassal.ini", "command = x\nsocket = /tmp/b.sock")
			survey, err := main.Survey()
			if err != nil {
				t.Fatal(err)
			}
			status := runningFrom(main, survey)
			if test.change != nil {
				if text := test.change(dir, status); text != "" {
					if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
						t.Fatal(err)
					}
					if main, _, problems = testReader(t).Read(main.Source); main == nil {
						t.Fatal(problems)
					}
				}
			}
			if survey, err = main.Survey(); err != nil {
				t.Fatal(err)
			}
			if status.PID == 0 {
				status = nil
			}
			plan := main.Plan(survey, status)
			var got strings.Builder
			for _, v := range plan.Vassals {
				fmt.Fprintf(&got, "%s %s: %s\n", v.Action, v.Name, v.Why)
			}
			fmt.Fprintf(&got, "front %t", plan.Front.Changes)
			for _, l := range plan.Front.Opens {
				fmt.Fprintf(&got, " opens %s", l)
			}
			for _, l := range plan.Front.Closes {
				fmt.Fprintf(&got, " closes %s", l)
			}
			if text := strings.ReplaceAll(got.String(), dir, "DIR"); text != test.want {
				t.Errorf("got\n%s\nwant\n%s", text, test.want)
			}
		})
	}
}

// put writes a vassal's file.
func put(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte("[uwsgi]\n"+text+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}
