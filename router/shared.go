package router

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"emperor/internal/config"
)

const optionShared = "shared-socket"

// sharedOptions: uWSGI binds ports below 1024 before it gives up root's rights, and its
// routers name such a socket by its number. Here the emperor opens every socket of
// the front, so that the number only stands for the address.
var sharedOptions = []config.Option{
	{Name: optionShared, Aliases: []string{"undeferred-shared-socket"}, Type: config.String, Repeat: true, Where: config.Main,
		Help: "An address that listeners name by its number, from 0 on: http = =0, https = =1,FILE.crt,FILE.key. They may as well say it themselves."},
}

// withoutNumbers returns the configuration with addresses in place of the numbers of
// shared sockets.
func withoutNumbers(c *config.Config) (*config.Config, config.Problems) {
	var problems config.Problems
	shared, used := c.All(optionShared), map[int]bool{}
	address := func(v config.Value, text string) string {
		number, ok := strings.CutPrefix(strings.TrimSpace(text), "=")
		n, err := strconv.Atoi(number)
		switch {
		case !ok || err != nil:
			return text
		case n < 0 || n >= len(shared):
			problems = append(problems, config.Problem{Pos: v.Pos, Key: v.Key, Text: fmt.Sprintf("=%d: there are %d lines of %s, counted from 0", n, len(shared), optionShared)})
			return text
		}
		used[n] = true
		return shared[n].Value
	}
	with := *c
	with.Values = slices.Clone(c.Values)
	for i := range with.Values {
		v := &with.Values[i]
		if !slices.Contains(ListenerOptions, v.Key) {
			continue
		}
		if v.Key != optionHTTPS2 {
			first, rest, more := strings.Cut(v.Value, ",")
			if v.Value = address(*v, first); more {
				v.Value += "," + rest
			}
			continue
		}
		items := strings.Split(v.Value, ",")
		for j, item := range items {
			if key, text, ok := strings.Cut(item, "="); ok && strings.TrimSpace(key) == "addr" {
				items[j] = key + "=" + address(*v, text)
			}
		}
		v.Value = strings.Join(items, ",")
	}
	for n, v := range shared {
		if !used[n] {
			problems = append(problems, config.Problem{Pos: v.Pos, Key: v.Key, Text: fmt.Sprintf("nobody listens there: no line says http = =%d", n), Warning: true})
		}
	}
	return &with, problems
}
