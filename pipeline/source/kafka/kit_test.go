package kafkasource

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
	"github.com/penstockio/penstock/pipeline/pipelinetest"
)

func TestKafkaConforms(t *testing.T) {
	pipelinetest.Source(t, func(t *testing.T) pipelinetest.SourceUnderTest {
		const partitions, each = 3, 100
		k := kafkatest.Start(t)
		topic := k.Topic(t, partitions)
		lanes := map[string][]string{}
		for first := 0; first < each; first += 10 { // ten batches in each partition
			var recs []*kgo.Record
			for p := range partitions {
				name := fmt.Sprintf("%s/%d", topic, p)
				for n := first; n < first+10; n++ {
					value := fmt.Sprintf(`{"p":%d,"n":%d}`, p, n)
					lanes[name] = append(lanes[name], value)
					recs = append(recs, &kgo.Record{Partition: int32(p), Value: []byte(value)})
				}
			}
			k.Produce(t, topic, recs...)
		}
		s := groupSettings(k, k.Group(t), topic)
		s.Stop = "end"
		return pipelinetest.SourceUnderTest{
			New: func() (pipeline.Source, error) {
				return New(s, Options{Pipeline: "kit", Drain: 5 * time.Second})
			},
			Lanes:   lanes,
			Resumes: true,
		}
	})
}
