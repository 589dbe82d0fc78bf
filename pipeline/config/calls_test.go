package config_test

import (
	"encoding/json"
	"errors"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/calls"
	"github.com/penstockio/penstock/pipeline/catalog"
	"github.com/penstockio/penstock/pipeline/config"
	"github.com/penstockio/penstock/pipeline/settings"
)

const asking = "stages:\n  - http: {url: \"http://127.0.0.1:1/{a}\", into: w}\n"

// limits gives what holds back the calls of the steps of a pipeline, as text.
func limits(t *testing.T, p *config.Pipeline) string {
	t.Helper()
	var all []any
	for _, s := range p.Stages {
		all = append(all, s.Name, s.MaxWait, s.Retry, s.Calls, s.Calls.Breaker.Off, s.Calls.RetryBudget)
	}
	text, err := json.Marshal(append(all, p.Limits))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// What a file says about calls is what a step gets, and what it leaves out is said by show: the file
// that is shown means the same.
func TestCallSettings(t *testing.T) {
	set := mustLoad(t, loader(), filepath.Join(testdata, "limits.good.yaml"))
	p := set.Pipelines[0]
	no, yes := false, true
	want := []calls.Settings{
		{Limit: []string{"api"}, MaxPerHost: 10, Adaptive: true, Share: &no, Breaker: calls.DefaultBreaker(), RetryBudget: 0.2,
			Cache: &calls.CacheSettings{TTL: 5 * time.Minute, NegativeTTL: 30 * time.Second, Stale: time.Hour, Entries: 10000, Bytes: 16 << 20, HTTP: true}},
		{Limit: []string{"api", "night"}, MaxPerHost: 64, RetryBudget: 0.2,
			Cache: &calls.CacheSettings{TTL: time.Minute, NegativeTTL: time.Minute, Entries: 10000, Bytes: 16 << 20}},
		{Limit: []string{"api", "night"}, MaxPerHost: 64, RetryBudget: 0.05},
		{MaxPerHost: 64, RetryBudget: 0.2, Share: &yes},
		{MaxPerHost: 64, RetryBudget: 0.2, Breaker: calls.DefaultBreaker(), Cache: &calls.CacheSettings{TTL: time.Minute, NegativeTTL: time.Millisecond, Entries: 10000, Bytes: 16 << 20}},
	}
	for i := 1; i < 4; i++ {
		want[i].Breaker = calls.DefaultBreaker()
		want[i].Breaker.Off = true
	}
	want[4].Breaker.Calls = 5
	for i, s := range p.Stages {
		if !reflect.DeepEqual(s.Calls, want[i]) {
			t.Errorf("%s: %+v, want %+v", s.Name, s.Calls, want[i])
		}
	}
	if p.Stages[0].MaxWait != 5*time.Minute || p.Stages[1].MaxWait != 0 {
		t.Errorf("max_wait %v and %v", p.Stages[0].MaxWait, p.Stages[1].MaxWait)
	}
	rates := map[string]calls.RateSettings{
		"api":   {Rate: settings.Rate{N: 100, Per: time.Second}, Burst: 20, Per: "host"},
		"night": {Rate: settings.Rate{N: 1, Per: 10 * time.Second}, Burst: 1, Per: "process"},
	}
	if !reflect.DeepEqual(p.Limits.Rates, rates) || !reflect.DeepEqual(set.Process.Limits.Rates, rates) {
		t.Errorf("rates %+v", p.Limits.Rates)
	}
	shown, err := p.Show()
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"max_per_host: 64 # default", "breaker: \"off\"", "negative_ttl: 1m # default", "budget: 20% # default", "rate: 100/s", "burst: 1 # default"} {
		if !strings.Contains(string(shown), line) {
			t.Errorf("show has no %s in\n%s", line, shown)
		}
	}
	if strings.Contains(string(shown), "max_wait: 0s") {
		t.Error("show says max_wait: 0s, which no file may")
	}
	again := mustLoad(t, loader(), filepath.Join(put(t, map[string]string{"a.yaml": string(shown)}), "a.yaml")).Pipelines[0]
	if got, want := limits(t, again), limits(t, p); got != want {
		t.Errorf("shown means\n%s\nwant\n%s", got, want)
	}
}

// Rates of several files are those of the process: any file may name those of another, and a name has
// one rate.
func TestRatesOfSeveralFiles(t *testing.T) {
	dir := put(t, map[string]string{
		"a.yaml": named("a") + asking + "    limit: [one, two]\nlimits: {rates: {one: {rate: 1/s}}}\n",
		"b.yaml": named("b") + asking + "    limit: two\nlimits: {rates: {one: {rate: 60/m, burst: 1}, two: {rate: 2/s}}}\n",
		"c.yaml": named("c") + asking + "    limit: one\n",
		"d.yaml": named("d") + asking + "    limit: one\nlimits:\n  rates:\n    one: {rate: 1/s}\n    two: {rate: 2/s, burst: 3}\n    odd: {rate: 1/s}\n",
	})
	at := func(names ...string) (paths []string) {
		for _, n := range names {
			paths = append(paths, filepath.Join(dir, n+".yaml"))
		}
		return paths
	}
	_, err := loader().Load(at("a", "b", "c")...)
	if got, want := found(dir, err), "b.yaml:9:30: limits.rates.one.rate belongs to the process: it is 60/m here and 1/s in a.yaml:9"; got != want {
		t.Errorf("found\n%s\nwant\n%s", got, want)
	}
	_, err = loader().Load(at("b", "d")...)
	want := `d.yaml:11:17: limits.rates.one.rate belongs to the process: it is 1/s here and 60/m in b.yaml:9
d.yaml:12:29: limits.rates.two.burst belongs to the process: it is 3 here and 1 in b.yaml:9
d.yaml:13:5: warning: no step and no sink keeps to the rate "odd"`
	if got := found(dir, err); got != want {
		t.Errorf("found\n%s\nwant\n%s", got, want)
	}
	set := mustLoad(t, loader(), at("b", "c")...)
	for _, p := range set.Pipelines {
		if len(p.Limits.Rates) != 2 || p.Limits.Rates["one"].Rate.PerSecond() != 1 {
			t.Errorf("%s has the rates %v", p.Name, p.Limits.Rates)
		}
	}
	shown, err := set.Pipelines[1].Show()
	if from := " # from " + filepath.Join(dir, "b.yaml") + "\n"; err != nil || !strings.Contains(string(shown), "rate: 60/m"+from) || !strings.Contains(string(shown), "rate: 2/s"+from) || !strings.Contains(string(shown), "drain: 25s # default") {
		t.Errorf("what another file says is not marked in\n%s", shown)
	}
	if len(set.Warnings) > 0 {
		t.Errorf("warnings\n%s", set.Warnings.Detail())
	}
	_, err = loader().Load(at("c")...)
	if got, want := found(dir, err), `c.yaml:8:12: limit: there is no rate "one" in limits.rates`; got != want {
		t.Errorf("found\n%s\nwant\n%s", got, want)
	}
}

// The settings may come from files that are included, with parameters, and from --set. A rate of an
// included file need not be used by the process at hand.
func TestCallSettingsThatAreIncluded(t *testing.T) {
	dir := put(t, map[string]string{
		"p.yaml": named("p") + `stages:
  - include: call.yaml
    with: {rate: api, breaker: off, ttl: 5m, most: 7}
  - include: call.yaml
    with: {rate: [api, other], breaker: {failures: 10%, open: 3s}, ttl: 1m}
limits: {include: limits.yaml}
`,
		"call.yaml": `parameters: {rate: , breaker: , ttl: , most: {default: 3}}
stages:
  - http: {url: "http://127.0.0.1:1/{a}", into: w}
    limit: ${rate}
    max_per_host: ${most}
    breaker: ${breaker}
    retry: {attempts: 3, include: retry.yaml}
    cache: {ttl: "${ttl}", include: cache.yaml}
`,
		"cache.yaml":  "stale: 1h\nttl: 9s\n",
		"retry.yaml":  "budget: 50%\n",
		"limits.yaml": "drain: 30s\nrates:\n  api: {include: api.yaml, with: {many: 10/s}}\n  other: {rate: 1/s}\n  spare: {rate: 1/s}\n",
		"api.yaml":    "parameters: {many: }\nsettings: {rate: \"${many}\", burst: 4}\n",
	})
	l := loader()
	l.Set = []string{"limits.rates.api.rate=50/s", "limits.rates.api.per=host", "stages.http-2.cache.bytes=1MiB", "stages.http-2.retry.budget=7%", "stages.http-2.breaker=off"}
	set := mustLoad(t, l, filepath.Join(dir, "p.yaml"))
	p := set.Pipelines[0]
	first, second := p.Stages[0].Calls, p.Stages[1].Calls
	if first.Limit[0] != "api" || first.MaxPerHost != 7 || !first.Breaker.Off || first.Cache.TTL != 5*time.Minute || first.Cache.Stale != time.Hour || first.RetryBudget != 0.5 {
		t.Errorf("first %+v, cache %+v", first, first.Cache)
	}
	if len(second.Limit) != 2 || second.MaxPerHost != 3 || !second.Breaker.Off || second.Cache.TTL != time.Minute || second.Cache.Bytes != 1<<20 || second.RetryBudget != 0.07 {
		t.Errorf("second %+v, cache %+v", second, second.Cache)
	}
	if got, want := p.Limits.Rates["api"], (calls.RateSettings{Rate: settings.Rate{N: 50, Per: time.Second}, Burst: 4, Per: "host"}); got != want {
		t.Errorf("rate %+v, want %+v", got, want)
	}
	if len(set.Warnings) > 0 {
		t.Errorf("a rate that an included file has for others is warned of:\n%s", set.Warnings.Detail())
	}
	l.Set = []string{"limits.rates.apu.rate=50/s", "stages.http.limit=apy"}
	_, err := l.Load(filepath.Join(dir, "p.yaml"))
	if got, want := found(dir, err), `--set:2:19: limit: there is no rate "apy" in limits.rates`; got != want {
		t.Errorf("found\n%s\nwant\n%s", got, want)
	}
	l.Set = []string{"limits.rates.apu.rate=50/s"}
	set = mustLoad(t, l, filepath.Join(dir, "p.yaml"))
	if len(set.Warnings) != 1 || set.Warnings[0].Text != `no step and no sink keeps to the rate "apu"` {
		t.Errorf("warnings\n%s", set.Warnings.Detail())
	}
}

// A stage of one's own that waits is held back like http, and what needs answers is no setting of it.
func TestCallSettingsOfOwnKinds(t *testing.T) {
	type none struct{}
	own := config.StageKind("ask", "asks", "ask: {}", none{}, func(none) (pipeline.Stage, error) { return nil, errors.New("not made") })
	own.Waits = true
	sink := config.SinkKind("tell", "tells", "tell: {}", none{}, func(none, config.Env) (pipeline.Sink, error) { return nil, errors.New("not made") })
	sink.Calls = true
	l := &config.Loader{Kinds: append(catalog.Kinds(), own, sink), Env: lookup}
	rates := "limits: {rates: {api: {rate: 1/s}}}\n"
	body := strings.Replace(named("p"), "- stdout: {}", "- tell: {}\n    limit: api", 1)
	if !strings.Contains(body, "limit: api") {
		t.Fatal(body)
	}
	dir := put(t, map[string]string{
		"good.yaml": body + "stages:\n  - ask: {}\n    limit: api\n    max_wait: 1m\n    breaker: off\n    max_per_host: 3\n" + rates,
		"bad.yaml":  body + "stages:\n  - ask: {}\n    cache: {ttl: 1m}\n    share: true\n" + rates,
	})
	one := own
	one.Name, one.PerHost = "gently", 2
	l.Kinds = append(l.Kinds, one)
	gentle := mustLoad(t, l, filepath.Join(put(t, map[string]string{"a.yaml": body + "stages:\n  - gently: {}\n  - name: b\n    gently: {}\n    workers: 1\n  - name: c\n    gently: {}\n    max_per_host: 5\n" + rates}), "a.yaml")).Pipelines[0]
	for i, most := range []int{2, 1, 5} {
		if got := gentle.Stages[i].Calls.MaxPerHost; got != most {
			t.Errorf("step %d has %d calls at once to a host, want %d", i, got, most)
		}
	}
	good := mustLoad(t, l, filepath.Join(dir, "good.yaml")).Pipelines[0]
	if c := good.Stages[0].Calls; c.Limit[0] != "api" || c.MaxPerHost != 3 || !c.Breaker.Off || good.Sinks[0].Limit[0] != "api" {
		t.Errorf("%+v, and the sink %v", c, good.Sinks[0].Limit)
	}
	_, err := l.Load(filepath.Join(dir, "bad.yaml"))
	if got, want := found(dir, err), "bad.yaml:9:5: cache has no meaning in ask: it keeps no answers\nbad.yaml:10:5: share has no meaning in ask: it keeps no answers"; got != want {
		t.Errorf("found\n%s\nwant\n%s", got, want)
	}
	if text := detail(err); !strings.Contains(text, "remove it; steps that do: http, scrape, sql") {
		t.Errorf("no hint in\n%s", text)
	}
}
