//go:build unix

package cli

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Every kind of answer becomes the JSON or the text that it is, or its record is rejected
// with a word of what is wrong: half of an answer, or another text, never goes on.
func TestAnswersOfEveryKind(t *testing.T) {
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	fmt.Fprint(z, `{"n":1.0}`)
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	type header = http.Header
	utf16 := "\xff\xfe{\x00\"\x00a\x00\"\x00:\x001\x00}\x00"
	tests := []struct {
		header     header
		status     int
		body       string
		want, says string // the field, or of the dead letter
	}{
		{header{"Content-Type": {"application/json", "text/plain"}}, 200, `{"n":1.0}`, `{"n":1.0}`, ""},
		{header{"Content-Type": {"text/plain", "application/json"}}, 200, `{"n":1.0}`, `"{\"n\":1.0}"`, ""},
		{header{"Content-Type": nil}, 200, `{"n":1.0}`, `"{\"n\":1.0}"`, ""}, // none at all
		{header{"Content-Type": {"application/json"}}, 204, "", `null`, ""},
		{header{"Content-Type": {"application/json"}}, 200, "", `null`, ""},
		{header{"Content-Type": {"application/json"}}, 200, "\ufeff{\"n\":\r\n1.0}", `{"n":1.0}`, ""},
		{header{"Content-Type": {"application/json"}}, 200, "\ufeff", `null`, ""},
		{header{"Content-Type": {"text/plain"}}, 200, "\ufeffa\r\nb", `"a\r\nb"`, ""},
		{header{"Content-Type": {"application/json"}, "Content-Encoding": {"gzip"}}, 200, zipped.String(), `{"n":1.0}`, ""},
		{header{"Content-Type": {"application/json"}, "Content-Encoding": {"gzip"}}, 200, "canary", "", "is not the gzip that it says it is"},
		{header{"Content-Type": {"application/json; charset=utf-16"}}, 200, `{"n":1.0}`, `{"n":1.0}`, ""}, // and is UTF-8 all the same
		{header{"Content-Type": {"application/json; charset=utf-16"}}, 200, utf16, "", "comes in UTF-16: the server must send UTF-8"},
		{header{"Content-Type": {"application/json"}}, 200, utf16, "", "comes in UTF-16: the server must send UTF-8"},
		{header{"Content-Type": {"text/plain; charset=UTF-16LE"}}, 200, "c\x00a\x00n\x00a\x00r\x00y\x00", "", "comes in UTF-16: the server must send UTF-8"},
		{header{"Content-Type": {"text/plain; charset=utf-16be"}}, 200, "\x00h\x00i", "", "comes in UTF-16: the server must send UTF-8"},
		{header{"Content-Type": {"text/plain"}}, 200, "a\x00b", `"a\u0000b"`, ""},
		{header{"Content-Type": {"text/plain; charset=iso-8859-1"}}, 200, "caf\xe9 canary", "", "is not valid UTF-8: the server must send UTF-8"},
		{header{"Content-Type": {"text/plain; charset=iso-8859-1"}}, 200, "café", `"café"`, ""}, // and is UTF-8 all the same
		{header{"Content-Type": {"application/json"}}, 200, "{\"n\":\"caf\xe9 canary\"}", "", "is not valid UTF-8: the server must send UTF-8"},
		{header{"Content-Type": {"application/json"}}, 200, `{"n":1.0} {"canary":2}`, "", "is not the JSON that its type says"},
		{header{"Content-Type": {"application/json"}}, 200, `NaN`, "", "is not the JSON that its type says"},
		{header{"Content-Type": {"application/x-ndjson"}}, 200, "{\"n\":1}\n{\"n\":2}\n", `"{\"n\":1}\n{\"n\":2}\n"`, ""},
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var i int
		if _, err := fmt.Sscanf(r.URL.Path, "/%d", &i); err != nil {
			t.Error(err)
			return
		}
		for name, values := range tests[i].header {
			w.Header()[name] = values
		}
		w.WriteHeader(tests[i].status)
		_, _ = w.Write([]byte(tests[i].body)) // a 204 takes none
	}))
	defer server.Close()
	dir := t.TempDir()
	file := filepath.Join(dir, "kinds.yaml")
	var in, want strings.Builder
	rejected := 0
	for i, tt := range tests {
		fmt.Fprintf(&in, "{\"i\":%d}\n", i)
		if tt.says == "" {
			fmt.Fprintf(&want, "{\"i\":%d,\"got\":%s}\n", i, tt.want)
		} else {
			rejected++
		}
	}
	text := `pipeline: kinds
source: {replay: {files: [in.jsonl], as: value}}
stages: [{http: {url: "` + server.URL + `/{i}", into: got}}]
sinks: [{file: {path: out.jsonl, as: value}}]
dead_letter: {file: {path: dead.jsonl}}
log: {format: json}
`
	for name, content := range map[string]string{file: text, filepath.Join(dir, "in.jsonl"): in.String()} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r := startDaemon(t, file)
	if code := r.end(); code != 0 {
		t.Fatalf("exit code %d:\n%s", code, r.log.String())
	}
	read := func(name string) string {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	if got := read("out.jsonl"); got != want.String() {
		t.Errorf("%s, want\n%s", got, want.String())
	}
	dead := strings.Split(strings.TrimSpace(read("dead.jsonl")), "\n")
	if len(dead) != rejected {
		t.Fatalf("%d dead letters, want %d:\n%s", len(dead), rejected, strings.Join(dead, "\n"))
	}
	for i, tt := range tests {
		if tt.says == "" {
			continue
		}
		if !strings.Contains(dead[0], "the answer "+tt.says) || !strings.Contains(dead[0], fmt.Sprintf(`"i":%d}`, i)) {
			t.Errorf("of answer %d: %s, want %s", i, dead[0], tt.says)
		}
		dead = dead[1:]
	}
	if strings.Contains(r.log.String(), "canary") {
		t.Errorf("the log quotes an answer:\n%s", r.log.String())
	}
}
