package config_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// TestTracesOfSeveralFiles: what is traced belongs to the process. Its headers stand in one file, or are the same in all, and what is secret in
// them is never shown.
func TestTracesOfSeveralFiles(t *testing.T) {
	dir := put(t, map[string]string{
		"a.yaml": named("a") + "traces: {endpoint: \"http://127.0.0.1:4318\"}\n",
		"b.yaml": named("b") + "traces: {endpoint: \"http://127.0.0.1:4318\", sample: 100%, headers: {x-b: b}, secret_headers: {Authorization: canary-one}}\n",
		"c.yaml": named("c") + "traces: {endpoint: \"http://127.0.0.1:4318\", secret_headers: {Authorization: canary-two}}\n",
		"d.yaml": named("d"),
	})
	set := mustLoad(t, loader(), filepath.Join(dir, "a.yaml"), filepath.Join(dir, "b.yaml"), filepath.Join(dir, "d.yaml"))
	got := set.Process.Traces
	header, err := got.Header()
	if err != nil || got.Sample != 1 || !got.Parent || got.Service != "penstock" || got.Queue != 8192 || header.Get("X-B") != "b" || header.Get("Authorization") != "canary-one" {
		t.Errorf("%+v, %v, %v", got, header, err)
	}
	for _, p := range set.Pipelines {
		if shown, err := p.Show(); err != nil || strings.Contains(string(shown), "canary") || !strings.Contains(string(shown), "x-b: b") {
			t.Errorf("%v, shown:\n%s", err, shown)
		}
	}
	_, err = loader().Load(filepath.Join(dir, "b.yaml"), filepath.Join(dir, "c.yaml"))
	want := "c.yaml:6:61: traces.secret_headers belongs to the process: it is map[Authorization:***] here and map[Authorization:***] in b.yaml:6"
	if got := found(dir, err); got != want {
		t.Errorf("found\n%s\nwant\n%s", got, want)
	}
	half := put(t, map[string]string{"e.yaml": named("e") + "traces: {endpoint: \"https://127.0.0.1:4318\", tls: {cert: own.pem}}\n"})
	_, err = loader().Load(filepath.Join(half, "e.yaml"))
	if got, want := found(half, err), "e.yaml:6:46: tls: cert and key belong together: give both or none"; got != want {
		t.Errorf("found\n%s\nwant\n%s", got, want)
	}
	twice := put(t, map[string]string{"f.yaml": named("f") + "traces: {endpoint: \"https://127.0.0.1:4318\", secret_headers: {authorization: canary}, auth: {bearer: {token_file: t}}}\n"})
	_, err = loader().Load(filepath.Join(twice, "f.yaml"))
	if got, want := found(twice, err), "f.yaml:6:93: traces.auth: authorization stands under secret_headers too: leave it out there"; got != want {
		t.Errorf("found\n%s\nwant\n%s", got, want)
	}
	query := put(t, map[string]string{"g.yaml": named("g") + "traces: {endpoint: \"https://otlp.example/v1/traces?key=canary\"}\n"})
	hidden := mustLoad(t, loader(), filepath.Join(query, "g.yaml"))
	if shown, err := hidden.Pipelines[0].Show(); err != nil || strings.Contains(string(shown), "canary") || hidden.Process.Traces.Endpoint != "https://otlp.example/v1/traces?key=canary" {
		t.Errorf("%v, shown:\n%s", err, shown)
	}
	both := put(t, map[string]string{
		"h.yaml": named("h") + "traces: {endpoint: \"https://otlp.example/v1/traces?key=canary-h\"}\n",
		"i.yaml": named("i") + "traces: {endpoint: \"https://otlp.example/v1/traces?key=canary-i\"}\n",
	})
	_, err = loader().Load(filepath.Join(both, "h.yaml"), filepath.Join(both, "i.yaml"))
	if got := found(both, err); !strings.Contains(got, "i.yaml:6:20: traces.endpoint belongs to the process") || strings.Contains(detail(err), "canary") {
		t.Errorf("found\n%s\n%s", got, detail(err))
	}
	if set := mustLoad(t, loader(), filepath.Join(dir, "d.yaml")); set.Process.Traces != nil {
		t.Errorf("%s traces without being asked to", fmt.Sprint(set.Process.Traces))
	}
}
