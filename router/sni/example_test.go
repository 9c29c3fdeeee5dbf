package sni_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"

	"emperor/router/sni"
)

// From the lines of a configuration to a connection, without its errors.
func Example() {
	line, _ := sni.ParseSNI("*.example.com /etc/wild.crt,/etc/wild.key,HIGH,!/etc/staff-ca.pem")
	policy, _, _ := line.Policy(sni.Policy{})
	table, _ := sni.Compile(sni.Config{Entries: []sni.Entry{{
		Names: []string{line.Name}, Source: line.Source(), Policy: policy, At: "emperor.ini:7",
	}}})

	ring, _ := sni.NewRing(sni.RingOptions{})
	certificates := sni.NewCertificates(sni.Options{
		Tickets: ring,
		Loader: sni.LoaderFunc(func(_ context.Context, r sni.Request) (sni.Material, error) {
			return sni.Material{}, fmt.Errorf("nobody reads %s here", r.Source.Certificate.Path())
		}),
	})
	defer certificates.Close()
	certificates.SetTable(table)
	listener, _ := certificates.Listener(sni.ListenerOptions{})

	accepted, client := net.Pipe()
	go func() {
		_ = tls.Client(client, &tls.Config{ServerName: "www.example.com"}).Handshake()
		_ = client.Close()
	}()
	h := sni.Handshake{Context: context.Background()}
	err := tls.Server(accepted, listener.TLSConfig()).HandshakeContext(&h)
	fmt.Println(err != nil, &h)

	choice, _ := listener.Find("www.example.com")
	fmt.Println(&choice)
	// Output:
	// true name "www.example.com": no certificate: nobody reads /etc/wild.crt here
	// certificate /etc/wild.crt (wildcard *.example.com, emperor.ini:7), clients need one of /etc/staff-ca.pem
}
