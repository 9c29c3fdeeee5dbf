package carry_test

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"emperor/internal/carry"
)

type inner struct {
	Name    string
	secret  string
	address netip.AddrPort
	flags   [3]byte
}

type outer struct {
	At      time.Time
	For     time.Duration
	Large   uint64
	Small   int8
	list    []inner
	None    []string
	empty   []string
	pointer *inner
	Missing *inner
	Table   map[string]inner
	yes     bool
	raw     []byte
}

func sample() outer {
	one := inner{Name: "shop \xff\xfe", secret: "s", address: netip.MustParseAddrPort("[::1]:80"), flags: [3]byte{1, 0, 255}}
	return outer{
		At: time.Date(2026, 11, 21, 12, 0, 0, 7, time.UTC), For: -time.Second, Large: 1<<64 - 1, Small: -128, list: []inner{one, {}}, empty: []string{},
		pointer: &one, Table: map[string]inner{"a\xff": one, "": {}}, yes: true, raw: []byte{0, 255},
	}
}

func TestRoundTrip(t *testing.T) {
	want := sample()
	text, err := carry.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got outer
	if err := carry.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// Binaries differ: what one of them does not know does no harm.
func TestOtherFields(t *testing.T) {
	type before struct {
		Kept, dropped string
		Inner         struct{ A, b int }
	}
	type after struct {
		added int
		Kept  string
		Inner struct{ A, C int }
	}
	text, err := carry.Marshal(before{Kept: "k", dropped: "d", Inner: struct{ A, b int }{1, 2}})
	if err != nil {
		t.Fatal(err)
	}
	got := after{added: -1}
	got.Inner.C = 3
	if err := carry.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	want := after{added: -1, Kept: "k"}
	want.Inner.A, want.Inner.C = 1, 3
	if got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if carry.Shape(reflect.TypeFor[before]()) == carry.Shape(reflect.TypeFor[after]()) {
		t.Error("the two have one shape")
	}
}

func TestWhatCannotBeCarried(t *testing.T) {
	for _, value := range []any{struct{ c chan int }{}, struct{ F func() }{}, struct{ A any }{1}, struct{ f float64 }{}} {
		if _, err := carry.Marshal(value); err == nil || !strings.Contains(err.Error(), "cannot be carried") {
			t.Errorf("%T: %v", value, err)
		}
	}
}

// A broken text is an error and nothing worse, and what is read can be written.
func FuzzUnmarshal(f *testing.F) {
	text, err := carry.Marshal(sample())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(text))
	for _, part := range []string{`{}`, `null`, `{"list":[{"address":"x"}]}`, `{"Table":[["a"]]}`, `{"pointer":[]}`, `{"Small":300}`, `{"flags":"AA=="}`, `{"raw":"?"}`} {
		f.Add(part)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var value outer
		if carry.Unmarshal([]byte(text), &value) != nil {
			return
		}
		again, err := carry.Marshal(value)
		if err != nil {
			return // a time that cannot be written
		}
		var same outer
		if err := carry.Unmarshal(again, &same); err != nil {
			t.Fatalf("%q: %v", again, err)
		}
	})
}

// TestNames: what was written before a field was exported is read after it, and the other
// way round, and the two are one shape.
func TestNames(t *testing.T) {
	type before struct {
		user, pidFiles string
		maxFD          int
		sockets        []string
		Sockets        []int
	}
	type numbers struct {
		_     struct{} `carry:"small"`
		User  string
		MaxFD int
		UID   uint32
	}
	type after struct {
		_        struct{} `carry:"small"`
		User     string
		PIDFiles string
		MaxFD    int
		Rules    []string `carry:"sockets"`
		Sockets  []int    `carry:"Sockets"`
	}
	old, new := before{"u", "p", 3, []string{"s"}, []int{4}}, after{User: "u", PIDFiles: "p", MaxFD: 3, Rules: []string{"s"}, Sockets: []int{4}}
	textOfOld, err := carry.Marshal(old)
	if err != nil {
		t.Fatal(err)
	}
	textOfNew, err := carry.Marshal(new)
	if err != nil || string(textOfNew) != string(textOfOld) {
		t.Errorf("%s, %v, want %s", textOfNew, err, textOfOld)
	}
	var got after
	if err := carry.Unmarshal(textOfOld, &got); err != nil || !reflect.DeepEqual(got, new) {
		t.Errorf("%+v, %v, want %+v", got, err, new)
	}
	if a, b := carry.Shape(reflect.TypeFor[before]()), carry.Shape(reflect.TypeFor[after]()); a != b {
		t.Errorf("shapes %s and %s", a, b)
	}
	if text, _ := carry.Marshal(numbers{UID: 7}); !strings.Contains(string(text), `"uid":7`) {
		t.Errorf("%s, want uid", text)
	}
}
