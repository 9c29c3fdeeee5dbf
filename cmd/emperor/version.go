package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
)

// Stamped by the build: -ldflags "-X main.version=… -X main.commit=…".
var (
	version = "0.1.0-dev"
	commit  = ""
)

// versionText is "0.1.0 (3c1c2e8)".
func versionText() string {
	if commit == "" {
		commit = "unknown"
		if info, ok := debug.ReadBuildInfo(); ok {
			for _, s := range info.Settings {
				if s.Key == "vcs.revision" {
					commit = s.Value[:min(len(s.Value), 12)]
				}
			}
		}
	}
	return fmt.Sprintf("%s (%s)", version, commit)
}

func runVersion(_ []string, out io.Writer) error {
	fmt.Fprintf(out, "emperor %s %s\n", versionText(), runtime.Version())
	return nil
}
