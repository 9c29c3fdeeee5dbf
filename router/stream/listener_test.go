package stream

import "testing"

// TestListeners: nodes of uWSGI's routers by kind, listening address and name.
func TestListeners(t *testing.T) {
	tests := []struct{ rules, kind, who, want string }{
		{"sslrouter-to = 127.0.0.1:5432", "sslrouter", "a.test", "tcp 127.0.0.1:5432"},
		{"sslrouter-to = 127.0.0.1:5432", "rawrouter", "-", "none"},
		{"rawrouter-to = /run/ssh.sock\nrawrouter-to = :22 weight=2\nrawrouter-fallback = vassal:sorry", "rawrouter", "-", "pass /run/ssh.sock|127.0.0.1:22 (weight 2)|vassal:sorry (backup)"},
		{"sslrouter-to = app.sock backup\nsslrouter-fallback = 10.0.0.2:1", "sslrouter", "-", "tcp app.sock (backup)|10.0.0.2:1 (backup)"},

		// The key is the listening address, or the name with sslrouter-sni.
		{"sslrouter-use-base = /run/sites/", "sslrouter", "a.test", "tcp /run/sites/127.0.0.1:443"},
		{"sslrouter-use-base = /run/sites/\nsslrouter-sni = true", "sslrouter", "a.test", "tcp /run/sites/a.test"},
		{"sslrouter-use-base = /run/sites/\nsslrouter-sni =", "sslrouter", "-", "tcp /run/sites/127.0.0.1:443"},
		{"rawrouter-use-pattern = /run/%s.sock\nsslrouter-sni = 1", "rawrouter", "a.test", "pass /run/127.0.0.1:443.sock"},
		{"sslrouter-use-pattern = /run/100%%/%s.sock\nsslrouter-sni = true\nsslrouter-fallback = 10.0.0.1:1", "sslrouter", "a.test", "tcp /run/100%/a.test.sock|10.0.0.1:1 (backup)"},
		{"sslrouter-use-pattern = %s.svc.cluster.local:443\nsslrouter-sni = true", "sslrouter", "shop", "tcp shop.svc.cluster.local:443"},

		// What a client asks for stays in its place.
		{"sslrouter-use-base = /run/sites/\nsslrouter-sni = true", "sslrouter", "../x", `refused: $0 is "../x", which can not be part of a path (no slash, not . or ..)`},
		{"sslrouter-use-base = /run/sites/\nsslrouter-sni = true", "sslrouter", "..", `refused: $0 is "..", which can not be part of a path (no slash, not . or ..)`},
		{"sslrouter-use-pattern = %s.svc.cluster.local:443\nsslrouter-sni = true", "sslrouter", "a.b", `refused: $0 is "a.b", which can not be part of a host name's label (letters, digits, - and _)`},
		{"sslrouter-use-pattern = %s.svc.cluster.local:443\nsslrouter-sni = true", "sslrouter", "-", `refused: $0 is "127.0.0.1:443", which can not be part of a host name's label (letters, digits, - and _)`},
		{"sslrouter-use-pattern = %s:443\nsslrouter-sni = true\nstream-allow = .cloud.test", "sslrouter", "x.cloud.test", "tcp x.cloud.test:443"},
		{"sslrouter-use-pattern = %s:443\nsslrouter-sni = true\nstream-allow = .cloud.test", "sslrouter", "x.test", "refused: x.test is in no domain of stream-allow"},
	}
	for _, test := range tests {
		d, ok := compile(t, test.rules).Listener(test.kind, "127.0.0.1:443", client(test.who))
		if got := outcome(d, ok); got != test.want {
			t.Errorf("%s: %s %s: got %s, want %s", test.rules, test.kind, test.who, got, test.want)
		}
		if ok && d.Rule.Name() != "" {
			t.Errorf("%s: the rule has the name %s", test.rules, d.Rule.Name())
		}
	}
	// They are no rules by name.
	if d, ok := compile(t, "sslrouter-to = 127.0.0.1:5432").Find(&Client{Name: "a.test"}); ok {
		t.Errorf("Find = %s", outcome(d, ok))
	}
}
