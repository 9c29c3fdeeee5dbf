package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// The neighbour: two vassals on one front. One of them may work on a few
// requests at a time (http-limit-vassal) and gets ten times as many as it can
// answer so; the latency of the other is compared with that of calm.
const (
	noisyLimit       = 8 // requests at a time
	noisyConnections = 512
	noisyOver        = 10
	calmRate         = 1000 // requests a second of the other vassal
)

// noisyCapacity is what the capped vassal can answer each second.
const noisyCapacity = noisyLimit * int(time.Second/slowAnswer)

// neighbour is how a vassal fared beside one that was driven past its limit.
type neighbour struct {
	Rate  float64 // requests a second of the vassal that is watched
	Calm  []load
	Storm []load
	Noisy []loadResult // what became of the other's requests, round by round
	P99   spread       // storm ÷ calm, within each round
}

func measureNeighbour(ctx context.Context, s settings, t tools, dir string, out io.Writer) (*neighbour, error) {
	emperor, address, err := startWithVassals(ctx, t, dir, []string{"quiet", "noisy"}, fmt.Sprintf("http-limit-vassal = %d", noisyLimit))
	if err != nil {
		return nil, err
	}
	defer emperor.stop()
	fmt.Fprintf(out, "neighbour: %d rounds of %v in calm and %v beside a vassal driven %d × over its limit\n", s.rounds, 2*s.duration, 2*s.duration, noisyOver)
	quietPlan := loadPlan{Address: address, Host: site("quiet"), Path: pathSmall, Connections: 64, Duration: 2 * s.duration, Rate: calmRate}
	noisyPlan := loadPlan{Address: address, Host: site("noisy"), Path: pathSlow, Connections: noisyConnections,
		Duration: quietPlan.Duration + time.Second, Rate: float64(noisyOver * noisyCapacity), Refusable: true}
	n := &neighbour{Rate: calmRate}
	var ratios []float64
	for range s.rounds {
		calm, err := runLoad(ctx, t.self, quietPlan)
		if err != nil {
			return nil, err
		}
		storm, noisy, err := beside(ctx, t, dir, noisyPlan, quietPlan)
		if err != nil {
			return nil, err
		}
		n.Calm, n.Storm, n.Noisy = append(n.Calm, calm), append(n.Storm, storm), append(n.Noisy, noisy)
		ratios = append(ratios, float64(storm.P99)/float64(calm.P99))
	}
	n.P99 = spreadOf(ratios)
	return n, nil
}

// beside runs one load while another one goes on.
func beside(ctx context.Context, t tools, dir string, background, watched loadPlan) (load, loadResult, error) {
	var other loadResult
	text, err := json.Marshal(background)
	if err != nil {
		return load{}, other, err
	}
	result := filepath.Join(dir, "noisy.json")
	if err := os.RemoveAll(result); err != nil {
		return load{}, other, err
	}
	noisy, err := start("noisy", dir, program{path: t.self, args: []string{loaderCommand, string(text)}, output: result})
	if err != nil {
		return load{}, other, err
	}
	defer noisy.stop()
	if err := sleep(ctx, 500*time.Millisecond); err != nil { // until its queue is full
		return load{}, other, err
	}
	own, err := runLoad(ctx, t.self, watched)
	if err != nil {
		return load{}, other, err
	}
	select {
	case <-noisy.ended:
	case <-time.After(20 * time.Second):
		return load{}, other, errors.New("the load on the noisy vassal does not end")
	}
	if text, err = os.ReadFile(result); err != nil {
		return load{}, other, err
	}
	if err := json.Unmarshal(text, &other); err != nil {
		return load{}, other, fmt.Errorf("%w: %v", err, noisy.failure())
	}
	return own, other, nil
}
