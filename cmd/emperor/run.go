package main

import (
	"context"
	"io"

	"emperor/emperor"
	"emperor/internal/proc"
)

// runEmperor is `emperor FILE`: the emperor itself, in the foreground.
func runEmperor(args []string, _ io.Writer) error {
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
	if len(main.Monitor.Patterns) == 0 && len(main.Front.Listeners) == 0 && main.App == nil {
		return usageError("%s: nothing to do: want emperor (where the vassals are), an app (such as module or command), or http (where to listen)", main.Name())
	}
	logs := openLog(main, true)
	defer logs.close()
	warn(logs.log, append(problems, main.EmptyFront()...))
	proc.GiveWay()
	return emperor.New(emperor.Program{
		Reader: reader, Source: s, Main: main, Files: files, Version: versionText(), Log: logs.log, Logs: logs.logs, Amnesty: urgentIsOurs,
		Flush: logs.flush,
	}).Run(context.Background())
}
