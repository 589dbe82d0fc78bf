package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"strconv"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/penstockio/penstock/pipeline"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memory is a source of batches in memory: lanes t/0, t/1, …, records numbered from
// 0 in each, or as batches say.
type memory struct {
	lanes   int
	records int // of each lane
	batch   int // records a batch; 0: 10
	value   func(lane, n int) string
	key     func(lane, n int) string
	endless bool // wait for ctx at the end, instead of io.EOF
	charge  bool // take charges, as Kafka does
	gap     time.Duration
	commit  func(marks []pipeline.Mark) error
	wrap    func(b *pipeline.Batch) // of each batch, before it is handed over
	from    map[string]int64        // what was committed before
	reopens bool                    // lanes that the pipeline ends are opened again

	mu      sync.Mutex
	engine  pipeline.Feed
	open    []*lane
	next    []int
	turn    int
	marks   map[string]int64
	commits int
	closed  int
	freed   int
	given   int
	lost    map[int]bool // lanes that are not opened again
}

func (m *memory) Open(ctx context.Context, e pipeline.Feed) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.marks = map[string]int64{}
	maps.Copy(m.marks, m.from)
	m.next = make([]int, m.lanes)
	m.engine = e
	for i := range m.lanes {
		name := "t/" + strconv.Itoa(i)
		l, from, err := e.(feed).p.lane(ctx, name, m.from[name])
		if err != nil {
			return err
		}
		m.next[i] = int(from)
		m.open = append(m.open, l)
	}
	return nil
}

func (m *memory) Read(ctx context.Context) (*pipeline.Batch, error) {
	if m.gap > 0 {
		pause(ctx, m.gap)
	}
	for {
		for range m.lanes {
			if b, err := m.one(ctx); b != nil || err != nil {
				return b, err
			}
		}
		if !m.endless && m.done() {
			return nil, io.EOF
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-m.engine.Room():
		case <-m.again():
		}
	}
}

// again tells a source that opens lanes again to look for such.
func (m *memory) again() <-chan time.Time {
	if m.reopens {
		return time.After(5 * time.Millisecond)
	}
	return nil
}

// one gives a batch of the lane whose turn it is, if it has one and room for it.
func (m *memory) one(ctx context.Context) (*pipeline.Batch, error) {
	m.mu.Lock()
	i := m.turn % m.lanes
	m.turn++
	l := m.open[i]
	if m.reopens && over(l) && !m.lost[i] {
		again, from, err := m.engine.(feed).p.lane(ctx, l.name, m.marks[l.name])
		if err != nil {
			m.mu.Unlock()
			return nil, err
		}
		l, m.open[i], m.next[i] = again, again, int(from)
	}
	n := min(or0(m.batch, 10), m.records-m.next[i])
	m.mu.Unlock()
	if over(l) || n <= 0 || m.charge && l.Room() == 0 {
		return nil, nil
	}
	var c pipeline.Charge
	if m.charge {
		var err error
		if c, err = l.Take(ctx, int64(n)*100); errors.Is(err, errLaneEnded) {
			return nil, nil
		} else if err != nil {
			return nil, err
		}
	}
	b := m.make(i, l, n)
	b.Charge = c
	return b, nil
}

// waitIf makes a waiting step, or not.
func waitIf(waits bool) *Wait {
	if waits {
		return &Wait{}
	}
	return nil
}

func over(l *lane) bool {
	select {
	case <-l.Ended():
		return true
	default:
		return false
	}
}

// done says whether every lane has been read to its end, or is over.
func (m *memory) done() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, l := range m.open {
		switch {
		case m.next[i] < m.records && !over(l):
			return false
		case m.reopens && !m.lost[i] && int(m.marks[l.name]) < m.records: // what is under way may be handed back
			return false
		}
	}
	return true
}

func or0(v, otherwise int) int {
	if v == 0 {
		return otherwise
	}
	return v
}

func (m *memory) make(i int, l *lane, n int) *pipeline.Batch {
	recs := make([]pipeline.Record, n)
	m.mu.Lock()
	defer m.mu.Unlock()
	for j := range recs {
		k := m.next[i]
		m.next[i]++
		value, key := fmt.Sprintf(`{"lane":%d,"n":%d}`, i, k), []byte(nil)
		if m.value != nil {
			value = m.value(i, k)
		}
		if m.key != nil {
			key = []byte(m.key(i, k))
		}
		recs[j].Init(pipeline.Position{Topic: "t", Partition: int32(i), Offset: int64(k)}, key, []byte(value), nil, int64(k))
	}
	m.given++
	b := &pipeline.Batch{Lane: l, Fill: pipeline.Records(recs), Next: int64(m.next[i]), Free: func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.freed++
		clear(recs) // as a source does that uses them again: who still looks, races (I2)
	}}
	if m.wrap != nil {
		m.wrap(b)
	}
	return b
}

func (m *memory) Commit(_ context.Context, marks []pipeline.Mark) error {
	if m.commit != nil {
		if err := m.commit(marks); err != nil {
			return err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.commits++
	for _, mark := range marks {
		if mark.Next < m.marks[mark.Lane.Name()] {
			panic("a mark went back")
		}
		m.marks[mark.Lane.Name()] = mark.Next
	}
	return nil
}

func (m *memory) Close(context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed++
	return nil
}

func (m *memory) lane(i int) *lane {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.open[i]
}

func (m *memory) mark(lane int) int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.marks["t/"+strconv.Itoa(lane)]
}

// collect is a sink in memory.
type collect struct {
	write func(ctx context.Context, recs []*pipeline.Record) error // before storing; an error stores nothing

	mu      sync.Mutex
	got     []stored
	writing map[string]bool
	batches []int
	closed  int
}

type stored struct {
	pipeline.Position
	part    int32
	dest    uint8 // for sinks that store some of a batch
	key     string
	value   string
	headers map[string]string
	at      time.Time
}

// laneOf is the lane that a record of the source memory came in.
func laneOf(r *pipeline.Record) string { return r.Topic + "/" + strconv.Itoa(int(r.Partition)) }

// destination is where a record goes in a sink that stores some of a write.
func destination(r *pipeline.Record) uint8 { return uint8(r.Offset % 3) }

func (c *collect) Write(ctx context.Context, recs []*pipeline.Record) error {
	lane := laneOf(recs[0])
	c.mu.Lock()
	if c.writing == nil {
		c.writing = map[string]bool{}
	}
	if c.writing[lane] {
		c.mu.Unlock()
		return pipeline.Fatal(errors.New("two writes of one lane at a time"))
	}
	c.writing[lane] = true
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		c.writing[lane] = false
		c.mu.Unlock()
	}()
	var err error
	if c.write != nil {
		err = c.write(ctx, recs)
	}
	var partial *pipeline.WriteError
	if err != nil && !errors.As(err, &partial) {
		return err
	}
	bad := map[int]bool{}
	if partial != nil {
		for _, f := range partial.Failed {
			bad[f.Index] = true
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.batches = append(c.batches, len(recs))
	for i, r := range recs {
		if laneOf(r) != lane {
			return pipeline.Fatal(errors.New("records of two lanes in one write"))
		}
		if bad[i] {
			continue
		}
		s := stored{r.Position, r.Part, destination(r), string(r.Key()), string(r.Value()), map[string]string{}, time.Now()}
		for _, h := range r.Headers() {
			s.headers[h.Name] = string(h.Value)
		}
		c.got = append(c.got, s)
	}
	return err
}

func (c *collect) Close(context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed++
	return nil
}

func (c *collect) all() []stored {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]stored(nil), c.got...)
}

// offsets gives the offsets that came from a lane, in order.
func (c *collect) offsets(lane int32) []int64 {
	var out []int64
	for _, s := range c.all() {
		if s.Partition == lane {
			out = append(out, s.Offset)
		}
	}
	return out
}

// does is a stage made of a function.
type does func(ctx context.Context, r *pipeline.Record) error

func (f does) Process(ctx context.Context, r *pipeline.Record) error { return f(ctx, r) }

// splits is a splitter made of a function.
type splits func(ctx context.Context, r *pipeline.Record, emit func(*pipeline.Record)) error

func (f splits) Split(ctx context.Context, r *pipeline.Record, emit func(*pipeline.Record)) error {
	return f(ctx, r, emit)
}

func mustNew(t testing.TB, o Options) *Pipeline {
	t.Helper()
	p, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	owners.Store(&p.shared, p)
	t.Cleanup(func() { owners.Delete(&p.shared) })
	return p
}

var owners sync.Map // of pipelines that mustNew has made, by what their parts see of them

// owner is the pipeline of a lane. The lane itself does not know it.
func owner(l *lane) *Pipeline {
	p, _ := owners.Load(l.p)
	return p.(*Pipeline)
}

// run runs a pipeline to its end.
func run(t testing.TB, o Options) (*Pipeline, error) {
	t.Helper()
	p := mustNew(t, o)
	err := p.Run(context.Background())
	balanced(t, p)
	return p, err
}

func balanced(t testing.TB, p *Pipeline) {
	t.Helper()
	s := p.Snapshot()
	check := func(name string, c Counts) {
		if !c.Balanced() {
			t.Errorf("%s does not balance (I6): %+v", name, c)
		}
		if c.InFlight < 0 || c.Out < 0 || c.Created < 0 {
			t.Errorf("%s counts less than nothing: %+v", name, c)
		}
	}
	check("the pipeline", s.Counts)
	for _, st := range s.Steps {
		check("step "+st.Name, st.Counts)
	}
	for _, si := range s.Sinks {
		check("sink "+si.Name, si.Counts)
	}
	for _, st := range p.chain().steps {
		if st, ok := st.(*waitStep); ok {
			st.win.gatesAddUp(t)
		}
	}
}

// ascending checks that offsets are 0, 1, 2, … n-1.
func ascending(t testing.TB, what string, got []int64, n int) {
	t.Helper()
	if len(got) != n {
		t.Fatalf("%s: %d records, want %d", what, len(got), n)
	}
	for i, o := range got {
		if o != int64(i) {
			t.Fatalf("%s: offset %d at place %d (I1)", what, o, i)
		}
	}
}
