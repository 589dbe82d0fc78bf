package pipeline

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/penstockio/penstock/pipeline/internal/cputime"
	"github.com/penstockio/penstock/pipeline/jsontext"
)

// bigEvent is about 600 bytes, as events of services are.
const bigEvent = `{"timestamp":"2026-03-14T12:34:56.789Z","service":"checkout-api","level":"info","host":"ip-10-12-33-7.eu-west-1","request":{"method":"POST","path":"/v1/orders/9812734/items","query":"expand=price&currency=EUR","ip":"203.0.113.77","bytes":1834},"user":{"id":9007199254740993,"tier":"gold","country":"DE","session":"b7d1f0a2-55c1-4c1e-9a0c-0f7a3f9a1d11"},"duration_ms":184.25,"status":201,"retries":0,"trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","items":[{"sku":"A-1001","qty":2,"price":19.90},{"sku":"B-2230","qty":1,"price":149.00}],"tags":["eu","canary","v2"],"message":"order accepted after stock check"}`

// throughRecord filters on three fields and adds one.
func throughRecord(r *Record, value, text []byte) int {
	r.Init(Position{}, nil, value, nil, 0)
	a, _ := r.Field("service")
	b, _ := r.Field("status")
	c, _ := r.Field("level")
	if string(a) != `"checkout-api"` || string(b) != "201" || string(c) != `"info"` {
		return 0
	}
	_ = r.SetRaw("checked", text)
	return len(r.Value())
}

// throughMap does the same as most pipelines do.
func throughMap(value []byte) int {
	var m map[string]any
	if json.Unmarshal(value, &m) != nil || m["service"] != "checkout-api" || m["status"] != 201.0 || m["level"] != "info" {
		return 0
	}
	m["checked"] = true
	out, _ := json.Marshal(m)
	return len(out)
}

// BenchmarkEdit is P4 of docs/performance.md: the same work on raw bytes and through a map, in
// turn, and how many times faster the former is.
func BenchmarkEdit(b *testing.B) {
	var r Record
	value, text := []byte(bigEvent), []byte("true")
	const records, maps = 4096, 512
	var ours, theirs []time.Duration // of the processor: others use it too
	for range b.N {
		start := cputime.Used()
		for range records {
			if throughRecord(&r, value, text) == 0 {
				b.Fatal("filtered")
			}
		}
		between := cputime.Used()
		for range maps {
			if throughMap(value) == 0 {
				b.Fatal("filtered")
			}
		}
		ours, theirs = append(ours, between-start), append(theirs, cputime.Used()-between)
	}
	slices.Sort(ours)
	slices.Sort(theirs)
	record := float64(ours[len(ours)/2].Nanoseconds()) / records
	viaMap := float64(theirs[len(theirs)/2].Nanoseconds()) / maps
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(record, "ns/record")
	b.ReportMetric(viaMap, "ns/map")
	b.ReportMetric(viaMap/record, "x")
}

// Events of the size of bigEvent: with fields two levels down, and with all of them in one object,
// or in one within one, as envelopes have it.
var (
	deepEvent  = padded(`{"timestamp":"2026-03-14T12:34:56.789Z","service":"checkout-api","level":"info","host":"ip-10-12-33-7.eu-west-1","http":{"request":{"method":"POST","path":"/v1/orders/9812734/items","query":"expand=price&currency=EUR","ip":"203.0.113.77","bytes":1834}},"auth":{"user":{"id":9007199254740993,"tier":"gold","country":"DE","session":"b7d1f0a2-55c1-4c1e-9a0c-0f7a3f9a1d11"}},"duration_ms":184.25,"status":201,"retries":0,"trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","items":[{"sku":"A-1001","qty":2,"price":19.90},{"sku":"B-2230","qty":1,"price":149.00}],"tags":["eu","v2"],"message":"`, `"}`)
	wrapped    = padded(`{"event":`+bigEvent[:len(bigEvent)-len(`"order accepted after stock check"}`)]+`"`, `"}}`)
	wrappedTwo = padded(`{"a":{"event":`+bigEvent[:len(bigEvent)-len(`"order accepted after stock check"}`)]+`"`, `"}}}`)
)

func padded(begin, end string) string {
	return begin + strings.Repeat("x", len(bigEvent)-len(begin)-len(end)) + end
}

// throughPaths is throughRecord with paths.
func throughPaths(r *Record, value, text []byte, paths *[4]jsontext.Path, want *[3]string) int {
	r.Init(Position{}, nil, value, nil, 0)
	a, _ := r.At(paths[0])
	b, _ := r.At(paths[1])
	c, _ := r.At(paths[2])
	if string(a) != want[0] || string(b) != want[1] || string(c) != want[2] {
		return 0
	}
	_ = r.SetRawAt(paths[3], text)
	return len(r.Value())
}

// BenchmarkEditAtDepth is the row of nested edits in docs/performance.md: what BenchmarkEdit does
// on fields one level and two levels down, how many times as long it takes as at the top of the
// same record, in turn, and how many allocations more. again is the top twice: what the machine adds.
// event and a.event are for comparison, and have no target: there the fields are in one object,
// which is gone through once for each of them.
func BenchmarkEditAtDepth(b *testing.B) {
	atUser := [3]string{`"POST"`, `"gold"`, `"DE"`}
	atTop := [3]string{`"checkout-api"`, "201", `"info"`}
	for _, row := range []struct {
		name, value string
		paths       [4]string
		want        [3]string
	}{
		{"again", bigEvent, [4]string{"service", "status", "level", "checked"}, atTop},
		{"one", bigEvent, [4]string{"request.method", "user.tier", "user.country", "user.checked"}, atUser},
		{"two", deepEvent, [4]string{"http.request.method", "auth.user.tier", "auth.user.country", "auth.user.checked"}, atUser},
		{"event", wrapped, [4]string{"event.service", "event.status", "event.level", "event.checked"}, atTop},
		{"a.event", wrappedTwo, [4]string{"a.event.service", "a.event.status", "a.event.level", "a.event.checked"}, atTop},
	} {
		b.Run(row.name, func(b *testing.B) {
			var paths, topPaths [4]jsontext.Path
			for i, p := range row.paths {
				paths[i], _ = jsontext.ParsePath(p)
				topPaths[i] = jsontext.Path{{Name: []string{"service", "status", "level", "checked"}[i]}}
			}
			var top, below Record
			value, topValue, text := []byte(row.value), []byte(row.value), []byte("true")
			if !strings.HasPrefix(row.value, `{"timestamp"`) { // what is at the top of that is an object alone
				topValue = []byte(bigEvent)
			}
			if len(value) != len(bigEvent) {
				b.Fatalf("%d bytes, not %d", len(value), len(bigEvent))
			}
			const records = 4096
			var sides [2][]time.Duration
			var allocs [2]float64
			works := [2]func() bool{
				func() bool { return throughPaths(&top, topValue, text, &topPaths, &atTop) > 0 },
				func() bool { return throughPaths(&below, value, text, &paths, &row.want) > 0 },
			}
			for i, work := range works {
				allocs[i] = testing.AllocsPerRun(100, func() { work() })
			}
			for range b.N {
				for i, work := range works {
					start := cputime.Used()
					for range records {
						if !work() {
							b.Fatal("filtered")
						}
					}
					sides[i] = append(sides[i], cputime.Used()-start)
				}
			}
			for i := range sides {
				slices.Sort(sides[i])
			}
			ours, theirs := sides[1][b.N/2], sides[0][b.N/2]
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(float64(ours.Nanoseconds())/records, "ns/record")
			b.ReportMetric(float64(theirs.Nanoseconds())/records, "ns/top")
			b.ReportMetric(float64(ours)/float64(theirs), "x")
			b.ReportMetric(allocs[1]-allocs[0], "allocs-more")
		})
	}
}

func BenchmarkField(b *testing.B) {
	value := []byte(bigEvent)
	var r Record
	b.Run("check", func(b *testing.B) {
		b.SetBytes(int64(len(value)))
		for range b.N {
			r.Init(Position{}, nil, value, nil, 0)
			if r.check() != nil {
				b.Fatal("invalid")
			}
		}
	})
	b.Run("find", func(b *testing.B) {
		for range b.N {
			if f, _ := r.Field("status"); f == nil {
				b.Fatal("missing")
			}
		}
	})
}
