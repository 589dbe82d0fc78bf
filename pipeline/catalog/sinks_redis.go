package catalog

import (
	"github.com/penstockio/penstock/pipeline/config"
	"github.com/penstockio/penstock/pipeline/engine"
	"github.com/penstockio/penstock/pipeline/settings"
	redissink "github.com/penstockio/penstock/sinks/redis"
)

// checkRedisSink refuses entries that have the IDs of positions where these do not ascend in a stream: it takes none whose ID is not above
// those that it has, so most records would be rejected.
func checkRedisSink(given any, p *config.Pipeline) error {
	s := given.(*redissink.Settings)
	if s.ID != "position" {
		return nil
	}
	var all settings.Problems
	if k := p.Source.Kind; k != nil && k.Anew != nil {
		if why := k.Anew(p.Source.Settings); why != "" {
			all.Add("id", "position does not go with the source %s: %s, and a stream takes only IDs that ascend: write id: auto", k.Name, why)
		}
	}
	if p.Order.Keep != engine.OrderPartition {
		name := "none"
		if p.Order.Keep == engine.OrderKey {
			name = "key"
		}
		all.Add("id",
			"position does not go with order: %s: records of a partition come in another order than their offsets, and a stream takes only IDs that ascend: write order: partition, or id: auto",
			name)
	}
	return all.Err()
}
