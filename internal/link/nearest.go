package link

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"emperor/internal/near"
)

// Nearest says in words which vassal somebody may have meant by an address that is
// no vassal's: one whose address or name is nearly the same, else those that have
// sockets beside it (a file was renamed). It is empty when there are none.
func Nearest(address string, vassals []Vassal) string {
	type candidate struct {
		name, address string
		distance      int
	}
	var all []candidate
	for i := range vassals {
		v := &vassals[i]
		for _, a := range v.Addresses {
			c := candidate{v.Name, a.Address, near.Distance(address, a.Address)}
			if hasWord(filepath.Base(address), filepath.Base(v.Name)) {
				c.distance = min(c.distance, 1)
			}
			all = append(all, c)
		}
	}
	slices.SortStableFunc(all, func(a, b candidate) int { return cmp.Compare(a.distance, b.distance) })
	const slip = 2 // letters
	if len(all) > 0 && all[0].distance <= slip {
		return fmt.Sprintf("vassal %s has %s", all[0].name, all[0].address)
	}
	var beside []string
	for _, c := range all {
		if strings.HasPrefix(address, "/") && filepath.Dir(c.address) == filepath.Dir(address) {
			beside = append(beside, fmt.Sprintf("%s (vassal %s)", filepath.Base(c.address), c.name))
		}
	}
	const most = 3
	switch {
	case len(beside) == 0:
		return ""
	case len(beside) > most:
		beside = append(beside[:most:most], fmt.Sprintf("%d more", len(beside)-most))
	}
	return "there is " + strings.Join(beside, ", ")
}

// hasWord tells whether text has a word in it that no letter or digit makes longer.
func hasWord(text, word string) bool {
	letter := func(at int) bool {
		return at >= 0 && at < len(text) && (text[at]|0x20 >= 'a' && text[at]|0x20 <= 'z' || text[at] >= '0' && text[at] <= '9')
	}
	for from := 0; len(word) > 2; {
		i := strings.Index(text[from:], word)
		if i < 0 {
			return false
		}
		if !letter(from+i-1) && !letter(from+i+len(word)) {
			return true
		}
		from += i + 1
	}
	return false
}
