package main

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"time"
)

// Kinds of key of a certificate.
const (
	keyECDSA = "ecdsa" // P-256
	keyRSA   = "rsa"   // 2048 bits
)

// tlsSuite is the only one that fronts offer, as OpenSSL calls it. Which of the
// three they would choose by themselves differs, and with it the work.
const tlsSuite = "TLS_AES_128_GCM_SHA256"

// pairFiles are the files of one certificate, or a folder of very many, see
// certificates.go.
type pairFiles struct{ certificate, key, bundle, folder string }

// secureFiles are what the cases with HTTPS need.
type secureFiles struct {
	pairs map[string]*pairFiles // by kind of key
	wrk   string                // a script
}

func (f *secureFiles) of(key string) *pairFiles {
	if f == nil {
		return nil
	}
	return f.pairs[key]
}

func (f *secureFiles) script() string {
	if f == nil {
		return ""
	}
	return f.wrk
}

// wrkScript sends wrk to the front whatever the host in the URL, which is the name
// that it asks for in the handshake.
const wrkScript = `local lookup = wrk.lookup
wrk.lookup = function(host, service) return lookup("127.0.0.1", service) end
`

// prepareSecure writes certificates and wrk's script, if a case needs them.
func (st *stage) prepareSecure() error {
	files := &secureFiles{pairs: make(map[string]*pairFiles), wrk: filepath.Join(st.dir, "wrk.lua")}
	for _, test := range benchCases {
		if test.key == "" || files.pairs[test.key] != nil || !test.measured(st.settings) {
			continue
		}
		pair, err := writePair(st.dir, test.host, test.key)
		if err != nil {
			return err
		}
		files.pairs[test.key] = pair
		st.secure = files
	}
	if st.secure == nil {
		return nil
	}
	return os.WriteFile(files.wrk, []byte(wrkScript), 0o644)
}

// writePair makes a key and a certificate that it signs itself.
func writePair(dir, host, kind string) (*pairFiles, error) {
	var key crypto.Signer
	var err error
	if kind == keyRSA {
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	} else {
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	if err != nil {
		return nil, err
	}
	certificate, private, err := makePair(host, 1, key, nil, nil)
	if err != nil {
		return nil, err
	}
	base := filepath.Join(dir, kind)
	files := &pairFiles{certificate: base + ".crt", key: base + ".key", bundle: base + ".pem"}
	// Readable for all: fronts that were started as root give up their privileges,
	// and the key is for nobody but this run.
	for path, text := range map[string][]byte{files.certificate: certificate, files.key: private, files.bundle: append(append([]byte(nil), certificate...), private...)} {
		if err := os.WriteFile(path, text, 0o644); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// makePair returns a certificate and its key as PEM. Without an issuer it signs
// itself.
func makePair(host string, serial int64, key crypto.Signer, issuer *x509.Certificate, issuerKey crypto.Signer) (certificate, private []byte, err error) {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(90 * 24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if issuer == nil {
		issuer, issuerKey = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, key.Public(), issuerKey)
	if err != nil {
		return nil, nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), nil
}

// anyCertificate is for a client of our own fronts on loopback.
func anyCertificate(test benchCase) *tls.Config {
	c := &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13, NextProtos: []string{"http/1.1"}}
	if test.http2 {
		c.NextProtos = []string{"h2"}
	}
	return c
}

// secureURL has the host for the name in the handshake, and the front's port.
func secureURL(plan loadPlan) string {
	_, port, _ := net.SplitHostPort(plan.Address)
	return "https://" + net.JoinHostPort(plan.Host, port) + plan.Path
}

// h2loadStreams are how many requests are under way on each HTTP/2 connection.
const h2loadStreams = 4

// runH2load loads a front with HTTP/2 for the given time, with one thread.
func runH2load(ctx context.Context, h2load string, plan loadPlan) (load, error) {
	ctx, cancel := context.WithTimeout(ctx, plan.Duration+20*time.Second)
	defer cancel()
	command := exec.CommandContext(ctx, h2load, "-t1", "-c"+strconv.Itoa(plan.Connections), "-m"+strconv.Itoa(h2loadStreams),
		"-D", strconv.Itoa(int(plan.Duration.Seconds())), "--connect-to="+plan.Address, secureURL(plan))
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	output, err := command.CombinedOutput()
	if ctx.Err() != nil {
		return load{}, fmt.Errorf("h2load: %w", ctx.Err())
	}
	if err != nil {
		return load{}, fmt.Errorf("h2load: %w:\n%s", err, output)
	}
	result, err := parseH2load(string(output))
	if err != nil {
		return load{}, fmt.Errorf("h2load: %w in:\n%s", err, output)
	}
	result.cpu = command.ProcessState.UserTime() + command.ProcessState.SystemTime()
	return result, nil
}

var (
	h2loadRate     = regexp.MustCompile(`(?m)^finished in \S+, ([\d.]+) req/s`)
	h2loadRequests = regexp.MustCompile(`(?m)^requests: \d+ total, \d+ started, \d+ done, (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout`)
)

// parseH2load reads h2load's report. It knows no quantiles of latency.
func parseH2load(text string) (load, error) {
	rate, requests := h2loadRate.FindStringSubmatch(text), h2loadRequests.FindStringSubmatch(text)
	if rate == nil || requests == nil {
		return load{}, fmt.Errorf("no count of requests")
	}
	var l load
	l.PerSecond, _ = strconv.ParseFloat(rate[1], 64)
	l.Requests, _ = strconv.ParseInt(requests[1], 10, 64)
	for _, count := range requests[2:] {
		n, _ := strconv.ParseInt(count, 10, 64)
		l.Errors += n
	}
	return l, nil
}
