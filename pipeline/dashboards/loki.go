package dashboards

// OnLoki gives the dashboards whose figures come from the log's events.
func OnLoki() []Dashboard {
	all := []Dashboard{lokiOverview(), lokiSource(), lokiSteps(), lokiSinks(), lokiErrors()}
	for i := range all {
		all[i].Store = Loki
		all[i].Variables = []Variable{
			{Name: "service", Label: "Service", Values: "label_values(service_name)", Default: DefaultService},
			{Name: "pipeline", Label: "Pipeline (regular expression)", Default: ".*"},
		}
		all[i].Annotations = []Annotation{
			{Name: "Starts", Expr: streams("process.started") + ` | json version="service_version", config="config_hash"`, Text: "started {{version}}, configuration {{config}}"},
			{Name: "Ends", Expr: streams("process.stopped") + ` | json reason="reason", code="exit_code"`, Text: "stopped: {{reason}}, exit code {{code}}"},
			{Name: "Rebalances", Expr: streams("source.revoked") + ` | json partitions="partition_list", reason="reason"`, Text: "revoked {{partitions}}: {{reason}}"},
		}
	}
	return all
}

// total is the sum of a figure within a time range.
func total(event, field, rng string, by ...string) ask {
	return ask{event: event, field: field, over: sum, rng: rng, by: by}
}

func perSecond(event, field string, by ...string) ask {
	return ask{event: event, field: field, over: rate, rng: interval, by: by}
}

func highest(event, field string, by ...string) ask {
	return ask{event: event, field: field, over: most, rng: interval, by: by}
}

// present is the newest value of each copy of the daemon, added up.
func present(event, field, rng string, by ...string) ask {
	return ask{event: event, field: field, over: last, rng: rng, each: []string{instance}, fold: "sum", by: by}
}
