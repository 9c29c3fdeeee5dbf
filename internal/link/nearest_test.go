package link

import "testing"

func TestNearest(t *testing.T) {
	vassals := []Vassal{
		{Name: "blog", Addresses: []Address{{Address: "/tmp/uwsgi_blog.sock"}}},
		{Name: "store", Addresses: []Address{{Address: "/tmp/uwsgi_store.sock"}}},
		{Name: "eu/wiki", Addresses: []Address{{Address: "/run/wiki.sock"}}},
		{Name: "api", Addresses: []Address{{Address: "127.0.0.1:3001"}}},
	}
	for address, want := range map[string]string{
		"/tmp/uwsgi_blgo.sock": "vassal blog has /tmp/uwsgi_blog.sock",
		"/tmp/uwsgi_wiki.sock": "vassal eu/wiki has /run/wiki.sock",
		"/tmp/uwsgi_shop.sock": "there is uwsgi_blog.sock (vassal blog), uwsgi_store.sock (vassal store)",
		"/srv/shop.sock":       "",
		"127.0.0.1:3002":       "vassal api has 127.0.0.1:3001",
		"10.0.0.1:80":          "",
	} {
		if got := Nearest(address, vassals); got != want {
			t.Errorf("%s: %q, want %q", address, got, want)
		}
	}
	if got := Nearest("/tmp/x", nil); got != "" {
		t.Errorf("without vassals: %q", got)
	}
}
