package expr

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/penstockio/penstock/pipeline"
)

// BenchmarkCondition evaluates conditions on a flight. Each record is fresh: its check
// as JSON is in the figure, in "again" it is not.
func BenchmarkCondition(b *testing.B) {
	value := []byte(flight)
	for _, text := range []string{
		`delay >= 15`,
		`delay >= 15 and origin == "DTW"`,
		`delay >= 15 and distance > 1000 and origin in ["DTW", "HNL"] and destination startsWith "L"`,
	} {
		var c Condition
		if err := c.UnmarshalText([]byte(text)); err != nil {
			b.Fatal(err)
		}
		var rec pipeline.Record
		b.Run("fresh/"+text, func(b *testing.B) {
			b.ReportAllocs()
			for range b.N {
				rec.Init(pipeline.Position{}, nil, value, nil, 0)
				if ok, err := c.Condition(&rec); !ok || err != nil {
					b.Fatal(ok, err)
				}
			}
		})
		b.Run("again/"+text, func(b *testing.B) {
			b.ReportAllocs()
			for range b.N {
				if ok, err := c.Condition(&rec); !ok || err != nil {
					b.Fatal(ok, err)
				}
			}
		})
	}
}

func BenchmarkJSON(b *testing.B) {
	rec := record(flight)
	for _, text := range []string{`delay`, `origin + "-" + destination`, `upper(origin)`} {
		e := mustCompile(b, text)
		b.Run(text, func(b *testing.B) {
			b.ReportAllocs()
			var buf []byte
			for range b.N {
				var err error
				if buf, err = e.AppendJSON(buf[:0], rec); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkFindAll finds all words of a text: short, where package regexp does it, and long, where
// what is read is counted; regexp is what that would take.
func BenchmarkFindAll(b *testing.B) {
	for _, n := range []int{8, 1000} {
		text := strings.Repeat("key=value ", n)
		e := mustCompile(b, `len(findAll(s, "[a-z]+"))`)
		rec := record(`{"s":"` + text + `"}`)
		b.Run(fmt.Sprintf("%d bytes", len(text)), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(text)))
			for range b.N {
				if _, err := e.JSON(rec); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("%d bytes, regexp", len(text)), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(text)))
			re, in := regexp.MustCompile("[a-z]+"), []byte(text)
			for range b.N {
				if len(re.FindAllIndex(in, -1)) != 2*n {
					b.Fatal("other matches")
				}
			}
		})
	}
}

// BenchmarkFunctions evaluates calls of functions whose work is more than their call.
func BenchmarkFunctions(b *testing.B) {
	rec := record(everything)
	for _, text := range []string{
		`round(price, 2)`, `toFixed(price, 1)`, `sha256(s)`, `hmac(s, "key")`, `xxhash(s)`, `uuid()`, `random(6)`, `now() > date(0)`,
		`formatTime(date(meta.time), "RFC3339", "Europe/Berlin")`, `truncateTime(date(meta.time), "day", "Europe/Berlin") > date(0)`,
		`capture(date, "^(?P<y>[0-9]+)-(?P<m>[0-9]+)")`, `replaceMatch(date, "[0-9]+", "#")`, `snakeCase(s)`,
	} {
		e := mustCompile(b, text)
		b.Run(text, func(b *testing.B) {
			b.ReportAllocs()
			var buf []byte
			for range b.N {
				var err error
				if buf, err = e.AppendJSON(buf[:0], rec); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
