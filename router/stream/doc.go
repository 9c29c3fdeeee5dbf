// Package stream is the front's rules for TLS streams: which name, asked for in a
// ClientHello, goes where. It reads lines such as
//
//	route-sni = db.example.com            tcp:10.0.0.5:5432
//	route-sni = *.shop.example.com        pass:10.0.0.7:443|10.0.0.8:443,proxy=v2
//	route-sni = ^(?<app>.+)-(?<ns>[^-]+)\.example\.com$ pass:${app}-public.${ns}.svc.cluster.local:443
//	route-sni = default                   http
//	stream-default = pass:10.0.0.9:22
//
// and answers, for one client, what becomes of its connection. It knows nothing of
// sockets, certificates or configuration files; its caller does the rest.
//
// # How it works
//
// A rule is a name and an action: pass the bytes on untouched, end TLS and pass on
// what was in it, go on to the HTTP rules, or reject. [Compile] turns all lines into
// an immutable [Table], or says for each mistake where it is and what was expected.
// [Table.Find] asks first the rules that look at something else than the name
// (route-alpn, route-remote-addr), then those of the name itself, then wildcards
// from the longest to the shortest, then regular expressions in the order of the
// file, then default. A rule with conditions that do not hold is passed over. Names
// are looked up in maps and patterns through the index of package rule, so that ten
// thousand rules cost what ten do.
//
// Lines of one name with the same conditions are one rule with several addresses.
//
// # The front is no open proxy
//
// What a client sends, it sends before anybody knows who it is. So where a capture
// becomes part of a host that is connected to, the rule must end the host in a
// domain of its own (two labels or more), and then captures hold no dot; or else
// stream-allow names the domains and networks which that host may be in. A capture
// in a path or in a vassal's name is one name there, never a directory.
//
// # uWSGI's routers
//
// sslrouter and rawrouter have nodes of their own instead of rules: see
// [Table.Listener].
package stream
