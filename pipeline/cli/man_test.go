package cli

import (
	"bytes"
	"context"
	"os/exec"
	"strings"
	"testing"

	"github.com/penstockio/penstock/pipeline/catalog"
)

// TestManPage: every command and every flag of it has a place, and no text is taken for a request.
func TestManPage(t *testing.T) {
	var out, errs bytes.Buffer
	if code := execute(context.Background(), []string{"man", "--date", "2026-01-02"}, streams{strings.NewReader(""), &out, &errs}, catalog.Kinds()); code != exitDone {
		t.Fatalf("%d %s", code, errs.String())
	}
	page := out.String()
	for _, want := range []string{`.TH PENSTOCK 1 "2026-01-02" `, "\n.SS \"penstock run FILE|DIR...\"\n", "\n.SS \"penstock dead\\-letter replay ", "\n.B \\-\\-fail\\-on ", "\n.B \\-\\-log\\-level string\n", "\n.I /etc/penstock/*.yaml\n"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page has no %q", want)
		}
	}
	requests := strings.Fields(".TH .SH .SS .B .I .BR .TP .PP .nf .fi")
	for line := range strings.Lines(page) {
		first, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		if (line[0] == '.' || line[0] == '\'') && !strings.Contains(strings.Join(requests, " ")+" ", first+" ") {
			t.Errorf("%q is no request", line)
		}
	}
	mandoc, err := exec.LookPath("mandoc")
	if err != nil {
		t.Log("mandoc is not here: not read by it")
		return
	}
	c := exec.Command(mandoc, "-Tlint", "-Wwarning")
	c.Stdin = strings.NewReader(page)
	if said, err := c.CombinedOutput(); err != nil {
		t.Errorf("mandoc: %v\n%s", err, said)
	}
}
