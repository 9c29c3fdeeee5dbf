// Package monitor is the imperial monitor: it answers one question, again and
// again: which vassal files are wanted now?
//
// The one idea: the scan is the truth. A Monitor walks its directories and globs,
// notes a Stamp for each vassal file and hands out a whole, sorted Snapshot
// whenever something differs from the last one. Events of the kernel (fsnotify)
// only hurry the next scan; a lost event costs time (one Frequency; a minute at most
// where the kernel is known to report everything), never correctness. A reader that
// missed a Snapshot has missed nothing: the latest one holds everything.
//
// What is settled before it is reported:
//   - a file is reported once it has been left alone for the debounce time, so that
//     nobody reads half of a save;
//   - a file counts as gone when it has been missing for the debounce time, because
//     editors (vim) and tools take the old file away before the new one is there;
//   - a directory that cannot be read, or that an emperor line names and that is
//     not there at the moment, changes nothing: its vassals go on (uWSGI does the
//     same), and it is said once; when it is back it has a moment to be filled.
//
// Any difference of a Stamp is a change: uWSGI compares whole seconds of mtime
// and only upwards, and so misses second edits and restored backups. Removing,
// renaming, replacing by mv, the flip of a symlink, a change of its target and the
// ..data swap of a Kubernetes ConfigMap are all plain differences.
//
// Ownership: the goroutine in Run owns all state and the process's one fsnotify
// watcher. Watch and Reconfigure may be called from any goroutine. The package
// reads directories and inodes, never the content of a file, and knows nothing of
// processes.
package monitor
