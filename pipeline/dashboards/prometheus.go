package dashboards

// OnPrometheus gives the dashboards whose figures come from /metrics.
func OnPrometheus() []Dashboard { return nil }

// PrometheusRules gives the recording rules and alerts for Prometheus.
func PrometheusRules() []RuleGroup { return nil }
