package router

import (
	"crypto/tls"
	"os"
	"strings"
	"testing"
	"time"

	"emperor/internal/link"
	"emperor/router/subscription"
)

// TestAnnouncedPairs: row 92: a key's certificate is that of its first node that has
// one, as long as it has a node, and only from folders that the front allows.
func TestAnnouncedPairs(t *testing.T) {
	dir, later := t.TempDir(), time.Now().Add(100*24*time.Hour)
	for _, folder := range []string{"/homes", "/homes/k", "/other"} {
		if err := os.Mkdir(dir+folder, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	pairFiles(t, dir+"/homes/k", "site", later, "k.test")
	pairFiles(t, dir+"/homes/k", "second", later, "second.test")
	pairFiles(t, dir+"/other", "site", later, "other.test")
	fixed := pairFiles(t, dir, "fixed", later, "fixed.test")
	own := pairFiles(t, dir, "default", later, "default.test")
	f := newFront(t)
	f.option = optionHTTPS
	if err := f.configure("https = "+f.tcp.Addr().String()+","+own, "sni = fixed.test "+fixed,
		"http-subscription-server = 127.0.0.1:7000", "http-subscription-sni-dir = "+dir+"/homes"); err != nil {
		t.Fatal(err)
	}
	f.announced.Watch()
	v := uwsgiVassal(t, answering(okResponse))
	node := func(key, address, files string) subscription.Packet {
		p := subscription.Packet{Key: key, Node: subscription.Node{Address: address}}
		if files != "" {
			p.Pair = subscription.Pair{Certificate: files + ".crt", Key: files + ".key"}
		}
		return p
	}
	shown := func(name string) string {
		t.Helper()
		conn, err := tls.Dial("tcp", f.tcp.Addr().String(), &tls.Config{ServerName: name, InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].DNSNames[0]
	}
	wants := func(when string, want map[string]string) {
		t.Helper()
		for name, certificate := range want {
			if got := shown(name); got != certificate {
				t.Errorf("%s: %s shows the certificate of %s, want %s", when, name, got, certificate)
			}
		}
	}
	wants("at first", map[string]string{"k.test": "default.test"})
	f.tell(node("k.test", v.address, dir+"/homes/k/site"))
	f.tell(node("K.test", "/second.sock", dir+"/homes/k/second"))
	f.tell(node("port.test:443", v.address, dir+"/homes/k/site"))
	f.tell(node("plain.test", v.address, ""))
	f.tell(node("fixed.test", v.address, dir+"/homes/k/site"))
	wants("announced", map[string]string{"k.test": "k.test", "K.TEST": "k.test", "port.test": "k.test", "plain.test": "default.test", "fixed.test": "fixed.test", "www.k.test": "default.test"})
	for _, outside := range []string{dir + "/other/site", dir + "/homes/../other/site", "homes/site"} {
		before := len(f.log.String())
		f.tell(node("outside.test", v.address, outside))
		if said := f.log.String()[before:]; !strings.Contains(said, "is not below a folder of http-subscription-sni-dir") {
			t.Errorf("%s: %q", outside, said)
		}
		wants(outside, map[string]string{"outside.test": "default.test"})
		gone := node("outside.test", v.address, "")
		gone.Withdraw = true
		f.tell(gone)
	}
	if r := f.ask(get("k.test")); r.StatusCode != 400 {
		t.Errorf("plain HTTP: %d", r.StatusCode)
	}
	// Another router is told of it with the nodes.
	records, _ := f.announced.Records()
	if len(records) == 0 || records[0].Pair.IsZero() && records[1].Pair.IsZero() {
		t.Errorf("records %+v", records)
	}
	for _, p := range []subscription.Packet{node("k.test", v.address, ""), node("k.test", "/second.sock", "")} {
		p.Withdraw = true
		f.tell(p)
		if p.Address == v.address {
			wants("its first node has gone", map[string]string{"k.test": "second.test"})
		}
	}
	wants("its last node has gone", map[string]string{"k.test": "default.test", "port.test": "k.test"})
	// Whoever opens the files asks the same question.
	keeper := Keeper(&link.Configuration{Options: []link.Option{{Key: "http-subscription-sni-dir", Value: dir + "/homes"}}})
	for folder, allowed := range map[string]bool{"/homes/k": true, "/other": false, "/homes/../other": false} {
		err := keeper(link.PairRequest{Name: "k.test", Certificate: dir + folder + "/site.crt", Key: dir + folder + "/site.key"})
		if (err == nil) != allowed {
			t.Errorf("%s: %v", folder, err)
		}
	}
	if err := keeper(link.PairRequest{Name: "k.test", Certificate: dir + "/homes/k/site.crt", Key: dir + "/homes/k/site.key", ClientCA: "/etc/shadow"}); err == nil {
		t.Error("a client CA from anywhere")
	}
}
