package trace

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/client"
	"github.com/penstockio/penstock/pipeline/engine"
	"github.com/penstockio/penstock/pipeline/pipelinetest"
	"github.com/penstockio/penstock/pipeline/trace/tracetest"
	"github.com/penstockio/penstock/pipeline/tracing"
)

const (
	cameIn = "0af7651916cd43dd8448eb211c80319c"
	cameBy = "b7ad6b7169203331"
	came   = "00-" + cameIn + "-" + cameBy
)

// TestHeadersThatCome: which records are traced, and in which trace, by the header that they come with. What is broken counts
// as no trace.
func TestHeadersThatCome(t *testing.T) {
	for name, tt := range map[string]struct {
		headers []string
		chosen  bool
		alone   bool // parent: no
		traced  bool
		joins   bool // its span is within that of the producer
	}{
		"none":                  {traced: false},
		"none, chosen":          {chosen: true, traced: true},
		"sampled":               {headers: []string{"traceparent", came + "-01"}, traced: true, joins: true},
		"not sampled":           {headers: []string{"traceparent", came + "-00"}},
		"not sampled, chosen":   {headers: []string{"traceparent", came + "-00"}, chosen: true},
		"alone":                 {headers: []string{"traceparent", came + "-01"}, alone: true},
		"alone, chosen":         {headers: []string{"traceparent", came + "-00"}, alone: true, chosen: true, traced: true, joins: true},
		"another case":          {headers: []string{"TraceParent", came + "-01"}, traced: true, joins: true},
		"more flags":            {headers: []string{"traceparent", came + "-03"}, traced: true, joins: true},
		"unknown flags":         {headers: []string{"traceparent", came + "-05"}, traced: true, joins: true},
		"all flags":             {headers: []string{"traceparent", came + "-ff"}, traced: true, joins: true},
		"unknown flags alone":   {headers: []string{"traceparent", came + "-fc"}},
		"flags in capitals":     {headers: []string{"traceparent", came + "-FF"}},
		"a later version":       {headers: []string{"traceparent", "cc" + came[2:] + "-01-more"}, traced: true, joins: true},
		"an impossible version": {headers: []string{"traceparent", "ff" + came[2:] + "-01"}},
		"capitals":              {headers: []string{"traceparent", strings.ToUpper(came) + "-01"}},
		"no trace":              {headers: []string{"traceparent", "00-00000000000000000000000000000000-" + cameBy + "-01"}},
		"no span":               {headers: []string{"traceparent", "00-" + cameIn + "-0000000000000000-01"}},
		"cut":                   {headers: []string{"traceparent", came}},
		"empty":                 {headers: []string{"traceparent", ""}},
		"junk, chosen":          {headers: []string{"traceparent", "\x00\xff"}, chosen: true, traced: true},
		"long":                  {headers: []string{"traceparent", strings.Repeat("0", 1<<20)}},
		"twice":                 {headers: []string{"traceparent", came + "-01", "traceparent", came + "-00"}},
		"state that is broken":  {headers: []string{"traceparent", came + "-01", "tracestate", "=,=\x00"}, traced: true, joins: true},
	} {
		t.Run(name, func(t *testing.T) {
			c := tracetest.Start(t)
			tr := open(t, c, func(o *Options) { o.Parent = !tt.alone })
			got := tr.Pipeline(Pipeline{Name: "p", Source: "kafka"}).Begin(recordWith(tt.headers...), time.Now(), tt.chosen)
			if (got != nil) != tt.traced {
				t.Fatalf("traced: %v", got)
			}
			if got == nil {
				return
			}
			got.End("delivered", time.Now())
			flush(t, tr)
			s := c.One("process flights")
			if joins := s.Trace == cameIn && s.Parent == cameBy; joins != tt.joins || s.Trace != got.ID() || !tt.joins && s.Parent != "" {
				t.Errorf("%+v", s)
			}
			for _, v := range s.Attrs {
				if strings.Contains(v, "-of-it") {
					t.Errorf("the span shows what is in the record: %v", s.Attrs)
				}
			}
		})
	}
}

// TestShareOfRecords: as many records are chosen as the file says, one by one and at random.
func TestShareOfRecords(t *testing.T) {
	for share, tolerance := range map[float64]float64{0: 0, 0.001: 0.2, 0.1: 0.05, 0.5: 0.05, 1: 0} {
		tr := &tracer{options: &Options{Sample: share}}
		const n = 1_000_000
		chosen := 0
		for at := tr.Skip(); at < n; at += tr.Skip() + 1 {
			chosen++
		}
		if want := share * n; math.Abs(float64(chosen)-want) > tolerance*want {
			t.Errorf("%v: %d of %d", share, chosen, n)
		}
	}
}

// TestSpansOfARun: the spans of a pipeline, who is within whom, and how they end.
func TestSpansOfARun(t *testing.T) {
	c := tracetest.Start(t)
	tr := open(t, c, nil)
	var tries atomic.Int32
	calls := make(chan string, 10)
	p, err := engine.New(engine.Options{
		Name: "p", Source: pipelinetest.NewValues("drop", "refuse", "retry", "two"), Tracer: tr.Pipeline(Pipeline{Name: "p", Source: "replay"}),
		Steps: []engine.Step{
			{Name: "pick", Kind: "filter", Stage: pipeline.StageFunc(func(_ context.Context, r *pipeline.Record) error {
				if string(r.Value()) == "drop" {
					return pipeline.Filtered
				}
				return nil
			})},
			{Name: "parts", Kind: "split", Splitter: pipeline.SplitterFunc(func(_ context.Context, r *pipeline.Record, emit func(*pipeline.Record)) error {
				if emit(r); string(r.Value()) == "two" {
					emit(r)
				}
				return nil
			})},
			{Name: "call", Kind: "http", Wait: &engine.Wait{Retry: engine.Retry{Backoff: 1}}, Stage: pipeline.StageFunc(func(ctx context.Context, r *pipeline.Record) error {
				calls <- fmt.Sprint(string(r.Value()), " ", string(tracing.Of(ctx).Call()[0].Value))
				switch {
				case string(r.Value()) == "refuse":
					return pipeline.Reject("too_odd", errors.New("what was refused"))
				case string(r.Value()) == "retry" && tries.Add(1) == 1:
					return errors.New("not now")
				}
				return nil
			})},
		},
		Sinks:      []engine.Output{{Name: "out", Kind: "file", Sink: &pipelinetest.Memory{}}, {Name: "also", Sink: &pipelinetest.Memory{}}},
		DeadLetter: engine.DeadLetter{Sink: &pipelinetest.Memory{}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	flush(t, tr)
	of := func(offset int) tracetest.Span {
		for _, s := range c.Named("process values") {
			if s.Attrs["penstock.position"] == fmt.Sprint("values/0@", offset) {
				return s
			}
		}
		t.Fatalf("no span of record %d:\n%s", offset, c)
		return tracetest.Span{}
	}
	named := func(in tracetest.Span, name string) (all []tracetest.Span) {
		for _, s := range c.Within(in) {
			if s.Name == name {
				all = append(all, s)
			}
		}
		return all
	}
	drop, refuse, retry, two := of(0), of(1), of(2), of(3)
	if pick := named(drop, "pick"); len(pick) != 1 || pick[0].Attrs["penstock.outcome"] != "filtered" || drop.Attrs["penstock.outcome"] != "filtered" || drop.Error {
		t.Errorf("the filtered record: %+v, %+v", drop, pick)
	}
	if step := named(refuse, "call"); len(step) != 1 || !step[0].Error || step[0].Attrs["error.type"] != "too_odd" {
		t.Errorf("the step of the rejected record: %+v", step)
	}
	if a := refuse.Attrs; !refuse.Error || a["penstock.outcome"] != "rejected" || a["penstock.rejected.by"] != "call" || a["penstock.rejected.reason"] != "too_odd" ||
		refuse.StatusText != "too_odd" || len(named(refuse, "send dead_letter")) != 1 {
		t.Errorf("the rejected record: %+v\n%s", refuse, c)
	}
	step := named(retry, "call")
	if len(step) != 1 || step[0].Error || len(step[0].Events) != 1 || step[0].Events[0].Name != "retry" {
		t.Fatalf("the step of the record that was tried again: %+v", step)
	}
	attempts := named(step[0], "call attempt")
	if len(attempts) != 2 || !attempts[0].Error || attempts[1].Error || attempts[1].Attrs["penstock.attempt"] != "2" {
		t.Errorf("its attempts: %+v", attempts)
	}
	parts := named(two, "call")
	if len(parts) != 2 || parts[0].Attrs["penstock.part"]+parts[1].Attrs["penstock.part"] != "12" && parts[0].Attrs["penstock.part"]+parts[1].Attrs["penstock.part"] != "21" {
		t.Errorf("the parts: %+v", parts)
	}
	close(calls)
	told := map[string]bool{}
	for s := range calls {
		told[s] = true
	}
	for _, a := range attempts {
		if !told["retry 00-"+a.Trace+"-"+a.ID+"-01"] {
			t.Errorf("no call was told of %s: %v", a.ID, told)
		}
	}
	if strings.Contains(c.String(), "what was refused") {
		t.Error("a span shows an error's text, which may quote the record")
	}
	for _, s := range c.Spans() {
		if s.End.Before(s.Start) || s.Resource["service.instance.id"] != "i-1" || s.Resource["service.version"] != "v1" {
			t.Errorf("%+v", s)
		}
	}
}

// TestSpanOfAWrite: that of several records is a trace of its own and names some of them, each of which names it.
func TestSpanOfAWrite(t *testing.T) {
	c := tracetest.Start(t)
	tr := open(t, c, nil)
	p := tr.Pipeline(Pipeline{Name: "p", Source: "kafka"})
	of := make([]engine.Trace, 200)
	for i := range of {
		if i != 7 {
			of[i] = p.Begin(recordWith(), time.Now(), true)
		}
	}
	ctx, span := p.Send(t.Context(), "out", "kafka", of, time.Now())
	told := tracing.Of(ctx)
	if told.Message(7) != nil || told.Message(-1) != nil || told.Message(200) != nil {
		t.Error("headers for a message of no traced record")
	}
	third := string(told.Message(3)[0].Value)
	span.End(engine.Result{ErrorType: "timeout"}, time.Now())
	for _, tr := range of {
		if tr != nil {
			tr.End("delivered", time.Now())
		}
	}
	flush(t, tr)
	s := c.One("send out")
	if len(s.Links) != maxLinks || s.Parent != "" || !s.Error || s.Attrs["error.type"] != "timeout" || s.Attrs["messaging.batch.message_count"] != "200" || s.Attrs["penstock.traced"] != "199" {
		t.Errorf("%d links, %+v", len(s.Links), s)
	}
	if call := string(told.Call()[0].Value); call != "00-"+s.Trace+"-"+s.ID+"-01" {
		t.Errorf("a call of the Write is told %s", call)
	}
	if !strings.HasPrefix(third, "00-"+of[3].ID()) {
		t.Errorf("message 3 has %s", third)
	}
	for _, r := range c.Named("process flights") {
		if len(r.Links) != 1 || r.Links[0].ID != s.ID {
			t.Fatalf("%+v", r)
		}
	}
}

// TestATraceIsBounded: a record of many parts has a span for some of their steps, and says how many were left out.
func TestATraceIsBounded(t *testing.T) {
	c := tracetest.Start(t)
	tr := open(t, c, nil)
	r := tr.Pipeline(Pipeline{Name: "p"}).Begin(recordWith("baggage", "a=b"), time.Now(), true)
	now := time.Now()
	for i := range 200 {
		r.Computed(engine.Computed{Step: "map", Part: int32(i + 1), Began: now, At: now})
		if s := r.Step("call", "http", int32(i+1), now); s != nil {
			ctx, a := s.Attempt(t.Context(), 1, now)
			if tracing.Of(ctx) == nil {
				t.Fatal("a call is told of no trace")
			}
			if a != nil {
				a.End(engine.Result{}, now)
			}
			s.End(engine.Result{}, now)
		}
	}
	r.End("delivered", now)
	flush(t, tr)
	if n := len(c.Spans()); n != maxSpans+1 {
		t.Errorf("%d spans, want %d", n, maxSpans+1)
	}
	left := c.One("process flights").Attrs["penstock.spans_left_out"]
	if left == "" || left == "0" {
		t.Errorf("%q were left out", left)
	}
}

// TestAStateThatIsLong is passed on and held as far as W3C wants it to be: whole entries, and no long ones.
func TestAStateThatIsLong(t *testing.T) {
	long, entry := strings.Repeat("v", maxEntry), "="+strings.Repeat("v", 97)
	for name, tt := range map[string]struct{ came, want string }{
		"short":               {"us=1, eu=2", "us=1,eu=2"},
		"the most":            {"us=" + strings.Repeat("v", 256) + ",eu=" + strings.Repeat("v", 249), "us=" + strings.Repeat("v", 256) + ",eu=" + strings.Repeat("v", 249)},
		"one that is long":    {"us=1,long=" + strings.Repeat("v", 256) + ",eu=" + strings.Repeat("v", 256), "us=1"},
		"the last are left":   {"a" + entry + ",b" + entry + ",c" + entry + ",d" + entry + ",e" + entry + ",f" + entry, "a" + entry + ",b" + entry + ",c" + entry + ",d" + entry + ",e" + entry},
		"nothing but long":    {"a=" + long + ",b=" + long + ",c=" + long + ",d=" + long, ""},
		"kilobytes, no comma": {"a=" + strings.Repeat("v", 8<<10), ""},
	} {
		t.Run(name, func(t *testing.T) {
			c := tracetest.Start(t)
			tr := open(t, c, nil)
			p := tr.Pipeline(Pipeline{Name: "p"})
			r := p.Begin(recordWith("traceparent", came+"-01", "tracestate", tt.came), time.Now(), false)
			ctx, write := p.Send(t.Context(), "out", "kafka", []engine.Trace{r}, time.Now())
			told := ""
			for _, h := range tracing.Of(ctx).Message(0) {
				if h.Name == "tracestate" {
					told = string(h.Value)
				}
			}
			write.End(engine.Result{}, time.Now())
			r.End("delivered", time.Now())
			flush(t, tr)
			if s := c.One("process flights"); s.State != tt.want || told != tt.want || s.Parent != cameBy {
				t.Errorf("the span has %d bytes %q, a message %d bytes %q, want %d bytes %q", len(s.State), s.State, len(told), told, len(tt.want), tt.want)
			}
		})
	}
}

// TestTracesAreBounded: records beyond so many in traces at once are not traced, and counted, until others have ended.
func TestTracesAreBounded(t *testing.T) {
	tr := open(t, tracetest.Start(t), nil)
	p := tr.Pipeline(Pipeline{Name: "p"})
	begin := func() engine.Trace { return p.Begin(recordWith("traceparent", came+"-01"), time.Now(), false) }
	first := begin()
	for range maxOpen - 1 {
		if begin() == nil {
			t.Fatal("a record is not traced")
		}
	}
	for range 2 {
		if begin() != nil {
			t.Error("there are more traces than there may be")
		}
	}
	if _, dropped, _ := tr.Counts(); dropped != 2 {
		t.Errorf("%d are dropped, want 2", dropped)
	}
	if first.End("delivered", time.Now()); begin() == nil {
		t.Error("a trace has ended, and no other takes its place")
	}
}

// TestWhoIsTold: servers that the file names, or those that it lists.
func TestWhoIsTold(t *testing.T) {
	var listed client.HostPattern
	if err := listed.UnmarshalText([]byte("*.internal")); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		hosts         client.Hosts
		server        string
		fixed, chosen bool
	}{
		{nil, "https://api.example/", true, false},
		{client.Hosts{listed}, "https://api.example/", false, false},
		{client.Hosts{listed}, "https://a.internal/x", true, true},
	} {
		u, err := url.Parse(tt.server)
		if err != nil {
			t.Fatal(err)
		}
		c := tracetest.Start(t)
		p := open(t, c, func(o *Options) { o.Hosts = tt.hosts }).Pipeline(Pipeline{Name: "p"})
		r := p.Begin(recordWith(), time.Now(), true)
		attempt, _ := r.Step("call", "http", 0, time.Now()).Attempt(t.Context(), 1, time.Now())
		write, _ := p.Send(t.Context(), "out", "http", []engine.Trace{r}, time.Now())
		for _, told := range []tracing.Context{tracing.Of(attempt), tracing.Of(write)} {
			if fixed, chosen := told.Tells(u, true), told.Tells(u, false); fixed != tt.fixed || chosen != tt.chosen {
				t.Errorf("%v, %s: %v of one that the file names, %v of another", tt.hosts, tt.server, fixed, chosen)
			}
		}
	}
}

// TestBaggageGoesWhereTheFileSays: calls get it when the file says so, and when it may stand in a header.
func TestBaggageGoesWhereTheFileSays(t *testing.T) {
	for name, tt := range map[string]struct {
		on    bool
		value string
		want  bool
	}{"off": {false, "a=b", false}, "on": {true, "a=b", true}, "a break": {true, "a=b\r\nx: y", false}, "long": {true, strings.Repeat("a", maxBaggage+1), false}} {
		c := tracetest.Start(t)
		tr := open(t, c, func(o *Options) { o.Baggage = tt.on })
		r := tr.Pipeline(Pipeline{Name: "p"}).Begin(recordWith("baggage", tt.value), time.Now(), true)
		ctx, a := r.Step("call", "http", 0, time.Now()).Attempt(t.Context(), 1, time.Now())
		has := false
		for _, h := range tracing.Of(ctx).Call() {
			has = has || h.Name == "baggage"
		}
		if a.End(engine.Result{}, time.Now()); has != tt.want {
			t.Errorf("%s: %v", name, has)
		}
	}
}
