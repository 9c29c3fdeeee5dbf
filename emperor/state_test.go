package emperor

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"emperor/internal/carry"
	"emperor/internal/config"
	"emperor/internal/link"
	"emperor/internal/sysd"
	"emperor/vassal"
	"emperor/vassal/sockets"
)

func sampleState() *State {
	return &State{
		Version: "1", PID: 7, Start: 8, Since: time.Unix(9, 0).UTC(), Lines: []config.Value{{Key: "http", Value: ":80", HasValue: true}},
		Placeholders: map[string]bool{"x": true}, Old: 3, Reply: -1, Control: CarriedControl{FD: 4, Path: "/run/\xff"},
		Front:     link.Configuration{Options: []link.Option{{Key: "route", Value: "x"}}, Resources: []link.Resource{{Kind: link.Content, Content: []byte{0, 1}}}},
		Listeners: []CarriedListener{{FD: 5}}, Inherited: []sysd.Inherited{{Name: "web", FD: 6}},
		Router:  CarriedRouter{Live: &CarriedRouterProcess{Output: 7, Peer: link.CarriedPeer{FD: 8, Received: []byte("half"), Descriptors: []int{9}}}, Draining: []CarriedRouterProcess{{Output: 10}}},
		Sockets: sockets.Carried{Held: []sockets.CarriedHolding{{Key: "s", Owner: "a", Listener: sockets.CarriedListener{FD: 11}}}},
		Vassals: []CarriedEntry{{Name: "a", Vassal: &vassal.Carried{Name: "a", State: "ready", Current: &vassal.CarriedGeneration{Body: vassal.CarriedBody{Control: 12}}}}},
	}
}

func TestStateIsCarried(t *testing.T) {
	want := sampleState()
	fd, err := want.encode()
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	got, err := ReadState(fd)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v, %v\nwant %+v", got, err, want)
	}
	if fds := got.descriptors(); !reflect.DeepEqual(fds, []int{3, 5, 6, 4, 8, 7, 9, 0, 10, 11, 12}) {
		t.Errorf("descriptors %v", fds)
	}
	if err := got.mine(); err == nil {
		t.Error("the state of another process was taken")
	}
}

// A state of another form is refused, whatever it holds.
func TestStateOfAnotherForm(t *testing.T) {
	text, err := carry.Marshal(sampleState())
	if err != nil {
		t.Fatal(err)
	}
	for _, head := range []string{"emperor state 2\n", "", "emperor state 1"} {
		if _, err := decodeState(append([]byte(head), text...)); err == nil || !strings.Contains(err.Error(), "does not understand") {
			t.Errorf("%q: %v", head, err)
		}
	}
}

// A broken state is an error, and nothing worse.
func FuzzState(f *testing.F) {
	text, err := carry.Marshal(sampleState())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(append([]byte(stateHead), text...))
	f.Add([]byte(stateHead + "{}"))
	f.Add([]byte(stateHead + `{"Vassals":[{"Vassal":[{"Current":[{}]}]}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := decodeState(text)
		if err != nil {
			return
		}
		s.descriptors()
		_ = s.mine()
		for _, v := range s.Vassals {
			if v.Vassal != nil {
				v.Vassal.Processes()
			}
		}
	})
}
