package logsink

import (
	"encoding/json"
	"os"
	"testing"
	"time"
	"unicode/utf8"
)

var noon = time.Date(2026, 11, 21, 12, 0, 5, 678e6, time.UTC)

func TestFormats(t *testing.T) {
	dated, err := NewDated("")
	if err != nil {
		t.Fatal(err)
	}
	other, err := NewDated("%Y-%m-%dT%H:%M:%S%%")
	if err != nil {
		t.Fatal(err)
	}
	host, _ := os.Hostname()
	line := Message{Time: noon, Vassal: "shop.ini", Generation: 3, Stream: StreamOutput, Priority: PriorityInfo, Text: []byte("a \"b\" \x1b[31m\xff é\t")}
	own := Message{Time: noon, Vassal: "shop.ini", Stream: StreamEmperor, Priority: PriorityWarning, Text: []byte("ready")}
	for _, test := range []struct {
		name   string
		format Format
		m      Message
		want   string
	}{
		{"text", NewText(true), line, "2026-11-21 12:00:05.678 shop.ini | a \"b\" \\x1b[31m\uFFFD é\t\n"},
		{"text, of which somebody else knows the time", NewText(false), line, "shop.ini | a \"b\" \\x1b[31m\uFFFD é\t\n"},
		{"json", NewJSON(), line, `{"time":"2026-11-21T12:00:05.678Z","level":"INFO","msg":"a \"b\" \u001b[31m\ufffd é\t","vassal":"shop.ini","gen":3,"from":"output"}` + "\n"},
		{"dated", dated, line, "Sat Nov 21 12:00:05 2026 - a \"b\" \x1b[31m\xff é\t\n"},
		{"dated otherwise", other, own, "2026-11-21T12:00:05% - ready\n"},
		{"syslog", NewSyslog("", 16, false), line, "<134>Nov 21 12:00:05 uwsgi: a \"b\" \x1b[31m\xff é\t"},
		{"syslog of many", NewSyslog("sites", 3, true), own, "<28>Nov 21 12:00:05 sites: shop.ini: ready"},
		{"rsyslog", NewRemoteSyslog("", false), line, "<29>Nov 21 12:00:05 " + host + " uwsgi: a \"b\" \x1b[31m\xff é\t"},
		{"rsyslog of many", NewRemoteSyslog("web sites", true), line, "<29>Nov 21 12:00:05 web sites: shop.ini | a \"b\" \x1b[31m\xff é\t"},
		{"socket", NewPrefixed("pre ", false), line, "pre a \"b\" \x1b[31m\xff é\t\n"},
		{"journal", NewJournal(), own, "PRIORITY=4\nSYSLOG_IDENTIFIER=shop.ini\nVASSAL=shop.ini\nSTREAM=emperor\nMESSAGE=ready\n"},
		{"journal, with a priority of its own", NewJournal(), Message{Vassal: "a\nb", Generation: 2, Stream: StreamOutput, Priority: 6, Text: []byte("<3>no")},
			"PRIORITY=3\nSYSLOG_IDENTIFIER=a\\x0ab\nVASSAL=a\\x0ab\nGENERATION=2\nSTREAM=output\nMESSAGE=no\n"},
		{"journal, in several lines", NewJournal(), Message{Stream: StreamEmperor, Priority: 6, Text: []byte("a\nb")},
			"PRIORITY=6\nSYSLOG_IDENTIFIER=emperor\nSTREAM=emperor\nMESSAGE\n\x03\x00\x00\x00\x00\x00\x00\x00a\nb\n"},
	} {
		if got := string(test.format.Append(nil, &test.m)); got != test.want {
			t.Errorf("%s:\ngot  %q\nwant %q", test.name, got, test.want)
		}
	}
	for _, wrong := range []string{"%Q", "at 5"} {
		if _, err := NewDated(wrong); err == nil {
			t.Errorf("log-date = %s is taken", wrong)
		}
	}
}

// FuzzJSON: whatever a program writes, its line is one valid JSON object.
func FuzzJSON(f *testing.F) {
	f.Add("a\r\n\x00\"c\\d\x1b[2J\x7f\xff\u0085\u2028")
	f.Fuzz(func(t *testing.T, text string) {
		m := Message{Time: noon, Vassal: text, Generation: 1, Stream: StreamOutput, Priority: PriorityInfo, Text: []byte(text)}
		line := NewJSON().Append(nil, &m)
		var object struct{ Msg, Vassal string }
		if err := json.Unmarshal(line, &object); err != nil || !utf8.Valid(line) {
			t.Fatalf("%v: %q", err, line)
		}
		if utf8.ValidString(text) && (object.Msg != text || object.Vassal != text) {
			t.Errorf("%q became %q", text, object.Msg)
		}
	})
}
