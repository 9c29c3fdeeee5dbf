package main

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Very many certificates: a folder of pairs, NAME.crt and NAME.key, one for each
// name. The emperor knows it as sni-dir, nginx by a variable in ssl_certificate,
// HAProxy as a folder for crt.
const (
	certificatesAsked   = 1000 // names, at random
	certificatesSwapped = 1000 // of those
	swapEvery           = 4 * time.Millisecond
	swapSettle          = 2 * time.Second // until a front has to have seen all swaps
)

var certificatesFronts = []string{frontEmperor, frontNginx, frontHAProxy}

// massive is how a front did with them.
type massive struct {
	Front  string
	Pairs  int
	Start  time.Duration   // until the first handshake and request were good
	Memory int64           // PSS after the handshakes
	First  []time.Duration // with a name that nobody has asked for before
	Again  []time.Duration // with the same name after that
	Beyond []time.Duration // First less Again, name by name

	Swaps      int
	Handshakes int64  // meanwhile
	Failed     int64  // of them
	Problem    string `json:",omitempty"` // the first of these, or why there are no more figures
	Old        int    // names that had the old certificate swapSettle after the last swap
}

// pairOf is one certificate with its key, as PEM.
type pairOf struct{ certificate, key []byte }

func massiveName(i int) string { return fmt.Sprintf("c%06d.massive.test", i) }

func measureCertificates(ctx context.Context, s settings, t tools, dir string, out io.Writer) ([]massive, error) {
	st := &stage{settings: s, tools: t, dir: dir, out: out, fronts: make(map[string]*runningFront)}
	defer st.stop()
	if err := st.startBackend(ctx); err != nil {
		return nil, err
	}
	asked := mathrand.New(mathrand.NewPCG(3, 4)).Perm(s.pairs)[:certificatesAsked]
	var all []massive
	for _, f := range fronts {
		if !s.wants(f.name) || !slices.Contains(certificatesFronts, f.name) {
			continue
		}
		// Each its own: they are swapped.
		pairs := filepath.Join(dir, f.name+"-pairs")
		fmt.Fprintf(out, "certificates: %s, %d pairs\n", f.name, s.pairs)
		issue, err := writePairs(ctx, pairs, s.pairs)
		if err != nil {
			return all, err
		}
		result, err := st.measureCertificatesOf(ctx, f, pairs, asked, issue)
		if ctx.Err() != nil {
			return all, ctx.Err()
		}
		if err != nil {
			// That a front cannot do it is an outcome too.
			result.Problem = err.Error()
		}
		all = append(all, result)
		if err := os.RemoveAll(pairs); err != nil {
			return all, err
		}
	}
	return all, nil
}

func (st *stage) measureCertificatesOf(ctx context.Context, f front, pairs string, asked []int, issue issuer) (massive, error) {
	m := massive{Front: f.name, Pairs: st.settings.pairs}
	dir := filepath.Join(st.dir, f.name)
	began := time.Now()
	running, err := st.start(f, f.name, setup{pair: &pairFiles{folder: pairs}})
	if err != nil {
		return m, err
	}
	defer running.process.stop()
	// A name that is not among those that are asked for later.
	other := 0
	for slices.Contains(asked, other) {
		other++
	}
	c := &contender{front: f.name, test: benchCase{name: sectionCertificates, host: massiveName(other), path: pathSmall, key: keyECDSA}, running: running}
	if err := running.process.waitFor(ctx, certificatesReady, func() error { return rightAnswer(ctx, c) }); err != nil {
		return m, err
	}
	m.Start = time.Since(began)

	// Not on the main goroutine: it is tied to a thread, and slow to wake.
	done := make(chan error, 1)
	go func() { done <- m.ask(ctx, running.address, asked) }()
	if err := <-done; err != nil {
		return m, fmt.Errorf("%w; its last lines:\n%s", err, lastLines(running.process.log, 12))
	}
	if m.Memory, err = treeMemory(running.process.process.Pid); err != nil {
		return m, err
	}
	swap := swapFiles(pairs)
	if f.name == frontHAProxy {
		swap = swapByCommand(pairs, filepath.Join(dir, haproxyCommands))
	}
	return m, m.swap(ctx, running.address, asked[:certificatesSwapped], issue, swap)
}

// certificatesReady bounds the start of a front that reads all pairs before it
// answers.
const certificatesReady = 10 * time.Minute

// ask makes two handshakes for each of the names.
func (m *massive) ask(ctx context.Context, address string, asked []int) error {
	for _, i := range asked {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		first, _, err := handshakeFor(address, massiveName(i))
		if err != nil {
			return err
		}
		again, _, err := handshakeFor(address, massiveName(i))
		if err != nil {
			return err
		}
		m.First, m.Again, m.Beyond = append(m.First, first), append(m.Again, again), append(m.Beyond, first-again)
	}
	return nil
}

// handshakeFor makes a connection and a handshake, and returns the time that the
// handshake took and the number of the certificate, which must be for that name.
func handshakeFor(address, name string) (took time.Duration, serial int64, err error) {
	raw, err := net.DialTimeout("tcp", address, 5*time.Second)
	if err != nil {
		return 0, 0, err
	}
	defer raw.Close()
	raw.SetDeadline(time.Now().Add(10 * time.Second))
	began := time.Now()
	conn := tls.Client(raw, &tls.Config{ServerName: name, InsecureSkipVerify: true, MinVersion: tls.VersionTLS13, CurvePreferences: []tls.CurveID{tls.X25519}})
	if err := conn.Handshake(); err != nil {
		return 0, 0, fmt.Errorf("%s: %w", name, err)
	}
	took = time.Since(began)
	leaf := conn.ConnectionState().PeerCertificates[0]
	if !slices.Equal(leaf.DNSNames, []string{name}) {
		return 0, 0, fmt.Errorf("%s: the certificate is for %q", name, leaf.DNSNames)
	}
	return took, leaf.SerialNumber.Int64(), nil
}

// swap replaces the pairs of names while handshakes with these names go on.
func (m *massive) swap(ctx context.Context, address string, names []int, issue issuer, swap func(name string, p pairOf) error) error {
	const newSerial = 2
	fresh := make([]pairOf, len(names))
	for i, name := range names {
		var err error
		if fresh[i], err = issue(massiveName(name), newSerial); err != nil {
			return err
		}
	}
	var count, failed atomic.Int64
	var problem atomic.Value
	stop := make(chan struct{})
	var load sync.WaitGroup
	for seed := range 2 {
		load.Go(func() {
			random := mathrand.New(mathrand.NewPCG(5, uint64(seed)))
			for {
				select {
				case <-stop:
					return
				default:
				}
				count.Add(1)
				if _, _, err := handshakeFor(address, massiveName(names[random.IntN(len(names))])); err != nil {
					failed.Add(1)
					problem.CompareAndSwap(nil, err.Error())
				}
			}
		})
	}
	err := func() error {
		next := time.NewTicker(swapEvery)
		defer next.Stop()
		for i, name := range names {
			select {
			case <-next.C:
			case <-ctx.Done():
				return ctx.Err()
			}
			if err := swap(massiveName(name), fresh[i]); err != nil {
				return err
			}
			m.Swaps++
		}
		return sleep(ctx, swapSettle)
	}()
	close(stop)
	load.Wait()
	m.Handshakes, m.Failed = count.Load(), failed.Load()
	m.Problem, _ = problem.Load().(string)
	if err != nil {
		return err
	}
	for _, name := range names {
		if _, serial, err := handshakeFor(address, massiveName(name)); err != nil || serial != newSerial {
			m.Old++
		}
	}
	return nil
}

// swapFiles replaces files as a careful program does, each in one step. Both of
// them at once is not possible.
func swapFiles(dir string) func(string, pairOf) error {
	return func(name string, p pairOf) error {
		base := filepath.Join(dir, name)
		_, err := replaceFile(base+".crt", p.certificate)
		_, keyErr := replaceFile(base+".key", p.key)
		return errors.Join(err, keyErr)
	}
}

// swapByCommand is for HAProxy, which reads files at its start only: it is told by
// its command socket. Where it reads a bind's folder, certificates are called by
// the path of their file.
func swapByCommand(dir, socket string) func(string, pairOf) error {
	return func(name string, p pairOf) error {
		path := filepath.Join(dir, name) + ".crt"
		for _, command := range []string{
			fmt.Sprintf("set ssl cert %s <<\n%s%s\n", path, p.certificate, p.key),
			fmt.Sprintf("commit ssl cert %s\n", path),
		} {
			conn, err := net.Dial("unix", socket)
			if err != nil {
				return err
			}
			conn.SetDeadline(time.Now().Add(10 * time.Second))
			_, err = io.WriteString(conn, command)
			answer, readErr := io.ReadAll(conn)
			conn.Close()
			if err = cmp.Or(err, readErr); err != nil {
				return err
			}
			if text := string(answer); !strings.Contains(text, "ransaction") && !strings.Contains(text, "Success") {
				return fmt.Errorf("HAProxy answers to %.30q…: %q", command, text)
			}
		}
		return nil
	}
}

// issuer makes a pair for a name.
type issuer func(name string, serial int64) (pairOf, error)

// newIssuer makes an authority. Its certificate is in no chain: nobody checks it.
func newIssuer() (issuer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	authority := &x509.Certificate{}
	return func(name string, serial int64) (pairOf, error) {
		own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return pairOf{}, err
		}
		certificate, private, err := makePair(name, serial, own, authority, key)
		return pairOf{certificate, private}, err
	}, nil
}

// writePairs fills a folder with the first count names.
func writePairs(ctx context.Context, dir string, count int) (issuer, error) {
	issue, err := newIssuer()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	var next atomic.Int64
	var workers sync.WaitGroup
	problems := make(chan error, runtime.NumCPU())
	for range runtime.NumCPU() {
		workers.Go(func() {
			for i := int(next.Add(1)) - 1; i < count && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				base := filepath.Join(dir, massiveName(i))
				p, err := issue(massiveName(i), 1)
				// Readable for all: nginx reads them as its unprivileged user.
				if err = errors.Join(err, os.WriteFile(base+".crt", p.certificate, 0o644), os.WriteFile(base+".key", p.key, 0o644)); err != nil {
					problems <- err
					return
				}
			}
		})
	}
	workers.Wait()
	close(problems)
	return issue, errors.Join(<-problems, ctx.Err())
}
