package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Programs that the figures need.
const (
	toolWrk     = "wrk"
	toolEmperor = "emperor"
	toolNginx   = "nginx"
	toolHAProxy = "haproxy"
	toolCaddy   = "caddy"
	toolUWSGI   = "uwsgi"
	toolH2load  = "h2load"

	toolSNIProxy = "sniproxy"
)

// tools are absolute paths of the programs needed.
type tools struct {
	self  string
	paths map[string]string
}

func (t tools) path(tool string) string { return t.paths[tool] }

func findTools(ctx context.Context, s settings, out io.Writer) (tools, error) {
	t := tools{paths: make(map[string]string)}
	var err error
	if t.self, err = os.Executable(); err != nil {
		return t, err
	}
	needed := make(map[string]bool)
	needed[toolWrk] = slices.ContainsFunc(benchCases, func(c benchCase) bool { return c.byWrk() && c.measured(s) })
	needed[toolH2load] = slices.ContainsFunc(benchCases, func(c benchCase) bool { return c.http2 && c.measured(s) })
	needed[toolEmperor] = s.wants(sectionNeighbour) || s.wants(sectionMemory) || s.wants(sectionDeploy)
	for _, f := range fronts {
		needed[f.tool] = needed[f.tool] || s.needs(f.name)
	}
	var missing []error
	for _, tool := range []struct{ tool, name, hint string }{
		{toolWrk, "wrk", "it makes the load (Debian: apt-get install wrk)"},
		{toolH2load, "h2load", "it makes the load of the case https2 (Debian: apt-get install nghttp2-client); or choose other cases with -cases"},
		{toolEmperor, s.emperor, "build it with make build, say where it is with -emperor, or leave it out with -only"},
		{toolNginx, "nginx", "install it (Debian: apt-get install nginx-core) or leave it out with -only"},
		{toolHAProxy, "haproxy", "install it (Debian: apt-get install haproxy) or leave it out with -only"},
		{toolUWSGI, "uwsgi", "install it (Debian: apt-get install uwsgi-core) or leave it out with -only"},
		{toolSNIProxy, "sniproxy", "install it (Debian: apt-get install sniproxy) or leave it out with -only"},
	} {
		if !needed[tool.tool] {
			continue
		}
		if t.paths[tool.tool], err = lookPath(tool.name); err != nil {
			missing = append(missing, fmt.Errorf("%s is not there: %s", tool.name, tool.hint))
		}
	}
	if len(missing) == 0 && needed[toolCaddy] {
		if t.paths[toolCaddy], err = buildCaddy(ctx, out); err != nil {
			missing = append(missing, err)
		}
	}
	return t, errors.Join(missing...)
}

// lookPath finds a program on PATH or in /usr/sbin, where Debian puts nginx and
// where the PATH of an ordinary user does not look.
func lookPath(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err != nil && !strings.Contains(name, "/") {
		path, err = exec.LookPath("/usr/sbin/" + name)
	}
	if err != nil {
		return "", err
	}
	return filepath.Abs(path)
}

var versionNumber = regexp.MustCompile(`\d+\.\d+[-\w.+]*`)

// versions asks each front's program which it is.
func versions(ctx context.Context, t tools) map[string]string {
	all := make(map[string]string)
	for tool, option := range map[string]string{toolEmperor: "version", toolNginx: "-v", toolHAProxy: "-v", toolUWSGI: "--version", toolSNIProxy: "-V"} {
		if t.path(tool) == "" {
			continue
		}
		text, err := exec.CommandContext(ctx, t.path(tool), option).CombinedOutput()
		if err != nil {
			text = []byte(err.Error())
		}
		first, _, _ := strings.Cut(string(text), "\n")
		if all[tool] = versionNumber.FindString(first); tool == toolEmperor || all[tool] == "" {
			all[tool] = strings.TrimSpace(first)
		}
	}
	if t.path(toolCaddy) != "" {
		all[toolCaddy] = strings.TrimPrefix(caddyVersion, "v")
	}
	return all
}
