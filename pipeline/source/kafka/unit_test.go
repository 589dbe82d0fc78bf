package kafkasource

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/engine"
	"github.com/penstockio/penstock/pipeline/kafka"
	"github.com/penstockio/penstock/pipeline/kafka/connect"
	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
	"github.com/penstockio/penstock/pipeline/settings"
)

// An aborter is a Transactor that fails its first commit.
type aborter struct {
	src    pipeline.Source
	aborts atomic.Int32
}

func (a *aborter) Bind(src pipeline.Source) error { a.src = src; return nil }
func (a *aborter) Stored(context.Context, string) (int64, bool, error) {
	return 0, false, nil
}
func (a *aborter) Begin(context.Context) error { return nil }
func (a *aborter) Commit(ctx context.Context, marks []pipeline.Mark) error {
	if a.aborts.Load() == 0 {
		return errors.New("lost")
	}
	return a.src.Commit(ctx, marks)
}
func (a *aborter) Abort(context.Context) error { a.aborts.Add(1); return nil }

func TestKafkaReadsAgainWhatWasAborted(t *testing.T) {
	k := kafkatest.Start(t)
	topic, group := k.Topic(t, 2), k.Group(t)
	fill(t, k, topic, 2, 0, 200)
	a := &aborter{}
	r := startRun(t, groupSettings(k, group, topic), func(o *engine.Options) { o.Transactor = a })
	r.has(200)
	r.until("the transaction is aborted", func() bool { return a.aborts.Load() > 0 })
	r.has(400)
	fill(t, k, topic, 2, 200, 50)
	r.has(450)
	r.until("it is committed", func() bool {
		at := k.Committed(t, group)[topic]
		return at[0] == 125 && at[1] == 125
	})
	r.stop()
	check(t, 250, false, r.sink)
}

func TestKafkaSettings(t *testing.T) {
	good := Defaults()
	good.Brokers, good.Topics = []string{"kafka-1:9092"}, []string{"flights"}
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*Settings){
		"brokers: give at least one":          func(s *Settings) { s.Brokers = nil },
		"topics[1]: \"flights\" stands twice": func(s *Settings) { s.Topics = []string{"flights", "flights"} },
		`topics[0]: "a b" is no topic`:        func(s *Settings) { s.Topics = []string{"a b"} },
		`start: "yesterday" is neither`:       func(s *Settings) { s.Start = "yesterday" },
		`stop: "then" is neither`:             func(s *Settings) { s.Stop = "then" },
		`isolation: "serial" is none of`:      func(s *Settings) { s.Isolation = "serial" },
		`protocol: "consumer" is none of`:     func(s *Settings) { s.Protocol = "consumer" },
		"heartbeat: it must be at most":       func(s *Settings) { s.Heartbeat = s.Session },
		"fetch.partition: it must be":         func(s *Settings) { s.Fetch.Partition = 2 * s.Fetch.Bytes },
		"tls: cert and key belong":            func(s *Settings) { s.TLS = &connect.TLS{Cert: "c.pem"} },
		"sasl: without tls the password":      func(s *Settings) { s.SASL = &connect.SASL{Mechanism: "plain", Username: "u", Password: "p"} },
		`sasl.mechanism: "none" is none`: func(s *Settings) {
			s.SASL = &connect.SASL{Mechanism: "none", Username: "u", Password: "p", Plaintext: true}
		},
	} {
		s := good
		change(&s)
		err := s.Validate()
		var field *settings.FieldError
		if err == nil || !errors.As(err, &field) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v", want, err)
		}
	}
	near := good
	near.Brokers, near.SASL = []string{"127.0.0.1:9092", "localhost:9093", "[::1]:9094"}, &connect.SASL{Mechanism: "plain", Username: "u", Password: "p"}
	if err := near.Validate(); err != nil {
		t.Error(err)
	}
	_, err := New(Settings{Brokers: good.Brokers, Topics: good.Topics, TLS: &connect.TLS{CA: settings.Path(filepath.Join(t.TempDir(), "ca.pem"))}}, Options{Pipeline: "p"})
	var env *pipeline.EnvironmentError
	if !errors.As(err, &env) || !strings.Contains(err.Error(), "tls.ca") {
		t.Error(err)
	}
}

func TestKafkaReadsWithMutualTLS(t *testing.T) {
	dir := t.TempDir()
	certs, err := kafkatest.MakeCerts(dir)
	if err != nil {
		t.Fatal(err)
	}
	k := kafkatest.StartFake(t, kafkatest.Fake(kfake.TLS(certs.ServerTLS(t)), kfake.EnableSASL(),
		kfake.Superuser("SCRAM-SHA-512", "alice", "top secret"), kfake.SeedTopics(1, "flights")))
	mine, err := kafka.TLS{CA: certs.CA, Cert: certs.ClientCert, Key: certs.ClientKey}.Config()
	if err != nil {
		t.Fatal(err)
	}
	w, err := kgo.NewClient(kgo.SeedBrokers(k.Addrs()...), kgo.DialTLSConfig(mine), kgo.DefaultProduceTopic("flights"),
		kgo.SASL(scram.Auth{User: "alice", Pass: "top secret"}.AsSha512Mechanism()))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for i := range 50 {
		if err := w.ProduceSync(t.Context(), &kgo.Record{Value: fmt.Append(nil, i)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	s := groupSettings(k, "g", "flights")
	s.Stop = "end"
	s.TLS = &connect.TLS{CA: settings.Path(certs.CA), Cert: settings.Path(certs.ClientCert), Key: settings.Path(certs.ClientKey)}
	s.SASL = &connect.SASL{Mechanism: "scram-sha-512", Username: "alice", Password: "top secret"}
	r := startRun(t, s)
	if err := r.end(); err != nil {
		t.Fatal(err)
	}
	check(t, 50, true, r.sink)
	s.TLS = &connect.TLS{CA: settings.Path(certs.CA)}
	if err := startRun(t, s).end(); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("without a certificate: %v", err)
	}
	s.TLS = &connect.TLS{}
	if err := startRun(t, s).end(); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("with another authority: %v", err)
	}
	s.TLS = nil
	if err := startRun(t, s).end(); err == nil {
		t.Error("plaintext to a TLS port")
	}
}

func TestPartitionLists(t *testing.T) {
	tp := func(topic string, p int32) kafka.TopicPartition {
		return kafka.TopicPartition{Topic: topic, Partition: p}
	}
	for want, in := range map[string][]kafka.TopicPartition{
		"":                   nil,
		"a:0":                {tp("a", 0)},
		"a:0-3,7 b:1":        {tp("a", 3), tp("b", 1), tp("a", 0), tp("a", 7), tp("a", 2), tp("a", 1)},
		"a:0,2,4 b:0-1 c:10": {tp("a", 0), tp("a", 2), tp("a", 4), tp("b", 1), tp("b", 0), tp("c", 10)},
	} {
		if got := list(in); got != want {
			t.Errorf("%q, not %q", got, want)
		}
	}
}
