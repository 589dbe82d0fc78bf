package top

import (
	"math"
	"slices"
	"strings"
)

// A column is one of the table of steps.
type column struct {
	name  string
	width int
	left  int // in which order it is left out when there is no room, from 1; 0: it stays
	value func(*Step) (string, style)
}

func text(f func(*Step) string) func(*Step) (string, style) {
	return func(s *Step) (string, style) { return f(s), plain }
}

const barPlaces = 8

// columns are all there are beside the name, in the order in which they stand.
var columns = []column{
	{"KIND", 8, 8, text(func(s *Step) string {
		if s.Role == RoleDeadLetters {
			return "letters"
		}
		return s.Kind
	})},
	{"IN/S", 7, 0, text(func(s *Step) string { return short(s.Rate.In) })},
	{"OUT/S", 7, 14, text(func(s *Step) string { return short(s.Rate.Out) })},
	{"ERR", 5, 16, func(s *Step) (string, style) {
		switch r := s.Rate.errorRatio(); {
		case s.Rate.Errors > 0 && math.IsNaN(r):
			return short(s.Rate.Errors) + "/s", fair
		case s.Rate.Errors > 0:
			return percent(r), fair
		}
		if s.Circuits > 0 {
			return "open", bad
		}
		return percent(s.Rate.errorRatio()), plain
	}},
	{"QUEUE", barPlaces + 6, 12, func(s *Step) (string, style) {
		if math.IsNaN(s.Queue.Fill) {
			return unknown, plain
		}
		st := plain
		if s.Queue.Fill >= 0.9 {
			st = fair
		}
		return bar(s.Queue.Fill, barPlaces) + " " + pad(shortWhole(s.Queue.Len), 5), st
	}},
	{"WRK", 4, 10, text(func(s *Step) string {
		if s.Workers < 0 {
			return unknown
		}
		return wholeIn(s.Workers, 4)
	})},
	{"BUSY", 5, 15, func(s *Step) (string, style) {
		if s.Shares.Busy >= 0.9 {
			return percent(s.Shares.Busy), fair
		}
		return percent(s.Shares.Busy), plain
	}},
	{"IDLE", 5, 7, text(func(s *Step) string { return percent(s.Shares.Idle) })},
	{"BLKD", 5, 13, func(s *Step) (string, style) {
		if s.Shares.Blocked >= 0.5 {
			return percent(s.Shares.Blocked), fair
		}
		return percent(s.Shares.Blocked), plain
	}},
	{"P50", 6, 9, text(func(s *Step) string { return span(s.Latency.P50) })},
	{"P95", 6, 6, text(func(s *Step) string { return span(s.Latency.P95) })},
	{"P99", 6, 17, text(func(s *Step) string { return span(s.Latency.P99) })},
	{"OLDEST", 6, 11, text(func(s *Step) string { return spanOf(s.OldestMs) })},
	{"IN", 11, 5, text(func(s *Step) string { return wholeIn(s.In, 11) })},
	{"OUT", 11, 4, text(func(s *Step) string { return wholeIn(s.Out, 11) })},
	{"REJECTED", 9, 3, text(func(s *Step) string { return wholeIn(s.Rejected, 9) })},
	{"FILTERED", 11, 2, text(func(s *Step) string { return wholeIn(s.Filtered, 11) })},
	{"RETRIES", 8, 1, text(func(s *Step) string { return wholeIn(s.Retries, 8) })},
}

// LeftOut gives the columns of the steps in the order in which they are left out when a screen is too narrow.
func LeftOut() []string {
	var all []column
	for _, c := range columns {
		if c.left > 0 {
			all = append(all, c)
		}
	}
	slices.SortFunc(all, func(a, b column) int { return a.left - b.left })
	names := make([]string, 0, len(all))
	for _, c := range all {
		names = append(names, c.name)
	}
	return names
}

// How wide the column of names is.
const (
	leastName = 12
	mostName  = 40
)

// columnsFor gives the columns that fit, and how wide the names are then.
func columnsFor(width int, steps []Step) (fit []column, name int) {
	name = leastName
	for i := range steps {
		name = max(name, min(widthOf(steps[i].Name), mostName))
	}
	fit = slices.Clone(columns)
	used := func() (n int) {
		for _, c := range fit {
			n += c.width + 1
		}
		return n
	}
	for _, least := range []int{min(name, 20), leastName} { // long names give way before columns that matter
		for used()+least+3 > width {
			next := -1
			for i, c := range fit {
				if c.left > 0 && (next < 0 || c.left < fit[next].left) {
					next = i
				}
			}
			if next < 0 || least > leastName && fit[next].left > 5 {
				break
			}
			fit = slices.Delete(fit, next, next+1)
		}
	}
	return fit, max(min(name, width-used()-3), 4)
}

// pad puts spaces in front of a text.
func pad(s string, width int) string {
	return strings.Repeat(" ", max(width-widthOf(s), 0)) + s
}

// apart is pad for a text that stands behind another one: one that needs all of the room is still told from that.
func apart(s string, width int) string { return " " + pad(s, width-1) }
