//go:build unix

package cli

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
)

// speaksHTTP answers whatever comes like a web server that does not understand it.
func speaksHTTP(conn net.Conn) {
	if _, err := conn.Read(make([]byte, 512)); err == nil {
		_, _ = io.WriteString(conn, "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
	}
}

func foreignFile(t *testing.T, brokers, topic string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "p.yaml")
	text := fmt.Sprintf("pipeline: foreign\nsource:\n  kafka: {brokers: %q, topics: [%s]}\nsinks:\n  - stdout: {}\n", brokers, topic)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestAnAddressThatIsNoBroker starts the process with addresses at which something else
// is: check --connect, run and lag say so and where, with exit code 3.
func TestAnAddressThatIsNoBroker(t *testing.T) {
	for name, tc := range map[string]struct {
		talk func(net.Conn)
		want string
	}{
		"HTTP": {speaksHTTP, "connected, but the answer is HTTP and not Kafka's: check the address and the port"},
		"SSH": {func(c net.Conn) {
			_, _ = io.WriteString(c, "SSH-2.0-OpenSSH_9.6\r\n")
			_, _ = io.Copy(io.Discard, c)
		}, "connected, but the answer is SSH and not Kafka's"},
		"a TLS alert": {func(c net.Conn) {
			_, _ = c.Read(make([]byte, 512))
			_, _ = c.Write([]byte{0x15, 3, 1, 0, 2, 2, 70, 0})
		}, "the broker expects TLS on this port: add tls"},
		"closes":  {func(net.Conn) {}, "does it expect tls or sasl on this port?"},
		"silence": {func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }, "connected, but no answer came: is this the port of a broker, and does it expect tls?"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address := kafkatest.Listen(t, "127.0.0.1:0", tc.talk)
			file := foreignFile(t, address, "flights")
			commands := [][]string{{"run", "--log-format", "json", file}, {"check", "--connect", file}, {"lag", file}}
			if name == "silence" { // which each of them waits for
				commands = commands[:1]
			}
			for _, args := range commands {
				code, _, log := penstock(t, args...)
				if code != exitEnvironment || !strings.Contains(log, tc.want) || !strings.Contains(log, address) || !strings.Contains(log, "p.yaml:3:") {
					t.Errorf("%s: exit code %d\n%s", args[0], code, log)
				}
			}
		})
	}
}

// TestAServiceThatTakesABrokersPlace has a web server take the address of a broker under
// the daemon, which tells so, goes on trying, and still ends on a signal.
func TestAServiceThatTakesABrokersPlace(t *testing.T) {
	c := kafkatest.StartFake(t)
	topic := c.Topic(t, 1)
	c.Produce(t, topic, &kgo.Record{Value: []byte("{}")})
	r := startDaemon(t, foreignFile(t, c.Addrs()[0], topic))
	r.read(`"event_name":"source.connected"`)
	for deadline := time.Now().Add(patience); c.Committed(t, "foreign")[topic][0] != 1; { // so that the end is short
		if time.Now().After(deadline) {
			t.Fatal("it is not committed")
		}
	}
	address := c.Addrs()[0]
	c.Fake().Close()
	kafkatest.Listen(t, address, speaksHTTP)
	line := r.read("the answer is HTTP and not Kafka's")
	for !strings.Contains(line, "looking for the leaders of partitions goes on") { // the fetch may be told first
		line = r.read("the answer is HTTP and not Kafka's")
	}
	if !strings.Contains(line, address) {
		t.Error(line)
	}
	r.signal(syscall.SIGTERM)
	code := r.end() // which says what the group could not be told: that it is left, or the offset, whose answer was lost
	log := r.log.String()
	if code != exitFailed || !strings.Contains(log, "leaving group foreign") && !strings.Contains(log, "committing for the last time") {
		t.Errorf("exit code %d\n%s", code, log)
	}
}
