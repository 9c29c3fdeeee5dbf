package transport

import "testing"

// TestCheck: other transports are told from hosts and paths that merely look like them.
func TestCheck(t *testing.T) {
	for _, address := range []string{
		"udp:10.0.0.1:53", "UDP:10.0.0.1:53", "udp4:10.0.0.1:53", "udp6:[::1]:53", "udp://10.0.0.1:53", "udp://:53", "udp::53", "udp:53", "udp:/run/x.sock",
		"quic:10.0.0.1:443", "quic://:443", "dtls:db.internal:5684", "sctp:10.0.0.1:5000", "h3:10.0.0.1:443", "h3://www.example.com", "http3://:443",
		"10.0.0.1:53/udp", ":443/quic", "53/udp", "10.0.0.1:53 udp", "[::]:53  udp",
	} {
		if err := Check(address); err == nil || err.Error() != address+": "+TCPOnly {
			t.Errorf("%s: %v", address, err)
		}
	}
	for _, address := range []string{
		"", ":", "10.0.0.1:53", ":443", "[::1]:443", "h3:443", "http3:8080", "udp.example.com:53", "db-udp:53", "udp", "/run/udp", "/srv/53/udp", "./53/udp", "@53/udp", "tcp:10.0.0.1:53", "10.0.0.1:53 backup", "vassal:udp",
	} {
		if err := Check(address); err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
}
