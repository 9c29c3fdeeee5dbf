package stream

import "testing"

// TestHosts: what a client may make of a host.
func TestHosts(t *testing.T) {
	// The rule ends in a domain of its own: captures are within labels.
	checkFind(t, `route-sni = ^(.*)\.a\.test$ pass:$1.svc.cluster.local.:443
route-sni = ^(?:(.+)-)?x\.b\.test$ pass:$1-db.svc.cluster.local:443
route-sni = ^(.+)\.(.+)\.c\.test$ pass:$2.$1.Svc.Cluster.local:443`, `
x.a.test -> pass x.svc.cluster.local:443
x.y.a.test -> refused: $1 is "x.y", which can not be part of a host name's label (letters, digits, - and _)
x/y.a.test -> refused: $1 is "x/y", which can not be part of a host name's label (letters, digits, - and _)
x:1.a.test -> refused: $1 is "x:1", which can not be part of a host name's label (letters, digits, - and _)
.a.test -> refused: $1 is empty, which can not be part of a host name's label (letters, digits, - and _)
y-x.b.test -> pass y-db.svc.cluster.local:443
x.b.test -> refused: $1 is empty, which can not be part of a host name's label (letters, digits, - and _)
x.y.c.test -> pass y.x.svc.cluster.local:443`)

	// stream-allow has domains.
	checkFind(t, `stream-allow = .cloud.test
stream-allow = *.below.test
stream-allow = Plain.Test.
route-sni = ^to-(.+)$ pass:$1:443
route-sni = ^(.+)\.limited$ pass:$1.cloud.test:443`, `
to-a.b.cloud.test -> pass a.b.cloud.test:443
to-cloud.test -> pass cloud.test:443
to-evilcloud.test -> refused: evilcloud.test is in no domain of stream-allow
to-cloud.test.evil.org -> refused: cloud.test.evil.org is in no domain of stream-allow
to-a.below.test -> pass a.below.test:443
to-below.test -> refused: below.test is in no domain of stream-allow
to-x.plain.test -> pass x.plain.test:443
to-plain.test -> pass plain.test:443
to-127.0.0.1 -> refused: 127.0.0.1 is in no network of stream-allow
to-127.1 -> refused: 127.1 is no host: it is an IP address, not a name
to-0x7f000001 -> refused: 0x7f000001 is no host: it is an IP address, not a name
to-a..cloud.test -> refused: a..cloud.test is no host: a part between dots is empty or longer than 63 bytes
to-::1 -> refused: $1 is "::1", which can not be part of a host name (letters, digits, -, _ and dots)
a.b.limited -> pass a.b.cloud.test:443`)

	// stream-allow has networks: addresses are looked at here, names by whoever
	// resolves them.
	checkFind(t, `stream-allow = 10.0.0.0/24
stream-allow = fd00::/8
route-sni = ^(\d+)\.v4\.test$ pass:10.0.0.$1:22
route-sni = ^(\d+)\.wide\.test$ pass:10.0.$1.1:22
route-sni = ^([0-9a-z]+)\.v6\.test$ pass:[fd00::$1]:22
route-sni = ^([0-9a-z]+)\.out\.test$ pass:[fe80::$1]:22
route-sni = ^(.+)\.k8s\.test$ pass:$1.svc.cluster.local:22
route-sni = ^(.+)\.any\.test$ pass:$1:22`, `
7.v4.test -> pass 10.0.0.7:22
777.v4.test -> refused: 10.0.0.777 is no host: it is an IP address, not a name
0.wide.test -> pass 10.0.0.1:22
1.wide.test -> refused: 10.0.1.1 is in no network of stream-allow
beef.v6.test -> pass [fd00::beef]:22
xyz.v6.test -> refused: [fd00::xyz] is no IPv6 address
1.out.test -> refused: fe80::1 is in no network of stream-allow
x.k8s.test -> pass x.svc.cluster.local:22
x.y.k8s.test -> pass x.y.svc.cluster.local:22 if it is in 10.0.0.0/24, fd00::/8
db.internal.any.test -> pass db.internal:22 if it is in 10.0.0.0/24, fd00::/8`)
}

// TestPaths: what a client may make of a path, a vassal's name and a port.
func TestPaths(t *testing.T) {
	checkFind(t, `route-sni = ^(.*)\.a\.test$ tcp:/run/sites/$1.sock
route-sni = ^(.+)\.b\.test$ tcp:/run/$1/tls.sock
route-sni = ^(.*)\.c\.test$ tcp:/run/.$1
route-sni = ^(.*)\.d\.test$ pass:vassal:$1
route-sni = ^(.*)\.e\.test$ pass:10.0.0.1:$1
route-sni = ^(.*)\.f\.test$ pass:10.0.0.1:2$1
route-sni = ^(.+)\.g\.test$ tcp:unix:@app-$1
route-sni = h.test tcp:/run/$$1
route-sni = *.h.test tcp:/run/${0}.sock`, `
shop.a.test -> tcp /run/sites/shop.sock
x.y.a.test -> tcp /run/sites/x.y.sock
../x.a.test -> refused: $1 is "../x", which can not be part of a path (no slash, not . or ..)
.a.test -> refused: $1 is empty, which can not be part of a path (no slash, not . or ..)
...a.test -> refused: $1 is "..", which can not be part of a path (no slash, not . or ..)
shop.b.test -> tcp /run/shop/tls.sock
...b.test -> refused: $1 is "..", which can not be part of a path (no slash, not . or ..)
x.c.test -> tcp /run/.x
..c.test -> refused: $1 is ".", which can not be part of a path (no slash, not . or ..)
shop.d.test -> pass vassal:shop
a/b.d.test -> refused: $1 is "a/b", which can not be part of a vassal's name
22.e.test -> pass 10.0.0.1:22
0443.e.test -> pass 10.0.0.1:443
00443.e.test -> pass 10.0.0.1:443
000443.e.test -> refused: "000443" is no port from 1 to 65535
65536.e.test -> refused: "65536" is no port from 1 to 65535
0.e.test -> refused: "0" is no port from 1 to 65535
x.e.test -> refused: $1 is "x", which can not be part of a port (digits)
.e.test -> refused: $1 is empty, which can not be part of a port (digits)
2.f.test -> pass 10.0.0.1:22
99999.f.test -> refused: "299999" is no port from 1 to 65535
x.g.test -> tcp @app-x
h.test -> tcp /run/$$1
x.h.test -> tcp /run/x.h.test.sock`)
}
