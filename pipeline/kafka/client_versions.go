package kafka

import (
	"context"
	"fmt"

	"github.com/segmentio/kafka-go/protocol"
)

// versions gives the range of versions in which the cluster takes a request; 0, -1
// when not at all. It asks once.
func (c *Client) versions(ctx context.Context, key protocol.ApiKey) (least, most int16, err error) {
	c.mu.Lock()
	known := c.meta.ranges
	c.mu.Unlock()
	if known == nil {
		if known, err = c.askVersions(ctx); err != nil {
			return 0, -1, err
		}
		c.mu.Lock()
		c.meta.ranges = known
		c.mu.Unlock()
	}
	if r, ok := known[key]; ok {
		return r[0], r[1], nil
	}
	return 0, -1, nil
}

func (c *Client) askVersions(ctx context.Context) (map[protocol.ApiKey][2]int16, error) {
	x := &exchange{
		key: protocol.ApiVersions, version: 3, flexible: true, broker: -1, clientID: c.config.ClientID,
		body: func(w *writer) {
			w.compactString("penstock")
			w.compactString("1")
			w.tags()
		},
	}
	if err := c.do(ctx, x); err != nil {
		return nil, fmt.Errorf("connecting to Kafka: %w", err)
	}
	r := &reader{b: x.answer}
	ranges := map[protocol.ApiKey][2]int16{}
	code := Error(r.int16())
	n := 0
	if code == UnsupportedVersion { // an old broker answers in version 0
		n = r.array()
	} else {
		n = r.compactArray()
	}
	for ; n > 0 && r.err == nil; n-- {
		ranges[protocol.ApiKey(r.int16())] = [2]int16{r.int16(), r.int16()}
		if code != UnsupportedVersion {
			r.tags()
		}
	}
	switch {
	case r.err != nil:
		return nil, fmt.Errorf("reading the broker's versions: %w", r.err)
	case code != 0 && code != UnsupportedVersion:
		return nil, fmt.Errorf("asking for the broker's versions: %w", code)
	case len(ranges) == 0: // the range of ApiVersions alone, or nothing at all
		ranges[protocol.Metadata] = [2]int16{0, 7}
	}
	return ranges, nil
}
