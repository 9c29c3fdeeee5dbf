package rule

// CutPattern splits a pattern of uWSGI's (http-use-pattern) at its only %s; %% is a
// percent sign. ok is false when there is none, or more.
func CutPattern(text string) (before, after string, ok bool) {
	into, places := &before, 0
	for i := 0; i < len(text); i++ {
		if text[i] != '%' || i+1 == len(text) {
			*into += text[i : i+1]
			continue
		}
		i++
		switch text[i] {
		case '%':
			*into += "%"
		case 's':
			places++
			into = &after
		}
	}
	return before, after, places == 1
}
