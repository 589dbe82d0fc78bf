package admin

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/tidwall/gjson"

	"github.com/penstockio/penstock/pipeline/engine"
)

// fanned is a source, two steps, a router, two sinks and the dead letters.
func fanned(name string) Shape {
	return Shape{Pipeline: name,
		Parts: []Part{
			{ID: "source", Role: "source", Name: "kafka"}, {ID: "a", Role: "step", Name: "a", Kind: "http", Text: "url: x", How: []string{"4 at once"}},
			{ID: "b", Role: "step", Name: "b"}, {ID: "router", Role: "router"},
			{ID: "k", Role: "sink", Name: "k"}, {ID: "f", Role: "sink", Name: "f"}, {ID: "dead", Role: "dead_letter", Name: "dead"},
		},
		Ways: []Way{
			{From: "source", To: "a"}, {From: "a", To: "b"}, {From: "b", To: "router"}, {From: "router", To: "k"},
			{From: "router", To: "f", When: "x > 1"}, {From: "router", To: "dead", Rejected: true},
		}}
}

// TestTheGraphIsLaidOut: each part stands behind those that lead to it, and none on another, in both directions.
func TestTheGraphIsLaidOut(t *testing.T) {
	loose := Shape{Pipeline: "loose", Parts: []Part{{ID: "x"}, {ID: "y"}, {ID: "z"}}, // a short way and a long one to the same part
		Ways: []Way{{From: "x", To: "z"}, {From: "x", To: "y"}, {From: "y", To: "z"}}}
	for _, shape := range []Shape{fanned("p"), loose, {Pipeline: "empty"}} {
		for _, down := range []bool{false, true} {
			g := layOut(shape, down, 0)
			at := map[string]nodeJSON{}
			for i, n := range g.Nodes {
				at[n.ID] = n
				if n.X < 0 || n.Y < 0 || n.X+n.W > g.Width || n.Y+n.H > g.Height {
					t.Errorf("%s %v: %s stands outside of the drawing: %+v in %d x %d", shape.Pipeline, down, n.ID, n, g.Width, g.Height)
				}
				for _, o := range g.Nodes[:i] {
					if n.X < o.X+o.W && o.X < n.X+n.W && n.Y < o.Y+o.H && o.Y < n.Y+n.H {
						t.Errorf("%s %v: %s stands on %s", shape.Pipeline, down, n.ID, o.ID)
					}
				}
			}
			for _, e := range g.Edges {
				from, to := at[e.From], at[e.To]
				if end, begin := from.X+from.W, to.X; !down && begin <= end {
					t.Errorf("%s: %s is not to the right of %s", shape.Pipeline, e.To, e.From)
				}
				if end, begin := from.Y+from.H, to.Y; down && begin <= end {
					t.Errorf("%s: %s is not below %s", shape.Pipeline, e.To, e.From)
				}
			}
			if len(at) != len(shape.Parts) || len(g.Edges) != len(shape.Ways) {
				t.Errorf("%s %v: %d parts and %d ways", shape.Pipeline, down, len(at), len(g.Edges))
			}
		}
	}
}

// TestALongChainIsBroken: it goes on in further rows, none of which is wider than was asked for.
func TestALongChainIsBroken(t *testing.T) {
	long := fanned("p")
	last := "b"
	for i := range 20 {
		id := fmt.Sprint("more", i)
		long.Parts = append(long.Parts, Part{ID: id, Role: "step"})
		long.Ways = append(long.Ways, Way{From: last, To: id})
		last = id
	}
	long.Ways = append(long.Ways, Way{From: last, To: "router"})
	for _, width := range []int{leastWidth, 1000, 1500} {
		g := layOut(long, false, width)
		if g.Width > width || len(g.Nodes) != len(long.Parts) {
			t.Errorf("%d parts in a drawing of %d x %d, for %d", len(g.Nodes), g.Width, g.Height, width)
		}
		rows := map[string]int{}
		for _, n := range g.Nodes {
			rows[n.ID] = n.Y + n.H/2
		}
		if rows["router"] != rows["f"] { // the middle one of three
			t.Errorf("for %d the router stands at %d, and what it leads to at %d", width, rows["router"], rows["f"])
		}
		for i, n := range g.Nodes {
			if n.X+n.W > g.Width || n.Y+n.H > g.Height {
				t.Errorf("%s stands outside of the drawing", n.ID)
			}
			for _, o := range g.Nodes[:i] {
				if n.X < o.X+o.W && o.X < n.X+n.W && n.Y < o.Y+o.H && o.Y < n.Y+n.H {
					t.Errorf("%s stands on %s", n.ID, o.ID)
				}
				if n.Role == "step" && o.Role == "step" && n.Y+n.H <= o.Y {
					t.Errorf("%s comes after %s, and stands in a row above it", n.ID, o.ID)
				}
			}
		}
	}
}

// A circle of ways is a fault of who calls, and ends all the same.
func TestACircleIsLaidOut(t *testing.T) {
	g := layOut(Shape{Parts: []Part{{ID: "a"}, {ID: "b"}}, Ways: []Way{{From: "a", To: "b"}, {From: "b", To: "a"}}}, false, 0)
	if len(g.Nodes) != 2 {
		t.Errorf("%+v", g)
	}
}

func TestTheGraphIsAnswered(t *testing.T) {
	o := healthy()
	o.Snapshots = func() []engine.Snapshot { return []engine.Snapshot{{Pipeline: "p"}, {Pipeline: "q"}} }
	o.Shapes = func() []Shape { return []Shape{fanned("p"), fanned("q")} }
	s := start(t, o)
	c := client(t, &http.Transport{})
	for query, want := range map[string]string{
		"":                         "200 p q right",
		"?pipeline=q":              "200 q right",
		"?direction=down":          "200 p q down",
		"?direction=up":            "400 direction is right or down",
		"?width=399":               "400 width is a number from 400 on",
		"?width=all":               "400 width is a number from 400 on",
		"?pipeline=r":              `404 there is no pipeline "r" here: there is p, q`,
		"?pipeline=p&pipeline=q":   "400 the parameter pipeline comes twice",
		"?direction=right&shape=x": `400 there is no parameter "shape" here: there is pipeline, direction, width`,
	} {
		status, body, _ := ask(t, c, "GET", "http://"+s.Addr()+"/api/v1/graph"+query, nil)
		got := fmt.Sprint(status)
		if status != 200 {
			got += " " + gjson.Get(body, "error").String()
		} else {
			for _, p := range gjson.Get(body, "pipelines").Array() {
				got += " " + p.Get("pipeline").String()
			}
			got += map[bool]string{true: " down", false: " right"}[gjson.Get(body, "pipelines.0.height").Int() > gjson.Get(body, "pipelines.0.width").Int()]
		}
		if got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
	_, body, _ := ask(t, c, "GET", "http://"+s.Addr()+"/api/v1/graph?pipeline=p", nil)
	if n := gjson.Get(body, `pipelines.0.nodes.#(id=="a")`); n.Get("role").String() != "step" || n.Get("kind").String() != "http" || n.Get("text").String() != "url: x" || n.Get("how.0").String() != "4 at once" {
		t.Error(n.Raw)
	}
	if e := gjson.Get(body, `pipelines.0.edges.#(to=="f")`); e.Raw != `{"from":"router","to":"f","when":"x \u003e 1"}` {
		t.Error(e.Raw)
	}
}
