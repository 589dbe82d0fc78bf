package admin

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
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
	partWidth                 = 192
	stepHeight, endHeight     = 122, 98 // a step has one line more to show than a source or a sink
	routerWidth, routerHeight = 60, 34
	betweenLayers             = 62 // where the rate of a way stands
	betweenParts              = 16
	betweenRows               = 40
	marginX, marginY          = 24, 8 // a way to the next row turns at the sides
	leastWidth                = 400   // that a drawing may be bounded to
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
		only, err := parameters(r, "pipeline", "direction", "width")
		if err != nil {
			return nil, err
		}
		down, width := only["direction"] == "down", 0
		if d, given := only["direction"]; given && !down && d != "right" {
			return nil, errors.New("direction is right or down")
		}
		if text, given := only["width"]; given {
			if width, err = strconv.Atoi(text); err != nil || width < leastWidth {
				return nil, fmt.Errorf("width is a number from %d on", leastWidth)
			}
		}
		out := ofPipelines[graphJSON]{[]graphJSON{}}
		var names []string
		for _, shape := range s.options.Shapes() {
			names = append(names, shape.Pipeline)
			if name, one := only["pipeline"]; !one || name == shape.Pipeline {
				out.Pipelines = append(out.Pipelines, layOut(shape, down, width))
			}
		}
		return out, unknownPipeline(only, names)
	})
}

// layOut gives each part a place: layer by layer as records go, to the right or down, and within a layer in
// the order that lets ways cross least. To the right it begins a new row where the next layer would reach beyond width;
// 0: there is no bound.
func layOut(shape Shape, down bool, width int) graphJSON {
	out := graphJSON{Pipeline: shape.Pipeline, Nodes: []nodeJSON{}, Edges: []edgeJSON{}}
	for _, w := range shape.Ways {
		out.Edges = append(out.Edges, edgeJSON(w))
	}
	layers := layersOf(shape)
	if down {
		out.Width, out.Height = out.row(layers, down, 0)
		return out
	}
	top := 0
	for len(layers) > 0 {
		n := rowOf(layers, width)
		w, bottom := out.row(layers[:n], down, top)
		layers = layers[n:]
		out.Width, out.Height, top = max(out.Width, w), bottom, bottom-2*marginY+betweenRows
	}
	return out
}

// rowOf gives how many layers stand in the next row. A router stays with what it leads to.
func rowOf(layers [][]Part, width int) int {
	n, along := 0, marginX
	for n < len(layers) && (n == 0 || width == 0 || along+thickness(layers[n], false)+marginX <= width) {
		along += thickness(layers[n], false) + betweenLayers
		n++
	}
	if n > 1 && n < len(layers) && layers[n-1][0].Role == "router" {
		n--
	}
	return n
}

// row places layers behind each other from top on, and gives how far they reach.
func (g *graphJSON) row(layers [][]Part, down bool, top int) (right, bottom int) {
	widest := 0 // across the direction
	for _, layer := range layers {
		widest = max(widest, across(layer, down))
	}
	along, beside := marginX, top+marginY
	if down {
		along, beside = top+marginY, marginX
	}
	for _, layer := range layers {
		at := beside + (widest-across(layer, down))/2
		for _, p := range layer {
			n := nodeJSON{ID: p.ID, Role: p.Role, Name: p.Name, Kind: p.Kind, Text: p.Text, How: p.How}
			n.W, n.H = sizeOf(p)
			if down {
				n.X, n.Y = at, along
				at += n.W + betweenParts
			} else {
				n.X, n.Y = along, at
				at += n.H + betweenParts
			}
			g.Nodes = append(g.Nodes, n)
		}
		along += thickness(layer, down) + betweenLayers
	}
	along -= betweenLayers
	if down {
		return beside + widest + marginX, along + marginY
	}
	return along + marginX, beside + widest + marginY
}

// thickness is how much room a layer takes along the direction.
func thickness(layer []Part, down bool) (most int) {
	for _, p := range layer {
		w, h := sizeOf(p)
		if down {
			w = h
		}
		most = max(most, w)
	}
	return most
}

func sizeOf(p Part) (w, h int) {
	switch p.Role {
	case "router":
		return routerWidth, routerHeight
	case "step":
		return partWidth, stepHeight
	}
	return partWidth, endHeight
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
