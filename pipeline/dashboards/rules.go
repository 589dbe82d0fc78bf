package dashboards

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// A ruleFile is the file of rules that Prometheus and Loki's ruler load.
type ruleFile struct {
	Groups []ruleGroup `yaml:"groups"`
}

type ruleGroup struct {
	Name     string `yaml:"name"`
	Interval string `yaml:"interval,omitempty"`
	Rules    []rule `yaml:"rules"`
}

type rule struct {
	Record      string            `yaml:"record,omitempty"`
	Alert       string            `yaml:"alert,omitempty"`
	Expr        string            `yaml:"expr"`
	For         string            `yaml:"for,omitempty"`
	Labels      map[string]string `yaml:"labels,omitempty"`
	Annotations map[string]string `yaml:"annotations,omitempty"`
}

// RuleFile gives groups of rules as the YAML that Prometheus and Loki's ruler load: the same bytes for the
// same data.
func RuleFile(groups []RuleGroup) []byte {
	var file ruleFile
	for _, g := range groups {
		out := ruleGroup{Name: g.Name, Interval: span(g.Interval)}
		for _, r := range g.Records {
			out.Rules = append(out.Rules, rule{Record: r.Name, Expr: r.Expr})
		}
		for i := range g.Alerts {
			a := &g.Alerts[i]
			out.Rules = append(out.Rules, rule{
				Alert: a.Name, Expr: a.Expr, For: span(a.For), Labels: map[string]string{"severity": string(a.Severity)},
				Annotations: map[string]string{"summary": a.Summary, "description": a.Runbook},
			})
		}
		file.Groups = append(file.Groups, out)
	}
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(file); err != nil {
		panic(err) // structs of texts cannot fail to encode
	}
	return b.Bytes()
}

// span writes a time as the rulers read it: 90s, 5m, 2h. None for 0.
func span(d time.Duration) string {
	switch {
	case d == 0:
		return ""
	case d%time.Hour == 0:
		return fmt.Sprintf("%dh", d/time.Hour)
	case d%time.Minute == 0:
		return fmt.Sprintf("%dm", d/time.Minute)
	}
	return strings.TrimSuffix(fmt.Sprintf("%.3f", d.Seconds()), ".000") + "s"
}
