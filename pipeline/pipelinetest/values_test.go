package pipelinetest_test

import (
	"fmt"
	"testing"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/pipelinetest"
)

// Values keeps the promises of a source.
func TestValues(t *testing.T) {
	pipelinetest.Source(t, func(*testing.T) pipelinetest.SourceUnderTest {
		lanes := make([][]string, 3)
		want := map[string][]string{}
		for i := range lanes {
			for n := range 40 * i {
				lanes[i] = append(lanes[i], fmt.Sprintf(`{"lane":%d,"n":%d}`, i, n))
			}
			want[fmt.Sprintf("values/%d", i)] = lanes[i]
		}
		src := pipelinetest.NewLanes(lanes...)
		return pipelinetest.SourceUnderTest{
			New: func() (pipeline.Source, error) { return src, nil }, Lanes: want, Resumes: true,
		}
	})
}
