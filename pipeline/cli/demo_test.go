package cli

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/penstockio/penstock/pipeline/catalog"
)

// TestDemo: it needs nothing but the binary and a folder for temporary files, checks its own result, and leaves nothing there.
func TestDemo(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	var out, errs bytes.Buffer
	code := execute(t.Context(), []string{"demo"}, streams{strings.NewReader(""), &out, &errs}, catalog.Kinds())
	if code != exitDone || !strings.Contains(out.String(), "checked: the topic late-flights holds 2293 records, the files 159 severe ones: right, complete, in order per origin\n") {
		t.Fatalf("%d\n%s%s", code, out.String(), errs.String())
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
	t.Setenv("TMPDIR", dir+"/none")
	out.Reset()
	code = execute(t.Context(), []string{"demo"}, streams{strings.NewReader(""), &out, &errs}, catalog.Kinds())
	if code != exitEnvironment || !strings.Contains(errs.String(), "TMPDIR says where one may be") {
		t.Errorf("%d %s", code, errs.String())
	}
}
