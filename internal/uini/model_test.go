package uini

import "bytes"

// modelSection is a second reading of uWSGI's core/ini.c and magic_sub, made
// without ini.v1 and without sharing code with the package: one pass over bytes,
// as the C code does it. The fuzz target compares the two.
func modelSection(data []byte, wanted string, magic map[byte]string) [][2]string {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	text := modelMagic(append(bytes.Clone(data), 0), magic)
	var out [][2]string
	section := ""
	for len(text) > 0 {
		line := text
		if nl := bytes.IndexByte(text, '\n'); nl >= 0 {
			line, text = text[:nl], text[nl+1:]
		} else {
			text = nil
		}
		if nul := bytes.IndexByte(line, 0); nul >= 0 {
			line = line[:nul]
		}
		key := modelStrip(line)
		switch {
		case len(key) == 0:
		case key[0] == '[':
			if len(key) == 1 {
				section = ""
			} else {
				section = string(key[1 : len(key)-1])
			}
		case key[0] == ';', key[0] == '#':
		default:
			name, value := key, []byte(nil)
			if eq := bytes.IndexByte(key, '='); eq >= 0 {
				name, value = key[:eq], key[eq+1:]
			}
			if section == wanted {
				out = append(out, [2]string{string(modelStrip(name)), string(modelStrip(value))})
			}
		}
	}
	return out
}

func modelMagic(in []byte, magic map[byte]string) []byte {
	var out []byte
	for i := 0; i < len(in); i++ {
		if in[i] != '%' || i+1 >= len(in) {
			out = append(out, in[i])
			continue
		}
		i++
		switch in[i] {
		case '%':
			out = append(out, '%')
		case '(':
			out = append(out, '%', '(')
		default:
			out = append(out, magic[in[i]]...)
		}
	}
	return out
}

func modelStrip(b []byte) []byte {
	isBlank := func(c byte) bool { return c == ' ' || c == '\t' || c == '\r' }
	for len(b) > 0 && isBlank(b[0]) {
		b = b[1:]
	}
	for len(b) > 0 && isBlank(b[len(b)-1]) {
		b = b[:len(b)-1]
	}
	return b
}
