package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
)

// startRelay accepts TCP connections and passes them to a unix socket as they
// are: a front that costs and changes nothing.
func startRelay(t *testing.T, socket string) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			backend, err := net.Dial("unix", socket)
			if err != nil {
				client.Close()
				continue
			}
			go func() { io.Copy(backend, client); backend.Close() }()
			go func() { io.Copy(client, backend); client.Close() }()
		}
	}()
	return listener.Addr().String()
}

func loadWith(t *testing.T, plan loadPlan) loadResult {
	t.Helper()
	if plan.Handshakes != "" {
		h, err := newHandshaker(plan)
		if err != nil {
			t.Fatal(err)
		}
		result, err := h.run()
		if err != nil {
			t.Fatal(err)
		}
		return result
	}
	l, err := newLoader(plan)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		for fd := range l.conns {
			rawClose(fd)
		}
		rawClose(int(l.poll))
	}()
	result, err := l.run()
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// something is what run gives for the plan, or for one that lasts longer, where the
// machine is too busy for anything to be done in so short a time.
func something(t *testing.T, plan loadPlan, run func(*testing.T, loadPlan) loadResult) loadResult {
	t.Helper()
	for {
		result := run(t, plan)
		if result.Answered+result.Refused+result.Errors > 0 || result.Begun > 0 || plan.Duration > time.Minute {
			return result
		}
		plan.Duration *= 2
	}
}

// Loader and backend are what every figure rests on: each kind of load is
// carried out, without an error, in the way that bench asks for it.
func TestLoaderGetsRightAnswers(t *testing.T) {
	addresses := map[string]string{hostHTTP: startRelay(t, startLoop(t, "http")), hostStream: startRelay(t, startLoop(t, "stream"))}
	for _, test := range benchCases {
		address := addresses[test.host]
		if address == "" || test.key != "" {
			continue
		}
		for _, rate := range []float64{0, 50} {
			if rate > 0 && test.handshakes != "" {
				continue
			}
			t.Run(fmt.Sprintf("%s at %.0f", test.name, rate), func(t *testing.T) {
				plan := test.plan(settings{connections: 4, duration: 300 * time.Millisecond}, address)
				plan.Rate = rate
				result := something(t, plan, loadWith)
				if float64(result.Answered)+result.Begun <= 0 || result.Errors > 0 || result.P99 < result.Median {
					t.Errorf("got %+v", result)
				}
			})
		}
	}
}

// A front that stops answering must not be left out of the figures because the
// client stopped asking.
func TestFixedRateCountsWhatWaits(t *testing.T) {
	stuck := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-stuck }))
	defer server.Close()
	defer close(stuck)
	plan := loadPlan{Address: strings.TrimPrefix(server.URL, "http://"), Host: "x", Path: "/", Connections: 1, Duration: 200 * time.Millisecond, Rate: 100}
	result := loadWith(t, plan)
	due := schedule(plan.Rate, plan.Duration+warmUp)
	counted := int64(len(due) - slices.IndexFunc(due, func(d time.Duration) bool { return d >= warmUp }))
	if result.Answered != 0 || result.Waiting != counted || result.P99 == 0 {
		t.Errorf("got %+v, want %d requests that wait", result, counted)
	}
}

func TestLoaderCountsWhatIsNotWanted(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer server.Close()
	plan := loadPlan{Address: strings.TrimPrefix(server.URL, "http://"), Host: "x", Path: "/", Connections: 2, Duration: 100 * time.Millisecond, Rate: 100}
	if result := something(t, plan, loadWith); result.Errors == 0 || result.Answered != 0 {
		t.Errorf("503 is no answer: got %+v", result)
	}
	plan.Refusable = true
	if result := something(t, plan, loadWith); result.Refused == 0 || result.Errors != 0 || result.Answered != 0 {
		t.Errorf("503 is counted where it is expected: got %+v", result)
	}
}

func TestScheduleIsTheSameForAll(t *testing.T) {
	first, second := schedule(1000, 10*time.Second), schedule(1000, 10*time.Second)
	if !slices.Equal(first, second) || !slices.IsSorted(first) {
		t.Error("two schedules of one rate differ, or are not in order")
	}
	if len(first) < 9500 || len(first) > 10500 {
		t.Errorf("%d requests in 10 s at 1000 a second", len(first))
	}
	if schedule(0, time.Second) != nil {
		t.Error("a rate of 0 has no schedule")
	}
}

func TestQuantile(t *testing.T) {
	values := make([]time.Duration, 100)
	for i := range values {
		values[i] = time.Duration(i + 1)
	}
	if got := quantile(values, 0.5); got != 51 {
		t.Errorf("median of 1…100: %d", got)
	}
	if got := quantile(values, 0.99); got != 100 {
		t.Errorf("99th percentile of 1…100: %d", got)
	}
	if quantile(nil, 0.5) != 0 {
		t.Error("a quantile of nothing")
	}
}
