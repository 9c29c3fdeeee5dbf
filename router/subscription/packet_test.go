package subscription

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// observed is what uWSGI 2.0 sends for subscribe-to = 127.0.0.1:22601:foo.example.com
// with two workers.
var observed = unhex(`
e0 6a00 00
0300 6b6579             0f00 666f6f2e6578616d706c652e636f6d
0700 61646472657373     0f00 3132372e302e302e313a3232363032
0900 6d6f64696669657231 0100 30
0900 6d6f64696669657232 0100 30
0500 636f726573         0100 32
0400 6c6f6164           0100 30
0600 776569676874       0100 30`)

func unhex(text string) []byte {
	b, err := hex.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil {
		panic(err)
	}
	return b
}

// datagram makes one of "name=value" items.
func datagram(m1, m2 byte, items ...string) []byte {
	b := []byte{m1, 0, 0, m2}
	for _, item := range items {
		name, value, _ := strings.Cut(item, "=")
		for _, s := range []string{name, value} {
			b = append(append(b, byte(len(s)), byte(len(s)>>8)), s...)
		}
	}
	size := len(b) - 4
	b[1], b[2] = byte(size), byte(size>>8)
	return b
}

func TestParse(t *testing.T) {
	for _, test := range []struct {
		name     string
		datagram []byte
		want     Packet
	}{
		{"uWSGI's own", observed, Packet{Key: "foo.example.com", Node: Node{Address: "127.0.0.1:22602", Cores: 2, Weight: 1}}},
		{"withdrawal", datagram(224, 1, "key=a", "address=/s"), Packet{Withdraw: true, Key: "a", Node: Node{Address: "/s", Weight: 1}}},
		{"any other command is one", datagram(224, 7, "key=a", "address=/s"), Packet{Withdraw: true, Key: "a", Node: Node{Address: "/s", Weight: 1}}},
		{"everything", datagram(224, 0, "key=A.b.:80", "address=@x", "modifier1=5", "modifier2=255", "cores=1", "load=2", "weight=3", "backup=4",
			"vassal=v.ini", "proto=http", "algo=lrc", "notify=/n", "unix=1700000000", "later=thing"),
			Packet{Key: "a.b:80", Algorithm: "lrc", Unix: 1700000000, Notify: "/n", Node: Node{Address: "@x", Modifier1: 5, Modifier2: 255, Cores: 1, Load: 2, Weight: 3, Backup: 4, Vassal: "v.ini", HTTP: true}}},
		{"a weight beyond reason", datagram(224, 0, "key=a", "address=/s", "weight=99999999999"), Packet{Key: "a", Node: Node{Address: "/s", Weight: maxNumber}}},
	} {
		got, err := Parse(test.datagram)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
		} else if d := cmp.Diff(test.want, got, cmpopts.IgnoreUnexported(Packet{})); d != "" {
			t.Errorf("%s: %s", test.name, d)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	long := strings.Repeat("k", 256)
	for want, d := range map[string][]byte{
		"shorter":           {224, 0},
		"modifier1 0":       datagram(0, 0, "key=a", "address=/s"),
		"bytes, 3":          append(datagram(224, 0, "key=a"), "abc"...)[:7],
		"the header tells":  append(datagram(224, 0, "key=a", "address=/s"), 0),
		"key of 256":        datagram(224, 0, "key="+long, "address=/s"),
		"address of 256":    datagram(224, 0, "key=a", "address="+long),
		"no key":            datagram(224, 0, "key=", "address=/s"),
		"or no address":     datagram(224, 0, "key=a"),
		"want printable":    datagram(224, 0, "key=a\nb", "address=/s"),
		"want a number":     datagram(224, 0, "key=a", "address=/s", "weight=-1"),
		"at most 255":       datagram(224, 0, "key=a", "address=/s", "modifier1=256"),
		"twice":             datagram(224, 0, "key=a", "key=b", "address=/s"),
		"follows the sig":   datagram(224, 0, "key=a", "sign=x", "address=/s"),
		"beyond the end":    {224, 3, 0, 0, 9, 0, 'k'},
		"without a name":    datagram(224, 0, "=a"),
		"the limit is 4096": datagram(224, 0, "key=a", "address=/s", "x="+strings.Repeat("y", MaxPacket)),
	} {
		if _, err := Parse(d); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: got %v, want %q", d, err, want)
		}
	}
}

// What Append writes, Parse reads; and as uWSGI writes it.
func TestAppend(t *testing.T) {
	p, _ := Parse(observed)
	p.Weight = 0
	if got := p.Append(nil); string(got) != string(observed) {
		t.Errorf("%x\n%x", got, observed)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(observed)
	f.Add(datagram(224, 1, "key=a.example.com:80", "address=/run/a.sock", "weight=3", "algo=wlrc", "unix=1700000000", "proto=h", "sign=abc"))
	f.Add(datagram(224, 0, "key="+strings.Repeat("k", 1000), "address=/s"))
	f.Add([]byte{224, 3, 0, 0, 9, 0, 'k'})
	f.Fuzz(func(t *testing.T, d []byte) {
		p, err := Parse(d)
		if err != nil {
			return
		}
		if p.Key == "" || p.Address == "" || len(p.Key) > maxText || len(p.Address) > maxText || p.Weight < 1 {
			t.Fatalf("%+v", p)
		}
		again, err := Parse(p.Append(nil))
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(p, again, cmpopts.IgnoreUnexported(Packet{})); d != "" {
			t.Fatal(d)
		}
	})
}
