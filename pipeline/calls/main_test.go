package calls

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// oneGoroutine leaves out a long test whose one goroutine does everything when tests are to be
// short, as under the race detector: that finds nothing there.
func oneGoroutine(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("nothing in it is concurrent")
	}
}
