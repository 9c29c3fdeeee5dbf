package main

import (
	"fmt"
	"io"
	"strings"

	"emperor/internal/link"
	"emperor/router"
)

// runExplain is `emperor explain FILE URL`.
func runExplain(args []string, out io.Writer) error {
	method := "GET"
	var asking router.Asking
	var words []string
	for _, arg := range args {
		if taken, err := readAsking(&asking, arg); err != nil {
			return err
		} else if taken {
			continue
		}
		if m, ok := strings.CutPrefix(arg, "--method="); ok {
			method = strings.ToUpper(m)
			continue
		}
		words = append(words, arg)
	}
	if len(words) < 2 {
		return usageError("explain: want FILE and URL")
	}
	target := words[len(words)-1]
	isStream := router.IsStream(target)
	if strings.HasPrefix(target, "-") {
		return usageError("explain: %s stands where the URL should: want FILE and URL", target)
	}
	reader, err := newReader()
	if err != nil {
		return err
	}
	s, err := source(words[:len(words)-1])
	if err != nil {
		return err
	}
	main, _, problems := reader.Read(s)
	if main == nil {
		return &failure{exitUsage, problems.Errors().String()}
	}
	survey, err := main.Survey()
	if err != nil {
		return err
	}
	var vassals []link.Vassal
	var broken []string
	for _, one := range survey.Vassals {
		if one.Spec != nil {
			vassals = append(vassals, link.Vassal{Name: one.Name, Addresses: one.Spec.Addresses(), Files: one.Spec.StaticFiles(), Announces: one.Spec.Announcements(), State: link.Ready, Generation: 1})
		} else {
			broken = append(broken, one.Name)
		}
	}
	var text string
	if isStream {
		text, err = router.ExplainStream(&main.Front, vassals, asking, target)
	} else {
		text, err = router.Explain(&main.Front, vassals, asking, method, target)
	}
	if err != nil {
		return err
	}
	fmt.Fprint(out, text)
	if inside := rulesInside(main); inside != "" && !isStream {
		fmt.Fprintf(out, "           (%s)\n", inside)
	}
	if len(broken) > 0 {
		has := "has a mistake in its file"
		if len(broken) > 1 {
			has = "have mistakes in their files"
		}
		fmt.Fprintf(out, "           (%s %s, see emperor check)\n", strings.Join(broken, ", "), has)
	}
	return nil
}
