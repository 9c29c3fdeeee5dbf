package config

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// magicTable is what "%" and a letter stand for. The entries that describe a file
// keep the values of the file filled in last, as in uWSGI.
type magicTable struct {
	values   map[byte]string
	volatile string
	dir      string
	upper    bool // the upper-case entries have been filled
	opener   Opener
}

// fileMagic are the variables that describe the file being read; their
// upper-case forms describe the first file of a typed option.
const fileMagic = "opsnedcxij"

func newMagicTable(r Request, dir string) magicTable {
	now := time.Now()
	t := magicTable{dir: dir, values: make(map[byte]string, 64), volatile: "tT", opener: ownRights{}}
	for _, c := range []byte(fileMagic + strings.ToUpper(fileMagic) + "0123456789") {
		t.values[c] = ""
	}
	for c, value := range map[byte]string{
		'v': dir, 'h': hostname(), 'b': r.EmperorPath, 'V': r.Version,
		't': strconv.FormatInt(now.Unix(), 10), 'T': strconv.FormatInt(now.UnixMicro(), 10),
		'k': onlineCPUs(),
		'u': strconv.Itoa(os.Getuid()), 'U': userName(), 'g': strconv.Itoa(os.Getgid()), 'G': groupName(),
		'[': "\x1b",
	} {
		t.values[c] = value
	}
	if r.EmperorPath == "" {
		t.volatile += "b" // nobody told us: a uWSGI will know better
	}
	if r.Version == "" {
		t.values['V'] = "2.0.21"
		t.volatile += "V"
	}
	return t
}

// fill makes the table describe a file that a line of by names. Sources that are
// not paths, and the empty name of ":section", only change %o and %x.
func (t *magicTable) fill(name, section string, by Author) {
	v := t.values
	v['o'], v['x'] = name, section
	if scheme(name) != "" || name == "-" || name == "" {
		return
	}
	full, inode := t.find(name, by)
	slash := strings.LastIndexByte(full, '/') + 1
	base := full[slash:]
	stem, extension := base, ""
	if dot := strings.LastIndexByte(base, '.'); dot >= 0 {
		stem, extension = base[:dot], base[dot+1:]
	}
	components := strings.Split(strings.Trim(full[:slash], "/"), "/")
	v['p'], v['s'], v['n'], v['e'], v['d'] = full, base, stem, extension, full[:slash]
	v['c'] = components[len(components)-1]
	for i := range 10 {
		v[byte('0'+i)] = ""
		if i < len(components) {
			v[byte('0'+i)] = components[i]
		}
	}
	v['i'] = inode
	v['j'] = pathHash(full)
}

// fillUpper copies the file's values to the upper-case variables, once.
func (t *magicTable) fillUpper() {
	if t.upper {
		return
	}
	t.upper = true
	for _, c := range []byte(fileMagic) {
		t.values[c-'a'+'A'] = t.values[c]
	}
}

// find is %p and %i. %p is the real path, but a file that is itself a symbolic
// link keeps its own name, so that copies by symlink differ in %n.
func (t *magicTable) find(name string, by Author) (full, inode string) {
	full = absolute(t.dir, name)
	t.opener.Look(full, by, func() {
		info, err := os.Lstat(full)
		if err != nil || info.Mode()&os.ModeSymlink == 0 {
			if real, err := filepath.EvalSymlinks(full); err == nil {
				full = real
				info, _ = os.Lstat(full)
			}
		}
		if info == nil {
			return
		}
		if stat, ok := info.Sys().(*syscall.Stat_t); ok {
			inode = strconv.FormatUint(stat.Ino, 10)
		}
	})
	return full, inode
}

// pathHash is %j: uWSGI's djb33x over the path, its four bytes little-endian.
func pathHash(path string) string {
	h := uint32(5381)
	for i := range len(path) {
		h = h*33 ^ uint32(path[i])
	}
	return fmt.Sprintf("%02X%02X%02X%02X", byte(h), byte(h>>8), byte(h>>16), byte(h>>24))
}

// ExpandMagic replaces the magic variables in a vassal-set value by what they are
// for the request's file: "%%n" in the main file is "%n" here. uWSGI hands such a
// value on as it is, and some want it so: a text with a "%" that is no magic
// variable (log-date = %Y-%m-%d, 100%) is left alone altogether.
func (r Request) ExpandMagic(text string) string {
	if !strings.Contains(text, "%") {
		return text
	}
	dir := r.Dir
	if dir == "" {
		dir, _ = os.Getwd()
	}
	t := newMagicTable(r, dir)
	file, section := splitSection(r.File)
	t.fill(file, section, 0)
	t.fillUpper()
	var out strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '%' {
			out.WriteByte(text[i])
			continue
		}
		i++
		if i == len(text) {
			return text
		}
		value, known := t.values[text[i]]
		switch {
		case text[i] == '%':
			out.WriteByte('%')
		case text[i] == '(':
			out.WriteString("%(")
		case known:
			out.WriteString(value)
		default:
			return text
		}
	}
	return out.String()
}

func hostname() string {
	name, _ := os.Hostname()
	return name
}

// What describes the machine and the process as it started is asked once.
var (
	onlineCPUs = sync.OnceValue(func() string {
		text, _ := os.ReadFile("/sys/devices/system/cpu/online")
		if n, ok := countCPUs(strings.TrimSpace(string(text))); ok {
			return strconv.Itoa(n)
		}
		return strconv.Itoa(runtime.NumCPU())
	})
	userName = sync.OnceValue(func() string {
		uid := strconv.Itoa(os.Getuid())
		if u, err := user.LookupId(uid); err == nil {
			return u.Username
		}
		return uid
	})
	groupName = sync.OnceValue(func() string {
		gid := strconv.Itoa(os.Getgid())
		if g, err := user.LookupGroupId(gid); err == nil {
			return g.Name
		}
		return gid
	})
)

// countCPUs counts a list such as "0-3,8": sysconf(_SC_NPROCESSORS_ONLN), which
// unlike runtime.NumCPU ignores our own affinity.
func countCPUs(list string) (count int, ok bool) {
	for part := range strings.SplitSeq(list, ",") {
		low, high, isRange := strings.Cut(part, "-")
		if !isRange {
			high = low
		}
		a, err1 := strconv.Atoi(low)
		b, err2 := strconv.Atoi(high)
		if err1 != nil || err2 != nil || b < a {
			return 0, false
		}
		count += b - a + 1
	}
	return count, true
}
