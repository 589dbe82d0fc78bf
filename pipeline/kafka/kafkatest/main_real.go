//go:build real

package kafkatest

import (
	"context"
	"fmt"
	"os"
	"testing"
)

// RunMain runs m against a real broker: the one that Env names, or one that it
// starts for these tests alone. It returns the exit code.
func RunMain(m *testing.M) int {
	if os.Getenv(Env) != "" {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "penstock-real-")
	if err == nil {
		defer os.RemoveAll(dir)
		ctx, cancel := context.WithTimeout(context.Background(), startupTimeout)
		defer cancel()
		var r *Real
		if r, err = StartReal(ctx, dir, RealOptions{}); err == nil {
			defer r.Stop()
			err = os.Setenv(Env, r.Addrs()[0])
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}
