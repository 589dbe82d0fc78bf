package dashboards

// statsInterval is the shortest step of a picture on Loki: there is a line of figures every 15 s.
const statsInterval = "15s"

func panel(d Dashboard, p *Panel) grafanaPanel {
	g := grafanaPanel{
		Type: string(p.Kind), Title: p.Title, Description: p.Description, Datasource: source(d),
		FieldConfig: fieldConfig(p), Options: options(d, p), Transformations: transformations(p),
	}
	if d.Store == Loki {
		g.Interval = statsInterval
	}
	for i, q := range p.Queries {
		t := grafanaTarget{RefID: refID(i), Datasource: source(d), Expr: q.Expr, LegendFormat: q.Name}
		now := p.Instant()
		switch {
		case d.Store == Prometheus:
			t.Instant, t.Range = now, !now
		case now:
			t.QueryType = "instant"
		default:
			t.QueryType = "range"
		}
		if p.Kind == Table {
			t.LegendFormat = ""
			if d.Store == Prometheus {
				t.Format = "table"
			}
		}
		g.Targets = append(g.Targets, t)
	}
	return g
}

// Instant says whether the panel's queries are asked for one moment, and not for a time range.
func (p *Panel) Instant() bool { return p.Kind == Stat || p.Kind == Bars || p.Kind == Table }

func refID(i int) string { return string(rune('A' + i)) }

func fieldConfig(p *Panel) object {
	steps := []object{{"color": string(Good), "value": nil}}
	for _, t := range p.Thresholds {
		steps = append(steps, object{"color": string(t.Level), "value": t.From})
	}
	defaults := object{"unit": string(p.Unit), "thresholds": object{"mode": "absolute", "steps": steps}}
	switch p.Kind {
	case Lines:
		stacking := "none"
		if p.Stacked {
			stacking = "normal"
		}
		defaults["min"] = 0
		defaults["color"] = object{"mode": "palette-classic"}
		defaults["custom"] = object{
			"drawStyle": "line", "lineWidth": 1, "fillOpacity": 10, "showPoints": "auto", "spanNulls": false,
			"stacking": object{"mode": stacking, "group": "A"},
		}
	case Stat:
		defaults["color"] = object{"mode": "thresholds"}
	case Bars:
		defaults["min"] = 0
		defaults["color"] = object{"mode": "palette-classic"}
	case States:
		defaults["color"] = object{"mode": "palette-classic"}
	case Log:
		return object{"defaults": object{}, "overrides": []object{}}
	}
	if p.Max != 0 {
		defaults["max"] = p.Max
	}
	return object{"defaults": defaults, "overrides": []object{}}
}

func options(d Dashboard, p *Panel) object {
	// Of Loki, Grafana makes one table of the answer for a moment, with a line for each series.
	newest := object{"calcs": []string{"lastNotNull"}, "fields": "", "values": d.Store == Loki}
	switch p.Kind {
	case Stat:
		return object{"reduceOptions": newest, "colorMode": "value", "graphMode": "none", "justifyMode": "auto", "orientation": "auto", "textMode": "auto"}
	case Bars:
		return object{"reduceOptions": newest, "displayMode": "basic", "orientation": "horizontal", "showUnfilled": true, "valueMode": "color"}
	case Table:
		return object{"showHeader": true, "cellHeight": "sm"}
	case States:
		return object{"mergeValues": true, "showValue": "auto", "rowHeight": 0.9,
			"legend": object{"displayMode": "list", "placement": "bottom", "showLegend": true}, "tooltip": object{"mode": "single", "sort": "none"}}
	case Log:
		return object{"showTime": true, "showLabels": false, "showCommonLabels": false, "wrapLogMessage": true, "prettifyLogMessage": false,
			"enableLogDetails": true, "sortOrder": "Descending", "dedupStrategy": "none"}
	}
	return object{
		"legend":  object{"displayMode": "table", "placement": "bottom", "showLegend": true, "calcs": []string{"max"}, "sortBy": "Max", "sortDesc": true},
		"tooltip": object{"mode": "multi", "sort": "desc"},
	}
}

// transformations make one table of the answers of several queries: a line for each set of labels.
func transformations(p *Panel) []object {
	if p.Kind != Table {
		return nil
	}
	names := object{}
	for i, q := range p.Queries {
		names["Value #"+refID(i)] = q.Name // so Grafana names the figures of one of several queries
	}
	if len(p.Queries) == 1 {
		names = object{"Value": p.Queries[0].Name}
	}
	return []object{
		{"id": "merge", "options": object{}},
		{"id": "organize", "options": object{"excludeByName": object{"Time": true}, "indexByName": object{}, "renameByName": names}},
	}
}
