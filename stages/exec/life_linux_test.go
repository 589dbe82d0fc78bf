package execstage

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// Who asks for more memory than there may be has an error of its own, and the next record is answered.
func TestMemory(t *testing.T) {
	const script = `while read -r line; do
  id=${line#'{"id":'}
  case $line in *'"do":"memory"'*) x=xxxxxxxx; while :; do x=$x$x; done ;; esac
  printf '{"id":%s,"value":{"n":42,"pid":1}}\n' "${id%%,*}"
done` // the test binary needs too much by itself when it looks for races
	s := testSettings(t, "")
	s.Command, s.Memory = []string{"sh", "-c", script}, 64<<20
	st := testStage(t, s)
	defer st.Close()
	good(t, st)
	if _, err := tried(t, st, `{"do":"memory"}`, long); typeOf(err) != "child_died" {
		t.Errorf("%v", err)
	}
	good(t, st)
}

// A process is ended in place of the pipeline when the machine has no memory left.
func TestWhoEndsFirst(t *testing.T) {
	st := testStage(t, testSettings(t, "protocol"))
	defer st.Close()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/oom_score_adj", good(t, st)))
	if err != nil || strings.TrimSpace(string(text)) != oomScore {
		t.Errorf("%q, %v", text, err)
	}
}
