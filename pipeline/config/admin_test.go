package config_test

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"os"
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

// TestAdminSocketIsBesideTheFile: the path of the socket is relative to the file in which it stands, as every other one; the hash
// does not depend on where that is.
func TestAdminSocketIsBesideTheFile(t *testing.T) {
	hashes := map[string]bool{}
	for range 2 {
		dir := put(t, map[string]string{
			"a.yaml": named("a") + "admin: {listen: 'unix:run/s'}\n",
			"b.yaml": named("b") + "admin: {listen: 'unix:/run/s'}\n",
			"c.yaml": named("c") + "admin: {include: below/admin.yaml}\n",
		})
		if err := os.Mkdir(filepath.Join(dir, "below"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "below", "admin.yaml"), []byte("listen: unix:s\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		for file, want := range map[string]string{
			"a.yaml": "unix:" + filepath.Join(dir, "run", "s"), "b.yaml": "unix:/run/s", "c.yaml": "unix:" + filepath.Join(dir, "below", "s"),
		} {
			set := mustLoad(t, loader(), filepath.Join(dir, file))
			if got := set.Process.Admin.Listen; got != want {
				t.Errorf("%s listens on %s, want %s", file, got, want)
			}
			if shown, err := set.Pipelines[0].Show(); err != nil || !strings.Contains(string(shown), "listen: "+want) {
				t.Errorf("%s: %v, shown:\n%s", file, err, shown)
			}
			hashes[set.Hash] = true
		}
	}
	one, other := put(t, map[string]string{"a.yaml": named("a") + "admin: {listen: 'unix:s'}\n"}), put(t, map[string]string{"b.yaml": named("b") + "admin: {listen: 'unix:s'}\n"})
	if _, err := loader().Load(filepath.Join(one, "a.yaml"), filepath.Join(other, "b.yaml")); err == nil || !strings.Contains(err.Error(), "admin.listen belongs to the process") {
		t.Errorf("two sockets of one process: %v", err)
	}
	if len(hashes) != 3 {
		t.Errorf("three files in two folders have %d hashes", len(hashes))
	}
}

// TestAdminSocketFits: a file may name the paths that the system takes, and no longer one.
func TestAdminSocketFits(t *testing.T) {
	fits := 0
	for n := 95; n < 120; n++ {
		folder := "/none-of-these"
		path := folder + "/" + strings.Repeat("x", n-len(folder)-1)
		_, err := net.Listen("unix", path) // no such folder, or no such path
		taken := errors.Is(err, os.ErrNotExist)
		dir := put(t, map[string]string{"a.yaml": named("a") + "admin: {listen: 'unix:" + path + "'}\n"})
		if _, err := loader().Load(filepath.Join(dir, "a.yaml")); (err == nil) != taken {
			t.Errorf("%d bytes, which the system takes: %t; %v", len(path), taken, err)
		}
		if taken {
			fits++
		}
	}
	if fits == 0 || fits == 25 {
		t.Errorf("%d of 25 paths fit", fits)
	}
}

// TestAdminTapNeedsMoreThanTheMachine: records are shown where a token or the mode of a socket says who asks, and nowhere else; and the file
// has to say whether values are.
func TestAdminTapNeedsMoreThanTheMachine(t *testing.T) {
	const open = "a.yaml:6:35: admin.tap shows records, and every user of the machine can ask the endpoint: it has no token"
	for admin, want := range map[string]string{
		"{listen: '127.0.0.1:9600', tap: {values: true}}":                                                     open,
		"{listen: '127.0.0.1:9600', tap: {values: true}, token: canary-canary}":                               "",
		"{listen: '127.0.0.1:9600', tap: {values: true}, token_file: token}":                                  "",
		"{listen: 'unix:s', tap: {values: false, rate: 5/m, redact: {fields: [a], headers: [b], key: true}}}": "",
		"{listen: 'unix:s', tap: {}}":                                                                         `a.yaml:6:27: tap has no "values", which is required`,
		"{listen: 'unix:s', tap: {values: true, redact: {}}}":                                                 "a.yaml:6:47: redact: a redact does nothing: write at least one of fields, headers, key",
	} {
		dir := put(t, map[string]string{"a.yaml": named("a") + "admin: " + admin + "\n"})
		set, err := loader().Load(filepath.Join(dir, "a.yaml"))
		if got := found(dir, err); got != cmp.Or(want, "<nil>") {
			t.Errorf("%s: found\n%s\nwant\n%s", admin, got, want)
			continue
		}
		if err == nil && set.Process.Admin.Tap == nil {
			t.Errorf("%s: no tap", admin)
		}
	}
}

// TestWhoMaySteer: commands need a token, or a socket; a token of commands that nothing takes is a mistake, and so is one that is that of who
// may look.
func TestWhoMaySteer(t *testing.T) {
	for admin, want := range map[string]string{
		"{listen: 127.0.0.1:9600, commands: true}":                                                                                                    "every user of this machine could steer the process: commands need a token, or a unix socket",
		"{listen: 'localhost:9600', commands: true, token: canary-1}":                                                                                 "",
		"{listen: 127.0.0.1:9600, commands: true, token_file: t}":                                                                                     "",
		"{listen: 127.0.0.1:9600, commands: true, command_token_file: t}":                                                                             "",
		"{listen: 127.0.0.1:9600, commands: true, command_token: canary-1}":                                                                           "",
		"{listen: 127.0.0.1:9600, commands: true, token: canary-1, command_token: canary-2}":                                                          "",
		"{listen: 'unix:s', commands: true}":                                                                                                          "",
		"{listen: 127.0.0.1:9600, commands: false}":                                                                                                   "",
		"{listen: 127.0.0.1:9600, commands: true, token: canary-1, command_token: canary-1}":                                                          "admin.command_token is that of admin.token",
		"{listen: 127.0.0.1:9600, commands: true, command_token: canary-1, command_token_file: t}":                                                    "admin has command_token and command_token_file",
		"{listen: 127.0.0.1:9600, commands: true, command_token: canary 1}":                                                                           "admin.command_token is none",
		"{listen: 127.0.0.1:9600, command_token: canary-1}":                                                                                           "it is the token of commands, and admin takes none",
		"{listen: 127.0.0.1:9600, command_token_file: t}":                                                                                             "it is the token of commands, and admin takes none",
		"{listen: 0.0.0.0:9600, tls: {cert: c, key: k}, token: canary-canary-canary, commands: true, command_token: canary-2}":                        "admin.command_token is none",
		"{listen: 0.0.0.0:9600, tls: {cert: c, key: k}, commands: true, command_token: canary-canary-canary}":                                         "no token",
		"{listen: 0.0.0.0:9600, tls: {cert: c, key: k}, token: canary-canary-canary, commands: true}":                                                 "",
		"{listen: 0.0.0.0:9600, tls: {cert: c, key: k}, token: canary-canary-canary, commands: true, command_token_file: /run/penstock/steer-token }": "",
	} {
		dir := put(t, map[string]string{"a.yaml": named("a") + "admin: " + admin + "\n"})
		_, err := loader().Load(filepath.Join(dir, "a.yaml"))
		switch got := found(dir, err); {
		case want == "" && err != nil, want != "" && (!strings.Contains(got, want) || strings.Contains(got, "\n")), strings.Contains(got, "canary"):
			t.Errorf("%s: %s, want %q", admin, got, want)
		case want != "" && !strings.HasPrefix(got, "a.yaml:"):
			t.Errorf("%s: no place: %s", admin, got)
		}
	}
	// The parts of the block may stand in several files.
	dir := put(t, map[string]string{
		"a.yaml": named("a") + "admin: {listen: 127.0.0.1:9600, commands: true}\n",
		"b.yaml": named("b") + "admin: {listen: 127.0.0.1:9600, command_token: canary-steer}\n",
	})
	set := mustLoad(t, loader(), filepath.Join(dir, "a.yaml"), filepath.Join(dir, "b.yaml"))
	if a := set.Process.Admin; !a.Commands || a.CommandToken.Reveal() != "canary-steer" {
		t.Errorf("%+v", a)
	}
}
