package dashboards

// OnLoki gives the dashboards whose figures come from the log's events.
func OnLoki() []Dashboard { return nil }

// LokiRules gives the alerts for Loki's ruler.
func LokiRules() []RuleGroup { return nil }
