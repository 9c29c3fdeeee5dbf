package processors

import (
	"runtime"
	"testing"
)

func TestHalf(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	t.Setenv("GOMAXPROCS", "")
	All()
	all := runtime.GOMAXPROCS(0)
	for range 2 { // half of a half is none of it
		Half()
		if n := runtime.GOMAXPROCS(0); n != max(1, all/2) {
			t.Errorf("%d of %d", n, all)
		}
	}
	All()
	if n := runtime.GOMAXPROCS(0); n != all {
		t.Errorf("%d, and there are %d", n, all)
	}
	const chosen = 7
	t.Setenv("GOMAXPROCS", "7")
	runtime.GOMAXPROCS(chosen)
	for _, decide := range []func(){Half, All} {
		if decide(); runtime.GOMAXPROCS(0) != chosen {
			t.Error("GOMAXPROCS in the environment does not win")
		}
	}
}
