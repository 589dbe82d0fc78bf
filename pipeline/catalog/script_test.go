package catalog_test

import (
	"context"
	"runtime"
	"testing"

	"github.com/penstockio/penstock/pipeline/catalog"
	"github.com/penstockio/penstock/stages/script"
)

// TestAScriptIsCalledAsItIs: a step that computes for long has as many workers as there are processors, one attempt, and nothing
// around its stage that holds calls back.
func TestAScriptIsCalledAsItIs(t *testing.T) {
	o, err := catalog.Build(load(t, write(t, `pipeline: p
source: {replay: {files: [in.jsonl]}}
stages:
  - script: "def process(record): pass"
  - script: "def process(record): pass"
    name: wide
    workers: 7
    timeout: 3s
    window: 9
sinks:
  - stdout: {}
`)).Pipelines[0], catalog.Env{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = catalog.Close(context.Background(), o) }()
	first, wide := o.Steps[0], o.Steps[1]
	if first.Workers != runtime.GOMAXPROCS(0) || first.Wait == nil || first.Wait.Retry.Attempts != 1 || first.Wait.Window < first.Workers {
		t.Errorf("%+v, %+v", first, first.Wait)
	}
	if _, ok := first.Stage.(*script.Stage); !ok {
		t.Errorf("a %T stands before the script", first.Stage)
	}
	if wide.Workers != 7 || wide.Wait.Timeout != 3e9 || wide.Wait.Window != 9 {
		t.Errorf("%+v, %+v", wide, wide.Wait)
	}
}
