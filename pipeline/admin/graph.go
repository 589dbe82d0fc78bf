package admin

import (
	"cmp"
	"errors"
	"net/http"
	"slices"
)

// A Shape is a pipeline as the parts that its records pass, and the ways between them. The parts stand in
// the order of the file.
type Shape struct {
	Pipeline string
	Parts    []Part
	Ways     []Way
}

// A Part is a source, a step, a router, a sink, or the sink of dead letters.
type Part struct {
	ID         string // of its own within the pipeline
	Role       string // source, step, router, sink, dead_letter
	Name, Kind string
	Text       string   // what its settings say, in a line
	How        []string // how it runs and what holds it back, a line each
}

// A Way leads from one part to another, by their IDs.
type Way struct {
	From, To string
	When     string // the condition under which a record goes there; "": each does
	Rejected bool   // it is that of rejected records
}

// Sizes of the drawing, in the units of its width and height: pixels, unless who draws it has others.
const (
	partWidth, partHeight     = 200, 112
	routerWidth, routerHeight = 60, 34
	betweenLayers             = 76 // where the rate of a way stands
	betweenParts              = 18
	margin                    = 10
)

type graphJSON struct {
	Pipeline string     `json:"pipeline"`
	Width    int        `json:"width"`
	Height   int        `json:"height"`
	Nodes    []nodeJSON `json:"nodes"`
	Edges    []edgeJSON `json:"edges"`
}

type nodeJSON struct {
	ID   string   `json:"id"`
	Role string   `json:"role"`
	Name string   `json:"name"`
	Kind string   `json:"kind,omitempty"`
	Text string   `json:"text,omitempty"`
	How  []string `json:"how,omitempty"`
	X    int      `json:"x"`
	Y    int      `json:"y"`
	W    int      `json:"w"`
	H    int      `json:"h"`
}

type edgeJSON struct {
	From     string `json:"from"`
	To       string `json:"to"`
	When     string `json:"when,omitempty"`
	Rejected bool   `json:"rejected,omitempty"`
}

// graph answers /api/v1/graph.
func (s *Server) graph() http.Handler {
	if s.options.Shapes == nil {
		return nil
	}
	return shows(func(r *http.Request) (any, error) {
		only, err := parameters(r, "pipeline", "direction")
		if err != nil {
			return nil, err
		}
		down := only["direction"] == "down"
		if d, given := only["direction"]; given && !down && d != "right" {
			return nil, errors.New("direction is right or down")
		}
		out := ofPipelines[graphJSON]{[]graphJSON{}}
		var names []string
		for _, shape := range s.options.Shapes() {
			names = append(names, shape.Pipeline)
			if name, one := only["pipeline"]; !one || name == shape.Pipeline {
				out.Pipelines = append(out.Pipelines, layOut(shape, down))
			}
		}
		return out, unknownPipeline(only, names)
	})
}

// layOut gives each part a place: layer by layer as records go, to the right or down, and within a layer in
// the order that lets ways cross least.
func layOut(shape Shape, down bool) graphJSON {
	out := graphJSON{Pipeline: shape.Pipeline, Nodes: []nodeJSON{}, Edges: []edgeJSON{}}
	for _, w := range shape.Ways {
		out.Edges = append(out.Edges, edgeJSON(w))
	}
	layers := layersOf(shape)
	widest := 0 // across the direction
	for _, layer := range layers {
		widest = max(widest, across(layer, down))
	}
	along := margin
	for _, layer := range layers {
		at, thick := margin+(widest-across(layer, down))/2, 0
		for _, p := range layer {
			n := nodeJSON{ID: p.ID, Role: p.Role, Name: p.Name, Kind: p.Kind, Text: p.Text, How: p.How}
			n.W, n.H = sizeOf(p)
			if down {
				n.X, n.Y, thick = at, along, max(thick, n.H)
				at += n.W + betweenParts
			} else {
				n.X, n.Y, thick = along, at, max(thick, n.W)
				at += n.H + betweenParts
			}
			out.Nodes = append(out.Nodes, n)
		}
		along += thick + betweenLayers
	}
	along += margin - betweenLayers
	if out.Width, out.Height = along, widest+2*margin; down {
		out.Width, out.Height = out.Height, out.Width
	}
	return out
}

func sizeOf(p Part) (w, h int) {
	if p.Role == "router" {
		return routerWidth, routerHeight
	}
	return partWidth, partHeight
}

// across is how much room the parts of a layer take beside each other.
func across(layer []Part, down bool) int {
	sum := -betweenParts
	for _, p := range layer {
		w, h := sizeOf(p)
		if !down {
			w = h
		}
		sum += w + betweenParts
	}
	return sum
}

// layersOf puts each part behind all that lead to it. Within a layer parts stand by the middle of those
// that lead to them, and where that is the same in the order of the file.
func layersOf(shape Shape) (layers [][]Part) {
	depth := map[string]int{}
	for range shape.Parts { // each pass settles one more layer: the ways have no circle
		for _, w := range shape.Ways {
			depth[w.To] = max(depth[w.To], min(depth[w.From]+1, len(shape.Parts)-1))
		}
	}
	for _, p := range shape.Parts {
		d := depth[p.ID]
		for len(layers) <= d {
			layers = append(layers, nil)
		}
		layers[d] = append(layers[d], p)
	}
	layers = slices.DeleteFunc(layers, func(l []Part) bool { return len(l) == 0 })
	place := map[string]float64{}
	for _, layer := range layers {
		middle := map[string]float64{}
		for _, p := range layer {
			sum, n := 0.0, 0.0
			for _, w := range shape.Ways {
				if w.To == p.ID {
					sum, n = sum+place[w.From], n+1
				}
			}
			middle[p.ID] = sum / max(n, 1)
		}
		slices.SortStableFunc(layer, func(a, b Part) int { return cmp.Compare(middle[a.ID], middle[b.ID]) })
		for i, p := range layer {
			place[p.ID] = float64(i) - float64(len(layer)-1)/2
		}
	}
	return layers
}
