package config

import (
	"slices"
	"strings"

	"github.com/penstockio/penstock/pipeline/expr"
)

// nearest gives the known name that word was most likely meant to be, or "".
func nearest(word string, known []string) string {
	best := expr.Nearest(word, known)
	if best == "" && len(word) >= 3 {
		for _, k := range known {
			if n := shared(k, word); n == len(word) || n == len(k) && n >= 3 || n >= 4 && 2*n >= len(k) && 3*n >= len(word) {
				return k
			}
		}
	}
	return best
}

// shared counts the bytes with which both begin.
func shared(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// didYouMean gives a suggestion out of known names: the nearest, or all of them.
func didYouMean(word string, known []string) string {
	if n := nearest(word, known); n != "" {
		return "did you mean " + n + "?"
	}
	if len(known) == 0 {
		return ""
	}
	known = slices.Clone(known)
	slices.Sort(known)
	return "known here: " + strings.Join(slices.Compact(known), ", ")
}

// Nearest gives the known name that word was most likely meant to be, or "".
func Nearest(word string, known []string) string { return nearest(word, known) }

// Distance is expr.Distance: how many letters make one name of another.
func Distance(a, b string) int { return expr.Distance(a, b) }
