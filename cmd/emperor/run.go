package main

import (
	"context"
	"io"
	"os"
	"slices"
	"time"

	"emperor/emperor"
)

// runEmperor is `emperor FILE`: the emperor itself, in the foreground.
func runEmperor(args []string, _ io.Writer) error {
	if slices.Contains(args, "--") {
		return usageError("running one program without files (emperor run -- COMMAND) is not supported yet")
	}
	if len(args) == 0 {
		return usageError("run: want a configuration file or options; see emperor help")
	}
	reader, err := newReader()
	if err != nil {
		return err
	}
	s, err := source(args)
	if err != nil {
		return err
	}
	main, files, problems := reader.Read(s)
	if main == nil {
		return &failure{exitUsage, problems.Errors().String()}
	}
	if len(main.Monitor.Patterns) == 0 && len(main.Front.Listeners) == 0 {
		return usageError("%s: nothing to do: neither emperor (where the vassals are) nor http (where to listen) is given", main.Name())
	}
	stderr := newPatientLog(os.Stderr)
	defer stderr.close(time.Second)
	log := newLog(stderr, main.JSONLog)
	warn(log, problems)
	return emperor.New(emperor.Program{
		Reader: reader, Source: s, Main: main, Files: files, Version: versionText(), Log: log,
	}).Run(context.Background())
}
