package control

import (
	"strings"
	"testing"
	"time"
)

func TestWriteCertificates(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	day := 24 * time.Hour
	all := Certificates{[]Certificate{
		{Name: "a.example.com", Source: "acme", From: "ca.example-dir", Expires: now.Add(60 * day), Action: "renewal", Due: now.Add(30 * day)},
		{Name: "b.example.com", Source: "acme", From: "ca.example-dir", Action: "order", Due: now.Add(5 * time.Minute), Trouble: "the authority says:\nno"},
		{Name: "c.example.com", Source: "sni", From: "/etc/c.crt", Expires: now.Add(-day), Action: "ended: replace the file"},
	}}
	const want = `
NAME           SOURCE  FROM            EXPIRES              NEXT
a.example.com  acme    ca.example-dir  2026-04-30 (60d00h)  renewal in 30d00h
b.example.com  acme    ca.example-dir  -                    order in 5m00s: the authority says:\x0ano
c.example.com  sni     /etc/c.crt      2026-02-28 (ended)   ended: replace the file
`
	var out strings.Builder
	if err := WriteCertificates(&out, all, now); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); got != want[1:] {
		t.Errorf("got\n%swant\n%s", got, want[1:])
	}
}
