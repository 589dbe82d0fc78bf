package filesink

import (
	"bytes"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/sinks/internal/sinktest"
)

func recs(values ...string) []*pipeline.Record {
	var all []*pipeline.Record
	for i, v := range values {
		all = append(all, sinktest.Record(int64(i), v))
	}
	return all
}

func split(text []byte) [][]byte {
	return bytes.Split(bytes.TrimSuffix(text, []byte("\n")), []byte("\n"))
}
