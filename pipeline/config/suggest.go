package config

import (
	"slices"
	"strings"
)

// nearest gives the known name that word was most likely meant to be, or "".
func nearest(word string, known []string) string {
	best, least := "", max(2, len(word)/3)+1
	for _, k := range known {
		d := distance(strings.ToLower(word), strings.ToLower(k))
		if d < least && 2*d < max(len(k), len(word)) { // PUT is no GET
			best, least = k, d
		}
	}
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

// distance counts the insertions, deletions, replacements and swaps of neighbours
// that make b of a.
func distance(a, b string) int {
	x, y := []rune(a), []rune(b)
	if len(x) > 64 || len(y) > 64 {
		return len(x) + len(y)
	}
	rows := make([][]int, len(x)+1)
	for i := range rows {
		rows[i] = make([]int, len(y)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(x); i++ {
		for j := 1; j <= len(y); j++ {
			cost := 1
			if x[i-1] == y[j-1] {
				cost = 0
			}
			d := min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				d = min(d, rows[i-2][j-2]+1)
			}
			rows[i][j] = d
		}
	}
	return rows[len(x)][len(y)]
}

// Nearest gives the known name that word was most likely meant to be, or "".
func Nearest(word string, known []string) string { return nearest(word, known) }

// Distance counts the insertions, deletions, replacements and swaps of neighbours that make b of a,
// upper and lower case left aside.
func Distance(a, b string) int { return distance(strings.ToLower(a), strings.ToLower(b)) }
