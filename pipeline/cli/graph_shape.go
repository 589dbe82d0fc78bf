package cli

import (
	"fmt"

	"github.com/penstockio/penstock/pipeline/admin"
	"github.com/penstockio/penstock/pipeline/config"
)

// shapes gives the pipelines of a set as the endpoint draws them. What a part says is what the command graph says of it.
func shapes(set *config.Set) (all []admin.Shape) {
	for _, p := range set.Pipelines {
		all = append(all, newDrawing(p).shape())
	}
	return all
}

// The parts of a Shape.
const (
	roleSource     = "source"
	roleStep       = "step"
	roleRouter     = "router"
	roleSink       = "sink"
	roleDeadLetter = "dead_letter"
)

// shape makes the parts and the ways between them. Where records may go more than one way a router stands before the sinks.
func (d drawing) shape() admin.Shape {
	s := admin.Shape{Pipeline: d.name}
	add := func(role string, b box) string {
		id := fmt.Sprintf("%s:%s", role, b.name)
		s.Parts = append(s.Parts, admin.Part{ID: id, Role: role, Name: b.name, Kind: b.kind, Text: b.text, How: b.how})
		return id
	}
	last, role := "", roleSource
	for _, b := range d.chain {
		id := add(role, b)
		if last != "" {
			s.Ways = append(s.Ways, admin.Way{From: last, To: id})
		}
		last, role = id, roleStep
	}
	if len(d.sinks) > 1 || d.rejected != nil || len(d.sinks) == 1 && d.sinks[0].when != "" {
		id := add(roleRouter, box{name: roleRouter})
		s.Ways = append(s.Ways, admin.Way{From: last, To: id})
		last = id
	}
	for _, b := range d.sinks {
		s.Ways = append(s.Ways, admin.Way{From: last, To: add(roleSink, b), When: b.when})
	}
	if d.rejected != nil {
		s.Ways = append(s.Ways, admin.Way{From: last, To: add(roleDeadLetter, *d.rejected), Rejected: true})
	}
	return s
}
