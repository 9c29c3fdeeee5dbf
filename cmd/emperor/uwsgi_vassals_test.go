package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestVassalsAreRunAsByUWSGI: the main file's lines about all vassals reach them as a real
// emperor lets them: which of them wins, under which names, by which program. Files with a
// further ending are vassals, too. (A uWSGI's would need a plugin that can read it.)
func TestVassalsAreRunAsByUWSGI(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.rules("") // has no part in it
	m.put(m.path("app.py"), "import os, uwsgi\n"+
		"text = lambda x: x.decode() if isinstance(x, bytes) else ' '.join(map(text, x)) if isinstance(x, list) else str(x)\n"+
		"def application(e, r):\n    r('200 OK', [])\n"+
		"    return [' | '.join([text(uwsgi.opt['mark']), text(uwsgi.opt['once']), os.environ['MARK'], os.environ.get('WRAPPED', '')]).encode()]\n")
	m.program("wrapper", "#!/bin/sh\nWRAPPED=by-the-second exec uwsgi \"$@\"\n")
	for _, name := range []string{"inherit-before", "include-before", "include", "inherit"} {
		m.write(name+".ini", "[uwsgi]\nmark = "+name+"-%n-%N\n")
	}
	m.write("include.ini", "[uwsgi]\nmark = include-%n-%N\nenv = MARK=included\n")
	const site = "[uwsgi]\nhttp-socket = DIR/KIND-%n.sock\nplugin = python3\nwsgi-file = DIR/app.py\nmark = own-%(once)\nonce = file\nenv = MARK=own\n"
	lines := func(kind string) string {
		m.write(kind+"/site.ini", strings.ReplaceAll(site, "KIND", kind))
		m.write(kind+".ini", "[uwsgi]\nemperor = DIR/"+kind+"\nemperor-extra-extension = .conf\n"+
			"vassals-inherit-before = DIR/inherit-before.ini\nvassals-include-before = DIR/include-before.ini\nvassals-set = once=set\nvassals-set = mark=set\n"+
			"vassals-include = DIR/include.ini\nvassals-inherit = DIR/inherit.ini\n"+
			"emperor-wrapper = /nowhere/uwsgi\nemperor-wrapper-fallback = /nowhere/first\nemperor-wrapper-fallback = DIR/wrapper\n")
		return kind + ".ini"
	}
	m.realEmperor("--ini", lines("theirs"))
	m.run(exec.Command(emperorBinary(t), lines("ours"), "--control", m.path("control.sock")))
	said := map[string]string{}
	for _, kind := range []string{"theirs", "ours"} {
		m.eventually(kind+" answers", func() bool {
			text, err := m.direct(kind + "-site.sock")
			said[kind] = text
			return err == nil && text != ""
		})
	}
	if said["ours"] != said["theirs"] || !strings.HasSuffix(said["ours"], "| by-the-second") {
		t.Errorf("ours   %s\ntheirs %s", said["ours"], said["theirs"])
	}
	m.small("small.py", "")
	for _, name := range []string{"other.file", "other.conf"} {
		m.write("ours/"+name, "[uwsgi]\nsocket = DIR/"+name+".sock\ncommand = python3 DIR/small.py\n")
	}
	m.waitLog(0, "other: vassal ready")
	if _, err := m.direct("other.conf.sock"); err != nil {
		t.Error(err)
	}
	if exists(m.path("other.file.sock")) {
		t.Error("a file of any name is a vassal")
	}
	m.stop()
}

// TestLinksThatAreNotFollowed: with emperor-nofollow the link is the vassal's file: what
// it leads to may be written without a deploy, and another link is one.
func TestLinksThatAreNotFollowed(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.small("app.py", "")
	const text = "[uwsgi]\nsocket = DIR/%n.sock\ncommand = python3 DIR/app.py\n"
	m.write("shared/site.ini", text)
	m.rules(byName + "emperor-nofollow = true\n")
	must(t, os.MkdirAll(m.path("vassals.d"), 0o755))
	must(t, os.Symlink(m.path("shared/site.ini"), m.path("vassals.d/site.ini")))
	m.start()
	m.waitLog(0, "site: vassal ready")
	m.write("shared/site.ini", text+"env = A=B\n")
	m.write("vassals.d/later.ini", text)
	m.waitLog(0, "later: vassal ready")
	if m.logged("site: ", "gen=2") {
		t.Error("what the link leads to was watched")
	}
	must(t, os.Symlink(m.path("shared/site.ini"), m.path("link")))
	must(t, os.Rename(m.path("link"), m.path("vassals.d/site.ini")))
	m.waitLog(0, "site: vassal ready", "gen=2")
}
