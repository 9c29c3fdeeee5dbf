package near

import "testing"

func TestDistance(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"shop", "shop", 0}, {"shop", "shp", 1}, {"shop", "hsop", 1}, {"shop", "store", 3}, {"", "abc", 3}, {"ca", "abc", 3},
	} {
		if got := Distance(test.a, test.b); got != test.want {
			t.Errorf("%q and %q: %d, want %d", test.a, test.b, got, test.want)
		}
		if got := Distance(test.b, test.a); got != test.want {
			t.Errorf("%q and %q: %d, want %d", test.b, test.a, got, test.want)
		}
	}
}

func TestWord(t *testing.T) {
	names := []string{"shop", "blog", "a", "shoe"}
	for word, want := range map[string]string{"shp": "shop", "blgo": "blog", "b": "", "wiki": "", "shop": "shop", "sho": "shop"} {
		if got, ok := Word(word, names); got != want || ok != (want != "") {
			t.Errorf("%q: %q, want %q", word, got, want)
		}
	}
}
