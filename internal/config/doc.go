// Package config turns files, environment and command line into typed options.
package config
