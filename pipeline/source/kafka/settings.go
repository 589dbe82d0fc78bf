package kafkasource

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/penstockio/penstock/pipeline/kafka"
	"github.com/penstockio/penstock/pipeline/kafka/connect"
	"github.com/penstockio/penstock/pipeline/settings"
)

// Settings are the settings of a Kafka source.
type Settings struct {
	Brokers   []string      `yaml:"brokers" required:"true" min:"1" commas:"true" doc:"addresses of some brokers of the cluster, host:port; without a port, 9092"`
	Topics    []string      `yaml:"topics" required:"true" min:"1" commas:"true" doc:"topics to read"`
	Group     string        `yaml:"group" doc:"consumer group; the pipeline's name by default"`
	Start     string        `yaml:"start" doc:"where to begin in a topic in which the group has no offset at all: earliest, latest or an RFC 3339 time; a partition that comes later is read from its start"`
	Stop      string        `yaml:"stop" doc:"where to end: never, end (the offsets seen at start) or an RFC 3339 time"`
	Isolation string        `yaml:"isolation" enum:"read_committed|read_uncommitted" doc:"whether records of open and aborted transactions are left out"`
	Instance  string        `yaml:"instance" doc:"name for static membership, one for each process: a restart within the session moves no partition"`
	Protocol  string        `yaml:"protocol" enum:"classic" doc:"group protocol"`
	OnGap     string        `yaml:"on_gap" enum:"stop|earliest|latest" doc:"what to do when the offset to read does not exist any more, the log was cut, or the topic was deleted or created again; earliest goes on where the log was cut, if that is known, else with what there is"`
	OnCorrupt string        `yaml:"on_corrupt" enum:"stop|skip" doc:"what to do with a batch that cannot be read"`
	TLS       *connect.TLS  `yaml:"tls" doc:"encrypt the connections"`
	SASL      *connect.SASL `yaml:"sasl" doc:"user name and password"`

	Session   time.Duration `yaml:"session" min:"1s" max:"30m" doc:"time without a sign of life after which the group goes on without this process"`
	Heartbeat time.Duration `yaml:"heartbeat" min:"10ms" max:"1m" doc:"interval of the signs of life"`
	Rebalance time.Duration `yaml:"rebalance" min:"1s" max:"1h" doc:"how long the group waits for this process in a rebalance; at least the drain budget and 15s"`

	Fetch Fetch `yaml:"fetch" doc:"sizes and times of reading"`
}

// Fetch bounds what one poll of a broker brings.
type Fetch struct {
	Wait         time.Duration `yaml:"wait" min:"1ms" max:"30s" doc:"how long a broker may wait for new records"`
	Bytes        settings.Size `yaml:"bytes" min:"1KiB" max:"128MiB" doc:"most bytes of one answer of a broker"`
	Partition    settings.Size `yaml:"partition" min:"1KiB" max:"128MiB" doc:"most bytes of one partition in an answer"`
	Decompressed settings.Size `yaml:"decompressed" min:"1KiB" max:"1GiB" doc:"most bytes of one batch after decompression"`
}

// Defaults gives the settings of a Kafka source before a file is read.
func Defaults() Settings {
	return Settings{
		Start: "earliest", Stop: "never", Isolation: "read_committed", Protocol: "classic", OnGap: "stop", OnCorrupt: "stop",
		Session: 10 * time.Second, Heartbeat: 500 * time.Millisecond, Rebalance: time.Minute,
		Fetch: Fetch{Wait: 500 * time.Millisecond, Bytes: 4 << 20, Partition: 1 << 20, Decompressed: 64 << 20},
	}
}

// fill puts defaults where nothing stands: a library user may start from a literal.
func (s *Settings) fill() {
	d := Defaults()
	for _, p := range []struct{ at, value *string }{
		{&s.Start, &d.Start}, {&s.Stop, &d.Stop}, {&s.Isolation, &d.Isolation}, {&s.Protocol, &d.Protocol},
		{&s.OnGap, &d.OnGap}, {&s.OnCorrupt, &d.OnCorrupt},
	} {
		if *p.at == "" {
			*p.at = *p.value
		}
	}
	for _, p := range []struct{ at, value *time.Duration }{
		{&s.Session, &d.Session}, {&s.Heartbeat, &d.Heartbeat}, {&s.Rebalance, &d.Rebalance}, {&s.Fetch.Wait, &d.Fetch.Wait},
	} {
		if *p.at <= 0 {
			*p.at = *p.value
		}
	}
	for _, p := range []struct{ at, value *settings.Size }{
		{&s.Fetch.Bytes, &d.Fetch.Bytes}, {&s.Fetch.Partition, &d.Fetch.Partition}, {&s.Fetch.Decompressed, &d.Fetch.Decompressed},
	} {
		if *p.at <= 0 {
			*p.at = *p.value
		}
	}
}

// Validate checks what can be known without connecting. It joins several errors.
func (s *Settings) Validate() error {
	var p settings.Problems
	s.checkLists(&p)
	oneOf := func(field, value string, allowed ...string) {
		if value != "" && !slices.Contains(allowed, value) {
			p.Add(field, "%q is none of %s", value, strings.Join(allowed, ", "))
		}
	}
	moment := func(field, value string, words ...string) {
		if value == "" || slices.Contains(words, value) {
			return
		}
		if _, err := time.Parse(time.RFC3339, value); err != nil {
			p.Add(field, "%q is neither %s nor a time like 2026-01-31T08:00:00Z", value, strings.Join(words, " nor "))
		}
	}
	moment("start", s.Start, "earliest", "latest")
	moment("stop", s.Stop, "never", "end")
	oneOf("isolation", s.Isolation, "read_committed", "read_uncommitted")
	oneOf("protocol", s.Protocol, "classic")
	oneOf("on_gap", s.OnGap, "stop", "earliest", "latest")
	oneOf("on_corrupt", s.OnCorrupt, "stop", "skip")
	if s.Heartbeat > 0 && s.Session > 0 && s.Heartbeat > s.Session/3 {
		p.Add("heartbeat", "it must be at most a third of the session, which is %v", s.Session)
	}
	if s.Fetch.Bytes > 0 && s.Fetch.Partition > s.Fetch.Bytes {
		p.Add("fetch.partition", "it must be at most fetch.bytes, which is %v", s.Fetch.Bytes)
	}
	s.connection().Check(p.Check)
	return p.Err()
}

// checkLists checks that there are brokers, and topics, each at its place.
func (s *Settings) checkLists(p *settings.Problems) {
	if len(s.Brokers) == 0 {
		p.Add("brokers", "give at least one broker, host:port")
	}
	if len(s.Topics) == 0 {
		p.Add("topics", "give at least one topic")
	}
	for i, t := range s.Topics {
		field := fmt.Sprintf("topics[%d]", i)
		if strings.TrimSpace(t) == "" {
			p.Add(field, "an empty topic")
		} else if err := checkTopic(t); err != nil {
			p.Add(field, "%w", err)
		} else if slices.Contains(s.Topics[:i], t) {
			p.Add(field, "%q stands twice", t)
		}
	}
}

func checkTopic(name string) error {
	legal := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '_' || r == '-'
	}
	switch i := strings.IndexFunc(name, func(r rune) bool { return !legal(r) }); {
	case i >= 0:
		return fmt.Errorf("%q is no topic: a name has letters, digits, dots, underscores and dashes alone", name)
	case len(name) > 249, name == ".", name == "..":
		return fmt.Errorf("%q is no topic: a name has 1 to 249 characters, and not only dots", name)
	}
	return nil
}

func (s *Settings) connection() connect.Settings {
	return connect.Settings{Brokers: s.Brokers, TLS: s.TLS, SASL: s.SASL}
}

// startOf gives what ListOffsets takes for `start`.
func startOf(value string) int64 {
	switch value {
	case "earliest":
		return kafka.Earliest
	case "latest":
		return kafka.Latest
	}
	at, _ := time.Parse(time.RFC3339, value) // Validate has seen it
	return at.UnixMilli()
}

// Addresses gives the brokers as host:port, for them to be compared. One that is wrong
// is left out.
func Addresses(brokers []string) []string {
	var all []string
	for _, b := range brokers {
		if a, err := kafka.Address(b); err == nil {
			all = append(all, a)
		}
	}
	return all
}
