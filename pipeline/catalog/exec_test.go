package catalog_test

import (
	"context"
	"testing"

	"github.com/penstockio/penstock/pipeline/catalog"
)

// TestWorkersOfProcesses: a step has as many workers as its processes take records, and no more than a file may write: each is
// there from the start, with room in the window for many times as many.
func TestWorkersOfProcesses(t *testing.T) {
	o, err := catalog.Build(load(t, write(t, `pipeline: p
source: {replay: {files: [in.jsonl]}}
stages:
  - exec: {command: [cat], processes: 3, in_flight: 2}
  - exec: {command: [cat], processes: 1024, in_flight: 1024}
sinks:
  - stdout: {}
`)).Pipelines[0], catalog.Env{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = catalog.Close(context.Background(), o) }()
	if few := o.Steps[0]; few.Workers != 6 {
		t.Errorf("%d workers", few.Workers)
	}
	if most := o.Steps[1]; most.Workers != 1<<16 || most.Wait.Window > 1<<22 {
		t.Errorf("%d workers, a window of %d", most.Workers, most.Wait.Window)
	}
}
