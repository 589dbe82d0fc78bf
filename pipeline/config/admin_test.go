package config_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// The block admin may stand in parts in several files, lists included; a list that is another one
// contradicts.
func TestAdminOfSeveralFiles(t *testing.T) {
	dir := put(t, map[string]string{
		"a.yaml": named("a") + "admin: {listen: 0.0.0.0:9600, hosts: [x.example, y.example]}\n",
		"b.yaml": named("b") + "admin: {listen: 0.0.0.0:9600, hosts: \"x.example, y.example\", token: canary-canary-canary, tls: {cert: c.pem, key: k.pem}}\n",
		"c.yaml": named("c") + "admin: {listen: 0.0.0.0:9600, hosts: [x.example], token: canary-canary-other}\n",
	})
	set := mustLoad(t, loader(), filepath.Join(dir, "a.yaml"), filepath.Join(dir, "b.yaml"))
	a := set.Process.Admin
	if a.Token.Reveal() != "canary-canary-canary" || fmt.Sprint(a.Hosts) != "[x.example y.example]" || string(a.TLS.Cert) != filepath.Join(dir, "c.pem") {
		t.Errorf("%+v", a)
	}
	for _, p := range set.Pipelines {
		if shown, err := p.Show(); err != nil || strings.Contains(string(shown), "canary") || !strings.Contains(string(shown), "cert: "+dir) {
			t.Errorf("%v, shown:\n%s", err, shown)
		}
	}
	_, err := loader().Load(filepath.Join(dir, "b.yaml"), filepath.Join(dir, "c.yaml"))
	want := `c.yaml:6:38: admin.hosts belongs to the process: it is [x.example] here and [x.example y.example] in b.yaml:6
c.yaml:6:58: admin.token belongs to the process: it is *** here and *** in b.yaml:6`
	if got := found(dir, err); got != want {
		t.Errorf("found\n%s\nwant\n%s", got, want)
	}
}
