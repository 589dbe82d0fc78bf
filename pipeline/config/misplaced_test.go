package config_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/penstockio/penstock/pipeline/config"
)

// Secrets in the wrong shape stand neither in the lines of problems nor in their messages, whether
// the file holds them or --set. Every case has a problem in the line of the secret.
func TestMisplacedSecrets(t *testing.T) {
	const hunter = "HUNTER"
	for _, settings := range []string{
		`auth: {bearer: HUNTER}`, `auth: {bearer: [HUNTER]}`, `auth: {bearer: {HUNTER}}`, `auth: {bearer: {token: [HUNTER]}}`,
		`auth: {bearer: {token: {HUNTER}}}`, `auth: {bearer: {token: {{ HUNTER }}}}`, `auth: {bearer: {token: {a: HUNTER}}}`,
		`auth: {bearer: {token: !tag HUNTER}}`, `auth: {bearer: {token: !HUNTER}}`, `auth: {bearer: {token: &HUNTER }}`,
		`auth: {bearer: {token: a, token: HUNTER}}`, `auth: {bearer: {tok: HUNTER}}`, `auth: {bearer: {it: HUNTER}}`,
		`auth: "Bearer HUNTER"`, `auth: HUNTER`, `auth: [HUNTER]`, `auth: [{bearer: HUNTER}]`, `auth: {HUNTER}`, `auth: {barer: HUNTER}`,
		`auth: {basic: "u:HUNTER"}`, `auth: {basic: [u, HUNTER]}`, `auth: {basic: {username: u, HUNTER}}`, `auth: {basic: {u: HUNTER}}`,
		`auth: {header: {name: X-Key, value: [HUNTER]}}`, `auth: {header: {X-Key: HUNTER}}`, `auth: {header: "X-Key: HUNTER"}`,
		`auth: {oauth2: {token_url: "http://h/", client_id: i, client_secret: [HUNTER]}}`, `auth: {oauth2: HUNTER}`,
		`secret_headers: HUNTER`, `secret_headers: {X: [HUNTER]}`, `secret_headers: [HUNTER]`, `secret_headers: ["X: HUNTER"]`, `secret_headers: [{X: HUNTER}]`,
		`secret_headers: {X: {Y: HUNTER}}`, `secret_headers: {X: a, X: HUNTER}`, `secret_headers: {"X: HUNTER"}`, `secret_headers: {X: !HUNTER}`,
		`secret_headers: {X: !tag HUNTER}`, `proxy: [HUNTER]`, `proxy: {url: HUNTER}`, `proxy: !HUNTER`, `proxi: [HUNTER]`, `proxy: &HUNTER`,
		`auht: {bearer: HUNTER}`, `secret_header: {X: {Y: HUNTER}}`, `aut: HUNTER`, `auth: &HUNTER`, `proxy: *HUNTER`, `secret_headers: {X: *HUNTER}`,
		`auth: {bearer: *HUNTER}`, `secret_headers: {X: @HUNTER}`, `auth: {bearer: %HUNTER}`, `auth: {"bearer": "HUNTER}`,
		`auth: {oauth2: {token_url: "http://h/?key=HUNTER&a=b", client: i}}`,
	} {
		for _, secret := range []string{"TOK123", "t1"} {
			setting := strings.ReplaceAll(settings, hunter, secret)
			for kind, text := range map[string]string{
				"http": "{pipeline: p, source: {replay: {files: [in.jsonl]}}, stages: [\n {http: {url: 'http://127.0.0.1/', into: x, nope: 1, " + setting + "}}\n], sinks: [{stdout: {}}]}\n",
				"sink": "pipeline: p\nsource:\n  replay: {files: [in.jsonl]}\nsinks:\n  - http: {url: 'http://127.0.0.1/', nope: 1, " + setting + "}\n",
				"htpp": "pipeline: p\nsource:\n  replay: {files: [in.jsonl]}\nstages:\n  - htpp: {into: x, " + setting + "}\nsinks:\n  - stdout: {}\n",
				"block": "pipeline: p\nsource:\n  replay: {files: [in.jsonl]}\nstages:\n  - http:\n      url: http://127.0.0.1/\n      into: [x]\n      " +
					setting + "\nsinks:\n  - stdout: {}\n",
			} {
				dir := put(t, map[string]string{"a.yaml": text})
				_, err := loader().Load(filepath.Join(dir, "a.yaml"))
				got := detail(err)
				if !strings.Contains(got, "**") && kind == "sink" {
					t.Errorf("%s, %s: no line of the secret\n%s", kind, setting, got)
				}
				if secret == "t1" { // stands in no line; a message may hold its letters
					got = quoted(got)
				}
				if strings.Contains(got, secret) {
					t.Errorf("%s: %s\nshows\n%s", kind, setting, got)
				}
			}
		}
	}
}

// quoted gives the lines of the file that detail shows.
func quoted(detail string) string {
	var lines []string
	for line := range strings.SplitSeq(detail, "\n") {
		if _, text, ok := strings.Cut(line, " | "); ok {
			lines = append(lines, text)
		}
	}
	return strings.Join(lines, "\n")
}

// TestMisplacedSecretsOfSet is the same for --set, and for kinds that have no http.
func TestMisplacedSecretsOfSet(t *testing.T) {
	text := "pipeline: p\nsource:\n  kafka: {brokers: [\"127.0.0.1:1\"], topics: [a]}\nstages:\n  - http: {url: 'http://127.0.0.1/', into: x, secret_headers: {A: TOK123}}\nsinks:\n  - stdout: {}\n"
	dir := put(t, map[string]string{"a.yaml": text})
	for _, set := range [][]string{
		{"source.kafka.sasl=TOK123"}, {"source.kafka.sasl=[TOK123]"}, {"source.kafka.sasl={password: [TOK123]}"}, {"source.kafka.sasl={password: {TOK123}}"},
		{"source.kafka.sasl={scram: TOK123}"}, {"source.kafka.sasl.password=[TOK123]"}, {"source.kafka.sals.password=TOK123"},
		{"stages.http.http.auth.bearer=TOK123"}, {"stages.http.http.auth=Bearer TOK123"}, {"stages.http.http.auth={bearer: [TOK123]}"},
		{"stages.http.http.auth={bearer: {token: a, token: TOK123}}"}, {"stages.http.http.proxy=[TOK123]"},
		{"stages.nope.http.auth.bearer=TOK123"}, {"stages.nope.http.secret_headers.X=TOK123"}, {"stages..http.secret_headers.X=TOK123"},
		{"stages.http.http.secret_headers.X: TOK123"}, {"stages.http.http.secret_headers.X TOK123"},
		{"stages.http.http.secret_headers=TOK123"}, {"stages.http.http.secret_headers.X=[TOK123]"},
		{"stages.http.http.secret_headers.A=TOK456", "stages.http.http.into=[x]"},
	} {
		l := config.Loader{Kinds: loader().Kinds, Set: set}
		_, err := l.Load(filepath.Join(dir, "a.yaml"))
		if got := detail(err); strings.Contains(got, "TOK") || !strings.Contains(got, "***") && len(set) < 2 {
			t.Errorf("%s\nshows\n%s", set, got)
		}
	}
}

// TestMisplacedSettingsShow: what is no secret stays readable beside one: names of settings, variables,
// and expressions.
func TestMisplacedSettingsShow(t *testing.T) {
	for _, c := range []struct{ setting, want string }{
		{`auth: basic`, "auth: basic"}, {`auth: "Bearer ${TOK}"`, ""}, {`auth: ${TOK}`, "auth: ${TOK}"}, {`auth: {bearer: ${TOK}}`, "bearer: ${TOK}"},
		{`heders: {X: abc}`, "{X: abc}"}, {`auth: {berer: {}}`, `unknown key "berer"`},
	} {
		text := "pipeline: p\nsource:\n  replay: {files: [in.jsonl]}\nstages:\n  - http: {url: 'http://127.0.0.1/', into: x, nope: 1, " + c.setting + "}\nsinks:\n  - stdout: {}\n"
		dir := put(t, map[string]string{"a.yaml": text})
		l := config.Loader{Kinds: loader().Kinds, Env: func(string) (string, bool) { return "TOK123", true }}
		_, err := l.Load(filepath.Join(dir, "a.yaml"))
		if got := detail(err); !strings.Contains(got, c.want) || strings.Contains(got, "TOK123") {
			t.Errorf("%s\nshows\n%s", c.setting, got)
		}
	}
}

// TestBrokenLinesShowTheMistake: of a line that YAML cannot read what is sure to be no secret stays readable, up to the first text that
// may be one.
func TestBrokenLinesShowTheMistake(t *testing.T) {
	for line, readable := range map[string]string{ // the beginning of the line
		`admin: {listen: 127.0.0.1:9600, pprof: [}`:                                    `admin: {listen: 127.0.0.1:9600, pprof: [}`,
		`admin: {listen: 127.0.0.1:9600, pprof: true`:                                  `admin: {listen: 127.0.0.1:9600, pprof: true`,
		`admin: {listen: "127.0.0.1:9600", hosts: [a.example, b.example], pprof: [`:    `admin: {listen: "127.0.0.1:9600", hosts: [a.example, b.example], pprof: [`,
		`admin: {listen: 127.0.0.1:9600, tls: {cert: c.pem, key: k.pem}, x: [}`:        `admin: {listen: 127.0.0.1:9600, tls: {cert: c.pem, key: k.pem}, `,
		`admin: {listen: 127.0.0.1:9600, token: HUNTER, pprof: [}`:                     `admin: {listen: 127.0.0.1:9600, token: `,
		`admin: {listen: 127.0.0.1:9600, tokn: HUNTER, pprof: [}`:                      `admin: {listen: 127.0.0.1:9600, `,
		`admin: {listen: 127.0.0.1:9600 tokn: HUNTER, pprof: [}`:                       `admin: {listen: 127.0.0.1:9600`,
		`admin: {listen: "127.0.0.1:9600, tokn: HUNTER, pprof: [}`:                     `admin: {listen: `,
		`admin: {listen: "127.0.0.1:9600, tokn: HUNTER", pprof: [}`:                    `admin: {listen: `,
		`admin: {tls: {cert: c.pem, tokn: HUNTER}, pprof: [}`:                          `admin: {tls: {cert: c.pem, `,
		`admin: {HUNTER, pprof: [}`:                                                    `admin: {`,
		`admin: [HUNTER`:                                                               `admin: `,
		`source: {kafka: {brokers: [b:1], topics: [a], sasl: {password: HUNTER}, x: [`: `source: {kafka: {brokers: [b:1], topics: [a], sasl: {password: `,
		`source: {kafka: {brokers: [b:1], topics: [a], start: [`:                       `source: {kafka: {brokers: [b:1], topics: [a], start: [`,
		`sinks: [{http: {url: "http://h/", auth: {bearer: {token: HUNTER}}, x: [`:      `sinks: [{http: {url: "http://h/", auth: {bearer: {token: `,
		`sinks: [{name: out, http: {url: "http://h/", auth: {bearer: HUNTER}, x: [`:    `sinks: [{name: out, http: {url: "http://h/", auth: {bearer: `,
	} {
		dir := put(t, map[string]string{"a.yaml": "pipeline: p\n" + line + "\n"})
		_, err := loader().Load(filepath.Join(dir, "a.yaml"))
		got := detail(err)
		want := readable + strings.Repeat("*", len(line)-len(readable))
		if !strings.Contains(got, "    2 | "+want+"\n") || strings.Contains(got, "HUNTER") {
			t.Errorf("%s\nshows\n%s\nwant %s", line, got, want)
		}
	}
	// What looks like a password is hidden, whatever it stands in.
	dir := put(t, map[string]string{"a.yaml": "pipeline: p\nsinks: [{http: {url: \"http://u:HUNTER@h/\", as: [\n"})
	_, err := loader().Load(filepath.Join(dir, "a.yaml"))
	if got := detail(err); strings.Contains(got, "HUNTER") || !strings.Contains(got, `sinks: [{http: {url: "http://u:******@h/", as: [`) {
		t.Error(got)
	}
}

// TestAnAddressInPlaceOfAdmin: an address is no secret, and the message says where it belongs; anything else that stands there may be
// a token.
func TestAnAddressInPlaceOfAdmin(t *testing.T) {
	for text, shown := range map[string]bool{
		"127.0.0.1:9600": true, "unix:/run/s": true, ":9600": true, "localhost:9600": true, "'[::1]:9600'": true,
		"HUNTER": false, "hunter:12345": false, "hunter.example:9600": false, "127.0.0.1:HUNTER": false,
	} {
		dir := put(t, map[string]string{"a.yaml": named("a") + "admin: " + text + "\n"})
		_, err := loader().Load(filepath.Join(dir, "a.yaml"))
		got := detail(err)
		if strings.Contains(got, "admin: "+text+"\n") != shown || strings.Contains(got, "write admin: {listen: "+strings.Trim(text, "'")+"}") != shown || !shown && strings.Contains(strings.ToLower(got), "hunter") {
			t.Errorf("%s shows\n%s", text, got)
		}
	}
}
