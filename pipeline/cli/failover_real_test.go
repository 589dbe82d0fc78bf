//go:build real && chaos

package cli

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
)

// On three brokers the leader of a partition and then the group's coordinator are
// killed under load: nothing is lost, order holds.
func TestBrokersDie(t *testing.T) {
	k := cluster(t, kafkatest.RealOptions{Nodes: 3})
	a := adminOf(t, k.Addrs())
	topics(t, a, 4, 3, "in", "out")
	f := newFeed(t, k.Addrs(), "in", 4, 200)
	r := newReferee(t, k.Addrs(), "out")
	d := start(t, "survivor", copyPipeline("survivor", k.Addrs(), ""))
	f.begin(3000)
	d.await("pipeline.stats", time.Minute, func(l line) bool { n, _ := l["records_out_total"].(float64); return n > 10_000 })

	leader := func() int {
		topics, err := a.ListTopics(t.Context(), "out")
		if err != nil {
			t.Fatal(err)
		}
		return int(topics["out"].Partitions[0].Leader)
	}
	coordinator := func() int {
		c := a.FindGroupCoordinators(t.Context(), "survivor")
		return int(c["survivor"].NodeID)
	}
	for _, victim := range []struct {
		what string
		node func() int
	}{{"leader of out/0", leader}, {"coordinator of the group", coordinator}} {
		id := victim.node()
		begin := time.Now()
		k.Kill(id)
		before := f.total()
		r.until(before+6000, 2*time.Minute)
		t.Logf("kill -9 of broker %d, the %s: 6,000 later records out after %v", id, victim.what, time.Since(begin).Round(100*time.Millisecond))
		pass(t, 3*time.Second)
		if err := k.Restart(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		pass(t, 8*time.Second)
	}
	f.end()
	r.until(f.total(), 2*time.Minute)
	exit, _ := d.stop(syscall.SIGTERM, 30*time.Second)
	r.toEnd(a, "out")
	t.Logf("%d records in, lost %d, delivered twice %d, out of order %d, exit %d", f.total(), f.total()-int64(len(r.seen)), r.twice(), r.misordered, exit)
	if r.misordered != 0 {
		t.Errorf("%d out of order", r.misordered)
	}
	if exit != 0 {
		t.Errorf("exit code %d, want 0", exit)
	}
}

// The daemon runs over TLS with SCRAM and over mutual TLS; what is wrong with a
// connection is one located line and exit code 3 within 15 s.
func TestSecurity(t *testing.T) {
	k := cluster(t, kafkatest.RealOptions{})
	a := adminOf(t, k.Addrs())
	topics(t, a, 4, 1, "in", "out", "denied")
	denyTopic(t, a, "denied", "User:"+kafkatest.User)
	f := newFeed(t, k.Addrs(), "in", 4, 200)
	f.load(5000)
	certs := k.Certs()
	file := func(group string, addrs []string, topic, security string) string {
		return fmt.Sprintf(`pipeline: %s
source:
  kafka:
    brokers: [%s]
    topics: [%s]
    start: earliest
    %s
sinks:
  - kafka: {topic: out}
log: {format: json, stats_every: 5s}
`, group, addrs[0], topic, security)
	}
	scram := func(password string) string {
		return fmt.Sprintf("tls: {ca: %s}\n    sasl: {mechanism: scram-sha-512, username: %s, password: %s}", certs.CA, kafkatest.User, password)
	}
	mutual := fmt.Sprintf("tls: {ca: %s, cert: %s, key: %s}", certs.CA, certs.ClientCert, certs.ClientKey)
	for i, c := range []struct{ name, text string }{
		{"scram", file("scram", k.ScramAddrs(), "in", scram(kafkatest.Password))},
		{"mutual", file("mutual", k.MutualAddrs(), "in", mutual)},
	} {
		r := newReferee(t, k.Addrs(), "out")
		d := start(t, c.name, c.text)
		for r.read < int64(5000*(i+1)) {
			r.client.PollFetches(t.Context()).EachRecord(r.take)
		}
		if exit, _ := d.stop(syscall.SIGTERM, 30*time.Second); exit != 0 {
			t.Errorf("%s: exit code %d\n%s", c.name, exit, d.tail(5))
		}
		t.Logf("%s: 5,000 records", c.name)
	}
	for _, c := range []struct{ name, text string }{
		{"wrong-password", file("wrong-password", k.ScramAddrs(), "in", scram("not-it"))},
		{"denied-topic", file("denied-topic", k.ScramAddrs(), "denied", scram(kafkatest.Password))},
		{"unknown-topic", file("unknown-topic", k.Addrs(), "inn", "")},
		{"dead-broker", file("dead-broker", []string{"127.0.0.1:1"}, "in", "")},
		{"no-client-certificate", file("no-client-certificate", k.MutualAddrs(), "in", fmt.Sprintf("tls: {ca: %s}", certs.CA))},
		{"plain-to-tls", file("plain-to-tls", k.MutualAddrs(), "in", "")},
	} {
		d := start(t, c.name, c.text)
		begin := time.Now()
		select {
		case <-d.done:
		case <-time.After(20 * time.Second):
			t.Errorf("%s: still running after 20 s", c.name)
			continue
		}
		var located []string
		for l := range strings.Lines(d.tail(50)) {
			if strings.Contains(l, c.name+".yaml:") {
				located = append(located, strings.TrimSpace(l))
			}
		}
		t.Logf("%s: exit %d after %v: %s", c.name, d.exit, time.Since(begin).Round(100*time.Millisecond), strings.Join(located, " | "))
		if d.exit != 3 || len(located) != 1 || time.Since(begin) > 15*time.Second {
			t.Errorf("%s: want exit code 3 and one located line within 15 s; output:\n%s", c.name, d.tail(10))
		}
	}
}
