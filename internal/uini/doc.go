// Package uini reads uWSGI-flavoured ini text into ordered directives.
//
// uWSGI's dialect is not what ini readers usually expect. A section is an
// ordered list in which a key may occur many times; a value reaches to the end of
// the line, with quotes, semicolons and backslashes as plain data; a key needs no
// "="; and magic variables (%n, %d …) are replaced in the raw text before it is
// cut into lines, so that they work in keys and section names too. (core/ini.c
// and magic_sub of uWSGI 2.0.21.)
//
// The reading itself is gopkg.in/ini.v1's, which no other package may use. It
// keeps neither the order of different keys nor line numbers, so it is fed a copy
// of the text in which every directive is written as one more value of the same
// key, preceded by the number of its line and closed by a sentinel:
//
//	[uwsgi]                     [suwsgi]
//	  http = :8080 ; front      d=2 http = :8080 ; front|
//	master                      d=3 master|
//
// Every value then begins with a digit and ends in "|": no quoting, continuation
// or trimming rule of the library can touch it, and the values of the one key
// "d" come back in the order of the lines.
//
// What uWSGI reads differently from what the author meant (a header without its
// "]", a "%" that deletes the character after it, a NUL byte) is read as uWSGI
// reads it and reported as a Mistake; whether that is fatal is the caller's
// decision. A byte order mark is skipped, where uWSGI would lose the section.
package uini
