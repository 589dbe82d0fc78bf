//go:build !linux

package stages

// changesOfSystem are changes that size, time and number of the file do not tell: they
// go unnoticed here.
var changesOfSystem map[string]func(w *watched, text string)
