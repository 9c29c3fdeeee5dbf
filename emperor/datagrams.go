package emperor

import (
	"maps"

	"emperor/internal/transport"
)

// datagramOptions are what other servers and uWSGI call listeners that are not TCP's. The
// front has none, and works without: browsers take HTTP/3 only where they are told of it.
var datagramOptions = map[string]string{
	"http3":        "not supported: " + transport.TCPOnly + "; browsers use HTTP/2 (https)",
	"https3":       "not supported: " + transport.TCPOnly + "; browsers use HTTP/2 (https)",
	"http3-socket": "not supported: " + transport.TCPOnly + "; browsers use HTTP/2 (https)",
	"quic":         "not supported: " + transport.TCPOnly + "; browsers use HTTP/2 (https)",
	"dtls":         "not supported: " + transport.TCPOnly + "; TLS over TCP has sslrouter",
	"udprouter":    "not supported: " + transport.TCPOnly + "; TCP has rawrouter",
	"udp":          "not supported: " + transport.TCPOnly + "; uWSGI's own server for them can be in a vassal's file",
}

func init() { maps.Copy(meaningless, datagramOptions) }
