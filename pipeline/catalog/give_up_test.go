package catalog_test

import (
	"strings"
	"testing"
	"time"

	"github.com/penstockio/penstock/pipeline/catalog"
	"github.com/penstockio/penstock/pipeline/config"
)

// Where hosts come from records, one that is gone for good does not hold up the others for ever.
func TestAHostOfARecordIsGivenUp(t *testing.T) {
	const file = `pipeline: p
source: {replay: {files: [in.jsonl], as: value}}
stages:
  - STEP
sinks:
  - stdout: {}
`
	const page = `scrape: {url: "http://{host}/", hosts: ['*.example'], agent: "acme/1.0 (+https://acme.example/bot)", select: {title: title}, into: found}`
	const call = `http: {url: "http://api.example/{id}", into: answer}`
	const any = `http: {url: "http://{host}/", hosts: ['*.example'], into: answer}`
	for step, want := range map[string]time.Duration{
		page:                                   10 * time.Minute,
		any:                                    10 * time.Minute,
		call:                                   0,
		page + "\n    breaker: {give_up: 2h}":  2 * time.Hour,
		any + "\n    breaker: {give_up: 1s}":   time.Second,
		call + "\n    breaker: {give_up: 90m}": 90 * time.Minute,
	} {
		loader := &config.Loader{Kinds: catalog.Kinds()}
		set, err := loader.Load(write(t, strings.Replace(file, "STEP", step, 1)))
		if err != nil {
			t.Errorf("%s: %v", step, err)
			continue
		}
		if got := set.Pipelines[0].Stages[0].Calls.Breaker.GiveUp; got != want {
			t.Errorf("%s: given up after %v, want %v", step, got, want)
		}
	}
}
