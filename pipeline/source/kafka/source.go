// SPDX-License-Identifier: Apache-2.0

// Package kafkasource reads topics as a member of a consumer group and gives each
// assigned partition to the engine as a lane.
//
// It is not named after its folder: what it speaks of on every page is Kafka's protocol,
// package kafka, and who makes a source of one cluster and a sink of another imports
// that one beside it.
package kafkasource

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/event"
	"github.com/penstockio/penstock/pipeline/kafka"
	"github.com/penstockio/penstock/pipeline/kafka/recordbatch"
)

// Options are what a Kafka source must know of its pipeline.
type Options struct {
	Pipeline string        // its name: the group's, unless the settings name one
	Drain    time.Duration // how long a revoked partition may finish what is in flight. 0: 25s
	// Dial replaces the dialer, for tests.
	Dial kafka.DialFunc
}

const (
	queueSize       = 4                // batches between the fetch loops and Read: they wait with their lanes
	defaultDrain    = 25 * time.Second // default of Options.Drain
	rebalanceMargin = 15 * time.Second // of the rebalance timeout above the drain budget
	closePatience   = 5 * time.Second  // for what Close has to say to the group
	pingTimeout     = 14 * time.Second // of the check at start-up
	firstBackoff    = 20 * time.Millisecond
	maxBackoff      = time.Second
)

// A Source reads topics as a member of a consumer group. Each partition that the group
// assigns is one lane, named topic/partition; a commit stores the lane's mark with the
// group. Batches come from one fetch loop a broker, which has one request under way
// for all its partitions that have room.
//
// Reason for its size: one lock guards what the group assigns and what is fetched, which change
// together when a partition comes or goes.
type Source struct {
	s      Settings
	o      Options
	config kafka.Config
	events *event.Emitter
	mem    memory
	unpack unpacker
	out    chan queuedBatch

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	tasks  sync.WaitGroup

	client *kafka.Client
	group  kafka.Group
	engine pipeline.Feed
	stop   *stopPlan // nil: reads without end

	mu               sync.Mutex
	checked          bool
	joined           bool
	closed           bool
	generation       int64
	memberID         string
	parts            map[kafka.TopicPartition]*partition
	unreached        map[*partition]absence // the last poll for it had no answer
	loops            map[int32]*fetchLoop
	lanes            map[pipeline.Lane]knownLane // that may still be committed
	starts           map[string]*topicStart
	epochs           map[kafka.TopicPartition]*epochs
	asked            []*partition // whose committed offset is to be asked for
	asking           bool         // openAsked runs
	widest           int64        // the most room that a lane has had
	noLeaderReported time.Time    // when it was told last that leaders are not found
}

// A queuedBatch is a batch that waits for Read, or the error or io.EOF that Read ends with.
type queuedBatch struct {
	part  *partition
	batch *pipeline.Batch
	err   error
}

// New makes a Kafka source. It reads the files of tls and connects to nothing.
func New(s Settings, o Options) (*Source, error) {
	s.fill()
	if err := s.Validate(); err != nil {
		return nil, fmt.Errorf("making a Kafka source: %w", err)
	}
	if s.Group == "" {
		s.Group = o.Pipeline
	}
	if s.Group == "" {
		return nil, errors.New("making a Kafka source: it needs a group")
	}
	if o.Drain <= 0 {
		o.Drain = defaultDrain
	}
	s.Rebalance = max(s.Rebalance, o.Drain+rebalanceMargin)
	s.Topics = slices.Clone(s.Topics)
	k := &Source{
		s: s, o: o, out: make(chan queuedBatch, queueSize),
		parts: map[kafka.TopicPartition]*partition{}, loops: map[int32]*fetchLoop{}, unreached: map[*partition]absence{},
		lanes: map[pipeline.Lane]knownLane{}, starts: map[string]*topicStart{}, epochs: map[kafka.TopicPartition]*epochs{},
	}
	var err error
	if k.config, err = s.connection().Config(k.warnFiles); err != nil {
		return nil, fmt.Errorf("making a Kafka source: %w", err)
	}
	k.config.Dial = o.Dial
	k.unpack.open = recordbatch.Decompressor{Limit: int(s.Fetch.Decompressed), Memory: &k.mem}
	k.ctx, k.cancel = context.WithCancel(context.Background())
	return k, nil
}

// Attach implements pipeline.Attacher.
func (k *Source) Attach(e *event.Emitter) { k.events = e }

// Account implements pipeline.Accounter: it tells of the buffers that are kept for reuse.
func (k *Source) Account(add func(bytes int64)) { k.mem.account = add }

// warnFiles tells that files of tls or sasl have become unusable, from any goroutine.
func (k *Source) warnFiles(err error) {
	k.events.Log().Warn().Err(err).Msg("a file is not used as it is now")
}

// Group is the consumer group's name.
func (k *Source) Group() string { return k.s.Group }

// Settings gives the settings with all defaults filled in.
func (k *Source) Settings() Settings { return k.s }

var _ pipeline.Hosted = (*Source)(nil)

// Host implements pipeline.Hosted: the brokers that the settings name.
func (k *Source) Host() string { return strings.Join(k.config.Brokers, ",") }

// KafkaConfig says how the cluster is reached, for a sink that writes to it.
func (k *Source) KafkaConfig() kafka.Config { return k.config }

// KafkaTopics are the topics that are read.
func (k *Source) KafkaTopics() []string { return slices.Clone(k.s.Topics) }

// connect makes the client, once.
func (k *Source) connect() (*kafka.Client, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return nil, kafka.ErrClosed
	}
	if k.client != nil {
		return k.client, nil
	}
	c, err := kafka.NewClient(k.config)
	if err != nil {
		return nil, &pipeline.EnvironmentError{Err: err}
	}
	k.client = c
	return c, nil
}

// Ping implements pipeline.Pinger: it reaches the cluster, with rights to the topics
// and the group.
func (k *Source) Ping(ctx context.Context) error {
	c, err := k.connect()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	if err := c.Check(ctx, k.s.Topics...); err != nil {
		return &pipeline.EnvironmentError{Err: err}
	}
	if err := c.CheckGroup(ctx, k.s.Group); err != nil {
		return &pipeline.EnvironmentError{Err: err}
	}
	k.mu.Lock()
	k.checked = true
	k.mu.Unlock()
	return nil
}

// Open implements pipeline.Source: it joins the group.
func (k *Source) Open(ctx context.Context, e pipeline.Feed) error {
	k.mu.Lock()
	checked := k.checked
	k.mu.Unlock()
	if !checked {
		if err := k.Ping(ctx); err != nil {
			return err
		}
	}
	k.engine = e
	var err error
	if k.stop, err = k.findStop(ctx); err != nil {
		return err
	}
	group, err := kafka.NewGroup(k.client, kafka.GroupConfig{
		Group: k.s.Group, Topics: k.s.Topics, Instance: k.s.Instance,
		Session: k.s.Session, Heartbeat: k.s.Heartbeat, Rebalance: k.s.Rebalance,
		Lineage: k.lineageOf,
		Report:  func(err error) { k.events.Log().Warn().Err(err).Msg("the group goes on as it is") },
	})
	if err != nil {
		return fmt.Errorf("opening the Kafka source: %w", err)
	}
	k.mu.Lock()
	k.group = group // Report may be asked for it already
	k.mu.Unlock()
	k.start(k.follow)
	k.start(k.listen)
	if k.stop != nil {
		k.start(k.watchStop)
	}
	return nil
}

// start runs f in a goroutine that Close waits for.
func (k *Source) start(f func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return
	}
	k.tasks.Go(f)
}

// listen wakes the fetch loops when a lane has got room.
func (k *Source) listen() {
	for {
		select {
		case <-k.engine.Room():
			k.mu.Lock()
			for _, l := range k.loops {
				l.lookAgain()
			}
			k.mu.Unlock()
		case <-k.ctx.Done():
			return
		}
	}
}

// Read implements pipeline.Source.
func (k *Source) Read(ctx context.Context) (*pipeline.Batch, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		select {
		case next := <-k.out:
			if next.err == io.EOF && k.reopenEnded() {
				k.start(k.watchStop)
				continue
			}
			if next.err != nil {
				return nil, next.err
			}
			if next.part.isGivenUp() {
				drop(next.batch)
				continue
			}
			return next.batch, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// drop gives back what a batch holds that nobody will read.
func drop(b *pipeline.Batch) {
	if b.Charge != nil {
		b.Charge.Release()
	}
	if b.Free != nil {
		b.Free()
	}
}

// fail ends the source with an error, behind the batches that wait for Read.
func (k *Source) fail(err error) {
	select {
	case k.out <- queuedBatch{err: err}:
	case <-k.ctx.Done():
	}
}

// finish ends a finite source.
func (k *Source) finish() { k.fail(io.EOF) }

// Close implements pipeline.Source: it stops reading, leaves the group (a static
// member keeps its place) and closes all connections.
func (k *Source) Close(ctx context.Context) error {
	k.mu.Lock()
	if k.closed {
		k.mu.Unlock()
		return nil
	}
	k.closed = true
	k.joined = false
	client, group := k.client, k.group
	e := kafka.Event{Generation: int32(k.generation), Revoked: slices.Collect(maps.Keys(k.parts))}
	k.mu.Unlock()
	if parts := k.unregister(e.Revoked); len(parts) > 0 { // the pipeline has ended their lanes
		k.end(endedContext(), parts, e, "closed", func(*partition) {})
	}
	k.cancel()
	var errs []error
	if group != nil {
		leave, cancel := context.WithTimeout(ctx, closePatience)
		errs = append(errs, group.Leave(leave, k.s.Instance != ""))
		cancel()
	}
	k.tasks.Wait()
	for {
		select {
		case left := <-k.out:
			if left.batch != nil {
				drop(left.batch)
			}
			continue
		default:
		}
		break
	}
	k.unpack.mu.Lock()
	k.unpack.open.Close()
	k.unpack.mu.Unlock()
	if client != nil {
		errs = append(errs, client.Close())
	}
	return errors.Join(errs...)
}

// Report implements pipeline.Reporter.
func (k *Source) Report() pipeline.Report {
	k.mu.Lock()
	defer k.mu.Unlock()
	r := pipeline.Report{Generation: k.generation, Connected: k.connected()}
	k.away(&r)
	for _, p := range k.parts {
		report := pipeline.PartitionReport{
			Topic: p.tp.Topic, Partition: p.tp.Partition, Generation: k.generation,
			Committed: p.committed.Load(), Fetched: p.fetched.Load(), HighWatermark: p.highWatermark.Load(),
			Held: p.inTransactions.Load(),
		}
		if at := p.committedAt.Load(); at != 0 {
			report.CommittedAt = time.Unix(0, at)
		}
		if at := p.began.at.Load(); at != 0 {
			report.BeganAt, report.Read = time.Unix(0, at), max(report.Fetched-p.began.offset.Load(), 0)
		}
		r.Partitions = append(r.Partitions, report)
	}
	slices.SortFunc(r.Partitions, func(a, b pipeline.PartitionReport) int {
		return comparePartitions(kafka.TopicPartition{Topic: a.Topic, Partition: a.Partition}, kafka.TopicPartition{Topic: b.Topic, Partition: b.Partition})
	})
	return r
}
