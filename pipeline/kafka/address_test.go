package kafka

import (
	"strings"
	"testing"
)

func TestAddress(t *testing.T) {
	for text, want := range map[string]string{
		"kafka-1:9093":             "kafka-1:9093",
		"kafka-1":                  "kafka-1:9092",
		"kafka_1.broker_net:29092": "kafka_1.broker_net:29092",
		"b-1.example.org.:9094":    "b-1.example.org.:9094",
		"127.0.0.1:1":              "127.0.0.1:1",
		"10.0.0.7":                 "10.0.0.7:9092",
		"[::1]:9092":               "[::1]:9092",
		"[::1]":                    "[::1]:9092",
		"[fe80::1%eth0]:65535":     "[fe80::1%eth0]:65535",
		"bücher.example:9092":      "bücher.example:9092",
		"1-2.example:9092":         "1-2.example:9092",
	} {
		if got, err := Address(text); got != want || err != nil {
			t.Errorf("%s: %q, %v", text, got, err)
		}
	}
	for text, why := range map[string]string{
		"":                             "empty",
		" ":                            "empty",
		":9092":                        "no host",
		"9092":                         "a port, and no host",
		"kafka-1:":                     "no port behind the colon",
		"kafka-1:0":                    "1 to 65535",
		"kafka-1:70000":                "1 to 65535",
		"kafka-1:-1":                   "1 to 65535",
		"kafka-1:+1":                   "1 to 65535",
		"kafka-1:kafka":                "1 to 65535",
		"kafka-1:9092 kafka-2:9092":    "commas",
		"kafka-1:9092\nkafka-2:9092":   "commas",
		"kafka-1:9092,kafka-2:9092":    "commas",
		"kafka-1: 9092":                "commas",
		"PLAINTEXT://kafka-1:9092":     "no scheme",
		"SASL_SSL://kafka-1:9092":      "tls and sasl",
		"http://kafka-1:9092":          "no scheme",
		"kafka://kafka-1:9092":         "no scheme",
		"kafka-1:9092/":                "no path",
		"user:pass@kafka-1:9092":       "sasl",
		"SSL://user:pass@kafka-1:9092": "sasl",
		"::1":                          "brackets",
		"::1:9092":                     "brackets",
		"fe80::1%eth0":                 "brackets",
		"kafka-1:9092:9093":            "one colon",
		"[kafka-1]:9092":               "brackets",
		"[::1":                         "brackets",
		"[::1]9092":                    "brackets",
		"kafka..example:9092":          "no name of a host",
		"-:9092":                       "no name of a host",
		"ka{fka}:9092":                 "no name of a host",
		"256.1.1.1:9092":               "no IPv4 address",
		"127.0.1:9092":                 "no IPv4 address",
	} {
		got, err := Address(text)
		switch {
		case err == nil:
			t.Errorf("%q is %q", text, got)
		case !strings.Contains(err.Error(), why) || !strings.Contains(err.Error(), "host:port"):
			t.Errorf("%q: %v", text, err)
		case strings.Contains(err.Error(), "pass@"):
			t.Errorf("%q: the password is shown: %v", text, err)
		}
	}
}

func TestClientTakesGoodAddressesAlone(t *testing.T) {
	for _, addr := range []string{"PLAINTEXT://a:9092", "a:9092,b:9092", "a:0"} {
		if c, err := NewClient(Config{Brokers: []string{addr}}); err == nil {
			t.Errorf("%s is taken", addr)
			_ = c.Close()
		}
	}
}
