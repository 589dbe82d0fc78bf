package dashboards

import (
	"bytes"
	"encoding/json"
)

// Grafana gives a dashboard as the JSON that Grafana imports, or loads from a folder: the same bytes for
// the same data.
func Grafana(d Dashboard) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(model(d)); err != nil {
		panic(err) // structs of texts and numbers cannot fail to encode
	}
	return b.Bytes()
}

// object is for the parts of Grafana's model that are settings of one kind of panel.
type object = map[string]any

// A grafanaPage is the part of Grafana's model of a dashboard that these use.
type grafanaPage struct {
	UID           string         `json:"uid"`
	Title         string         `json:"title"`
	Description   string         `json:"description"`
	Tags          []string       `json:"tags"`
	Editable      bool           `json:"editable"`
	GraphTooltip  int            `json:"graphTooltip"` // 1: the crosshair is shared
	Refresh       string         `json:"refresh"`
	SchemaVersion int            `json:"schemaVersion"`
	Time          object         `json:"time"`
	Links         []object       `json:"links"`
	Annotations   object         `json:"annotations"`
	Templating    object         `json:"templating"`
	Panels        []grafanaPanel `json:"panels"`
}

type grafanaPanel struct {
	ID              int             `json:"id"`
	Type            string          `json:"type"`
	Title           string          `json:"title"`
	Description     string          `json:"description,omitempty"`
	GridPos         gridPos         `json:"gridPos"`
	Collapsed       *bool           `json:"collapsed,omitempty"`
	Datasource      object          `json:"datasource,omitempty"`
	Interval        string          `json:"interval,omitempty"`
	Targets         []grafanaTarget `json:"targets,omitempty"`
	FieldConfig     object          `json:"fieldConfig,omitempty"`
	Options         object          `json:"options,omitempty"`
	Transformations []object        `json:"transformations,omitempty"`
	Panels          *[]grafanaPanel `json:"panels,omitempty"`
}

type gridPos struct {
	H int `json:"h"`
	W int `json:"w"`
	X int `json:"x"`
	Y int `json:"y"`
}

type grafanaTarget struct {
	RefID        string `json:"refId"`
	Datasource   object `json:"datasource"`
	Expr         string `json:"expr"`
	LegendFormat string `json:"legendFormat,omitempty"`
	QueryType    string `json:"queryType,omitempty"` // of Loki
	Format       string `json:"format,omitempty"`    // of Prometheus
	Instant      bool   `json:"instant,omitempty"`   // of Prometheus
	Range        bool   `json:"range,omitempty"`     // of Prometheus
}

// schemaVersion is that of Grafana 10.4; later ones read it and bring it up to date.
const schemaVersion = 39

// source names the data source that is chosen at the head of the page.
func source(d Dashboard) object { return object{"type": string(d.Store), "uid": "${datasource}"} }

func model(d Dashboard) grafanaPage {
	page := grafanaPage{
		UID: "penstock-" + string(d.Store) + "-" + d.Name, Title: d.Title, Description: d.Description,
		Tags: []string{"penstock", string(d.Store)}, Editable: true, GraphTooltip: 1, Refresh: "30s", SchemaVersion: schemaVersion,
		Time: object{"from": "now-1h", "to": "now"},
		Links: []object{{
			"type": "dashboards", "title": "penstock", "tags": []string{"penstock", string(d.Store)}, "asDropdown": true,
			"includeVars": true, "keepTime": true, "targetBlank": false, "icon": "external link", "tooltip": "", "url": "",
		}},
		Annotations: object{"list": annotations(d)},
		Templating:  object{"list": variables(d)},
	}
	id, y := 0, 0
	for _, row := range d.Rows {
		id++
		open := false
		page.Panels = append(page.Panels, grafanaPanel{ID: id, Type: "row", Title: row.Title, GridPos: gridPos{1, columns, 0, y}, Collapsed: &open, Panels: &[]grafanaPanel{}})
		y++
		x, tallest := 0, 0
		widths := row.Widths()
		for i := range row.Panels {
			id++
			p := panel(d, &row.Panels[i])
			p.ID, p.GridPos = id, gridPos{heights[row.Panels[i].Kind], widths[i], x, y}
			if x+p.GridPos.W > columns {
				y += tallest
				x, tallest = 0, 0
				p.GridPos.X, p.GridPos.Y = x, y
			}
			x += p.GridPos.W
			tallest = max(tallest, p.GridPos.H)
			page.Panels = append(page.Panels, p)
		}
		y += tallest
	}
	return page
}

// columns is how wide a page of Grafana is.
const columns = 24

// heights are those of panels by their kind, in Grafana's units of about 38 pixels.
var heights = map[Kind]int{Stat: 4, Lines: 8, Bars: 8, States: 8, Table: 9, Log: 10}

// Widths gives how wide each panel of the row is, of 24 columns: those that say nothing share what the
// others leave.
func (r Row) Widths() []int {
	widths := make([]int, len(r.Panels))
	left, silent := columns, 0
	for i := range r.Panels {
		widths[i] = r.Panels[i].Width
		left -= widths[i]
		if widths[i] == 0 {
			silent++
		}
	}
	for i := range widths {
		if widths[i] == 0 {
			widths[i] = max(left/silent, 3)
		}
	}
	return widths
}

func annotations(d Dashboard) []object {
	list := []object{}
	for _, a := range d.Annotations {
		o := object{"name": a.Name, "enable": true, "iconColor": "blue", "datasource": source(d), "expr": a.Expr, "titleFormat": a.Name}
		if d.Store == Loki {
			o["target"] = object{"refId": "Anno", "expr": a.Expr, "queryType": "range"}
		}
		if a.Text != "" {
			o["textFormat"] = a.Text
		}
		list = append(list, o)
	}
	return list
}

func variables(d Dashboard) []object {
	list := []object{{"name": "datasource", "label": "Data source", "type": "datasource", "query": string(d.Store), "refresh": 1, "hide": 0, "multi": false, "includeAll": false}}
	for _, v := range d.Variables {
		o := object{"name": v.Name, "label": v.Label, "hide": 0}
		if v.Values == "" {
			o["type"], o["query"] = "textbox", v.Default
			o["current"] = object{"text": v.Default, "value": v.Default}
			o["options"] = []object{{"selected": true, "text": v.Default, "value": v.Default}}
			list = append(list, o)
			continue
		}
		o["type"], o["query"], o["definition"], o["datasource"] = "query", v.Values, v.Values, source(d)
		o["refresh"], o["sort"], o["multi"], o["includeAll"], o["allValue"] = 2, 1, true, true, ".+"
		o["current"] = object{"text": v.Default, "value": v.Default}
		if v.Default == "" {
			o["current"] = object{"text": "All", "value": "$__all"}
		}
		list = append(list, o)
	}
	return list
}
