// SPDX-License-Identifier: Apache-2.0

// Package jsontext checks JSON text, walks through it, and reads and edits what stands at a [Path],
// without making values of it. It allocates only for paths as text, and where a name or a text has
// escapes.
//
// Places are indices into the text; -1 or an end below the beginning says that there is none.
// [Valid], [Value] and [Member] take any bytes. [Space] does too; everything else that takes text
// is for text that is known to be valid, and may panic on other.
package jsontext
