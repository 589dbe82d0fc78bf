// SPDX-License-Identifier: Apache-2.0

// Package query reads and answers the queries that dashboards, alerts and documents put to a log:
// it says which events and keys a LogQL text names, holds them against the contract of the log, and
// runs jq programs over a log.
//
// It is for tests and generators alone: nothing of it is in the daemon.
package query

import "slices"

// A Query is what a LogQL text names.
type Query struct {
	Selections []Selection
	// Groups are the labels that aggregations and joins name.
	Groups []string
}

// A Selection is a stream selector with what stands behind it.
type Selection struct {
	// Labels are those of the stream: in the braces, and others that no stage takes out of the lines.
	Labels []string
	// Events are the events that its filters let through. None: all lines.
	Events []string
	// Keys are those of the lines that the selection reads, in the order of the text.
	Keys []Key
}

// A Key is a key of a line, and what a query does with it.
type Key struct {
	Name   string // in the line
	Label  string // what the query calls it; "": nothing, it stands in a line filter
	Number bool   // is unwrapped, or compared with a number
	Needed bool   // lines without it are lost: it is unwrapped, or compared with something
	// Values are the texts that it is compared with. What holds a variable, or is a pattern
	// beyond alternatives, is not among them.
	Values []string
}

// label gives the key that the query calls so.
func (s *Selection) label(name string) *Key {
	for i := range s.Keys {
		if s.Keys[i].Label == name {
			return &s.Keys[i]
		}
	}
	return nil
}

func add(list []string, names ...string) []string {
	for _, name := range names {
		if !slices.Contains(list, name) {
			list = append(list, name)
		}
	}
	return list
}
