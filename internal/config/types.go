package config

import "io/fs"

func parseBool(text string) (bool, bool)                     { return true, true }
func parseNumber(o Option, text string) (n int64, bad string) { return 0, "" }
func parseMode(text string) (fs.FileMode, string)            { return 0, "" }
