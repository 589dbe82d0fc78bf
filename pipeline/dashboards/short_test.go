package dashboards_test

import "testing"

// oneGoroutine leaves out a test in which nothing of penstock is concurrent, or the part of one, when tests
// are to be short, as under the race detector: that finds nothing there.
func oneGoroutine(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("nothing in it is concurrent")
	}
}
