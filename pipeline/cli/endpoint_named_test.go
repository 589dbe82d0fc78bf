//go:build unix

package cli

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestAnotherPipelineAtTheAddress: a process that runs none of the files that are named is not shown for theirs.
func TestAnotherPipelineAtTheAddress(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/api/v1/stats", "/api/v1/why":
			fmt.Fprint(w, `{"pipelines":[{"pipeline":"first","state":"running"},{"pipeline":"second","state":"running"}]}`)
		default:
			fmt.Fprint(w, `{"status":"ok"}`)
		}
	}))
	defer server.Close()
	at := strings.TrimPrefix(server.URL, "http://")
	file := func(name string) string {
		path := filepath.Join(t.TempDir(), name+".yaml")
		text := "pipeline: " + name + "\nsource:\n  replay: {files: [in.jsonl]}\nsinks:\n  - stdout: {}\nadmin: {listen: " + at + "}\n"
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, args := range [][]string{{"status"}, {"status", "--json"}, {"why"}, {"why", "--json"}} {
		code, out, errs := command(t, append(args, file("third"))...)
		if code != exitEnvironment || out != "" || !strings.Contains(errs, "the process that listens at "+at+" runs another pipeline: first, second; named was third") {
			t.Errorf("%v: %d\n%s%s", args, code, out, errs)
		}
		if code, out, errs := command(t, append(args, file("second"))...); code != exitDone || !strings.Contains(out, "second") {
			t.Errorf("%v: %d\n%s%s", args, code, out, errs)
		}
	}
}
