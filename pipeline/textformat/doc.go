// SPDX-License-Identifier: Apache-2.0

// Package textformat turns text of the formats in which logs and exports are written into JSON
// text, and JSON text back into them.
//
// What reads a format appends JSON text to dst: an object for the formats that name their parts,
// with a member for each part that is there. Names and values are text, also where they look like
// a number; what a format itself says is a number (a port, a status, a size) is one. Bytes that
// are not UTF-8 become U+FFFD. A name that comes several times has an array of its values, so
// that nothing is lost. What writes a format takes JSON text that is known to be valid.
//
// Errors are an [*Error]: they say what did not fit and where, and quote nothing of the text. dst
// comes back as it was then. Functions and the types here are safe for concurrent use.
package textformat

import "strconv"

// An Error says why a text is not of a format, or why a value cannot be written in one.
type Error struct {
	Column int    // the byte of the text where it does not fit, from 1; 0: no single one
	Why    string // "the status is no number"
}

func (e *Error) Error() string {
	if e.Column == 0 {
		return e.Why
	}
	return "column " + strconv.Itoa(e.Column) + ": " + e.Why
}

// at makes the error of the byte i, from 0.
func at(i int, why string) error { return &Error{Column: i + 1, Why: why} }

// whole makes an error of no single place.
func whole(why string) error { return &Error{Why: why} }
