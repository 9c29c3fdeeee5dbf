package resource

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	// mostReadings bounds how often a folder is read that changes all the time.
	mostReadings = 3

	// coarse is more than what the kernel's clock for files lags behind: a change as
	// young as this may have another behind it with the same time.
	coarse = 50 * time.Millisecond
)

// readFolder is os.ReadDir for folders in which files are replaced meanwhile. A
// large folder is read piece by piece, and in some file systems a file that is
// renamed over another moves: who reads before and behind it does not see either.
// What is not seen counts as removed, so a folder that changed while it was read is
// read again, and what one of the readings has and another has not is looked at.
func readFolder(path string) ([]os.DirEntry, error) {
	return readSteadily(path, func() ([]os.DirEntry, error) { return os.ReadDir(path) })
}

func readSteadily(path string, read func() ([]os.DirEntry, error)) ([]os.DirEntry, error) {
	seen, times := map[string]os.DirEntry{}, map[string]int{}
	for range mostReadings {
		before, beforeErr := os.Stat(path)
		began := time.Now()
		entries, err := read()
		if err != nil {
			return nil, err
		}
		after, afterErr := os.Stat(path)
		if beforeErr == nil && afterErr == nil && before.ModTime().Equal(after.ModTime()) && began.Sub(before.ModTime()).Abs() > coarse {
			return entries, nil // nothing changed: this is what there is
		}
		for _, e := range entries {
			seen[e.Name()] = e
			times[e.Name()]++
		}
	}
	all := make([]os.DirEntry, 0, len(seen))
	for name, e := range seen {
		if times[name] < mostReadings {
			if _, err := os.Lstat(filepath.Join(path, name)); os.IsNotExist(err) {
				continue
			}
		}
		all = append(all, e)
	}
	slices.SortFunc(all, func(a, b os.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return all, nil
}
