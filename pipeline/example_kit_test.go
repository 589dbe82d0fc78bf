package pipeline_test

import (
	"testing"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/pipelinetest"
)

// The source that authors copy keeps the rules that theirs has to keep.
func TestTheExampleSourceKeepsTheRules(t *testing.T) {
	pipelinetest.Source(t, func(*testing.T) pipelinetest.SourceUnderTest {
		return pipelinetest.SourceUnderTest{
			New:   func() (pipeline.Source, error) { return &counter{}, nil },
			Lanes: map[string][]string{"numbers/0": {`{"n":0}`, `{"n":1}`, `{"n":2}`, `{"n":3}`, `{"n":4}`}},
		}
	})
}
