// Package rights decides with whose rights the files of a configuration are
// opened, and opens them so.
//
// An emperor that is root reads files that other people write: a vassal's file
// may belong to a tenant, and name further files (include, inherit, if-exists …).
// If root opened those, a tenant could read through it what only root may read:
// the values would reach the tenant's program, a line that is no configuration
// would be quoted in a log.
//
// The rule: a file is opened with the rights of whoever chose it. That is root, as
// long as everything on the way to it is root's alone:
//
//   - the line that names it stands in a file that belongs to root, and that nobody
//     else may write;
//   - that file was itself chosen by root: rights are lost on the way from the main
//     file to a line, never gained;
//   - every directory and symbolic link on its path belongs to root.
//
// Otherwise it is the first on that way who is not root. So what only root can
// read goes on working where root's own files name it, also in a vassal that runs
// as another user; a tenant's file is opened by root or by its owner, which makes
// no difference, and what it names by its owner.
//
// A file of root's that others may write was written by whoever has been given
// no more than that: it is taken as nobody's (with the file's group, where only
// that may write).
//
// Where the main file says who every vassal is (its uid and gid), uWSGI's emperor
// has become that user before it reads the first vassal. Then all is opened as
// that user (NewReader's as), whoever chose it.
//
// Rights are taken by threads made for it, since the kernel keeps them for each
// thread: a Reader has one for each user it had to become, until Close. For files
// of root's it needs none. An emperor that is not root, or may not become others
// (a container without CAP_SETUID), opens everything as it is; it can run vassals
// as nobody else either.
package rights
