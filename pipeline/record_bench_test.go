package pipeline

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/penstockio/penstock/pipeline/internal/cputime"
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
