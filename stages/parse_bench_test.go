package stages

import (
	"testing"

	"github.com/penstockio/penstock/pipeline"
)

// BenchmarkParse: a line as the value, and one in a field, in a record's place that is used again.
func BenchmarkParse(b *testing.B) {
	line := `203.0.113.7 - - [14/Nov/2023:06:25:03 +0000] \"GET /css/site.css?v=17 HTTP/1.1\" 304 0 \"https://www.example.org/\" \"Mozilla/5.0\"`
	for name, c := range map[string]struct {
		s     ParseSettings
		value string
	}{
		"access_log":    {parse(AsAccessLog, nil), `203.0.113.7 - - [14/Nov/2023:06:25:03 +0000] "GET /css/site.css?v=17 HTTP/1.1" 304 0 "https://www.example.org/" "Mozilla/5.0 (X11; Linux x86_64; rv:109.0)"`},
		"logfmt":        {parse(AsLogfmt, nil), `at=info method=GET path="/" host=myapp.example.com request_id=8601b555 connect=1ms service=18ms status=200 bytes=13`},
		"json":          {parse(AsJSON, nil), `{"id":17,"name":"x","list":[1,2,3]}`},
		"json in field": {parse(AsJSON, func(s *ParseSettings) { s.Field = "payload" }), `{"id":17,"payload":"{\"a\":[1,2,3],\"b\":\"x\"}"}`},
		"in field":      {parse(AsAccessLog, func(s *ParseSettings) { s.Field, s.Into = "line", "log" }), `{"id":17,"line":"` + line + `"}`},
	} {
		b.Run(name, func(b *testing.B) {
			p, err := NewParse(c.s)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			b.SetBytes(int64(len(c.value)))
			var rec pipeline.Record
			value := []byte(c.value)
			for b.Loop() {
				rec.Init(pipeline.Position{Topic: "t"}, nil, value, nil, 1000)
				if err := p.Process(b.Context(), &rec); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
