// SPDX-License-Identifier: Apache-2.0

// Package settings has the types of the values that components are set up with: sizes,
// secrets, file paths, and names of fields and headers.
//
// Each reads itself from the text in a file (encoding.TextUnmarshaler) and says what is wrong
// with it; package config adds the place. What has a type here is checked once, before
// anything runs, and is right wherever it is used.
package settings
